"""Golden cases of the rules, run with the real command from another directory."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import dagster as dg
import pytest
import yaml

from storemon_pipeline_tests.helpers.runner import (
    GOLDEN,
    copy_data,
    execute,
    report_dir,
    report_path,
    request_config,
    rows,
    run,
)

CASES = sorted(case.name for case in GOLDEN.iterdir() if case.is_dir())

SEVEN_COLUMNS = [
    "store_id",
    "uptime_last_hour",
    "downtime_last_hour",
    "uptime_last_day",
    "downtime_last_day",
    "uptime_last_week",
    "downtime_last_week",
]


class CaseResult(NamedTuple):
    """Exit code, log and report directory of the command for a case."""

    exit_code: int
    log: str
    report: Path


@pytest.fixture(scope="session")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], CaseResult]]:
    """Return a function that runs a case with the command and waits for it."""
    workspace = tmp_path_factory.mktemp("golden")
    started: dict[str, Future[CaseResult]] = {}
    # A command takes seconds on one core, mostly to import Dagster, so the next case runs in
    # parallel. Workers of pytest-xdist use the other cores already.
    ahead = 0 if "PYTEST_XDIST_WORKER" in os.environ else 1

    with ThreadPoolExecutor(max_workers=1 + ahead) as pool:

        def wait(case: str) -> CaseResult:
            first = CASES.index(case)
            for name in CASES[first : first + 1 + ahead]:
                if name not in started:
                    started[name] = pool.submit(
                        _report, GOLDEN / name, workspace / name, dict(os.environ)
                    )
            return started[case].result()

        yield wait


def _report(case: Path, workspace: Path, env: dict[str, str]) -> CaseResult:
    data_dir, working_dir = workspace / "data", workspace / "elsewhere"
    data_dir.mkdir(parents=True)
    working_dir.mkdir()
    copy_data(case, data_dir)
    config = workspace / "config.yaml"
    request = yaml.safe_load((case / "request.yaml").read_text())
    config.write_text(yaml.safe_dump(request_config(**request)))
    settings = {
        "STOREMON_DATA_DIR": str(data_dir),
        "STOREMON_REPORTS_DIR": str(workspace / "reports"),
        "STOREMON_DATABASE_URL": f"sqlite:///{workspace}/storemon.db",
        "STOREMON_MAX_BAD_SHARE": "1",
    }
    done = execute("ingest_and_report_job", "-c", config, cwd=working_dir, env=env | settings)
    report = report_path(done.stdout).parent if done.returncode == 0 else workspace
    return CaseResult(done.returncode, done.stdout, report)


@pytest.mark.parametrize("case", CASES)
def test_golden_case_gives_expected_files(case: str, reported: Callable[[str], CaseResult]) -> None:
    exit_code, log, report = reported(case)
    assert exit_code == 0, log
    assert_figures(GOLDEN / case / "expected.csv", report / "report_full.csv")
    assert_events(GOLDEN / case / "expected_events.csv", report / "downtime_events.csv")
    if (by_hour := GOLDEN / case / "expected_by_hour.csv").exists():
        assert_by_hour(by_hour, report / "downtime_by_hour.csv")
    assert_same_figures(report)


def test_default_report_has_the_seven_documented_columns(
    instance: dg.DagsterInstance, two_stores: Path
) -> None:
    made = run(instance, "ingest_and_report_job")
    report = report_dir(made.run_id)
    assert (report / "report.csv").read_text().splitlines()[0].split(",") == SEVEN_COLUMNS
    assert_same_figures(report)


def assert_figures(expected: Path, actual: Path) -> None:
    expected_rows, actual_rows = rows(expected), rows(actual)
    ids = [row["store_id"] for row in actual_rows]
    assert ids == [row["store_id"] for row in expected_rows] == sorted(ids)
    for want, got in zip(expected_rows, actual_rows, strict=True):
        for column in want.keys() - {"store_id"}:
            assert float(got[column]) == about(want[column]), (want["store_id"], column)


def assert_events(expected: Path, actual: Path) -> None:
    expected_rows, actual_rows = rows(expected), rows(actual)
    assert [event_key(row) for row in actual_rows] == [event_key(row) for row in expected_rows]
    for want, got in zip(expected_rows, actual_rows, strict=True):
        assert float(got["minutes"]) == about(want["minutes"]), want


def event_key(event: dict[str, str]) -> tuple[str, list[tuple[datetime, timedelta | None]], str]:
    """Return what is compared of an event: store, times with UTC offsets, and whether ongoing."""
    columns = ("start_utc", "end_utc", "start_local", "end_local")
    instants = [datetime.fromisoformat(event[column]) for column in columns]
    assert instants[:2] == instants[2:], "UTC and local times differ"
    return event["store_id"], [(at, at.utcoffset()) for at in instants], event["ongoing"]


def assert_by_hour(expected: Path, actual: Path) -> None:
    expected_rows, actual_rows = rows(expected), rows(actual)
    key = ("store_id", "day_of_week", "hour")
    assert [[row[k] for k in key] for row in actual_rows] == [
        [row[k] for k in key] for row in expected_rows
    ]
    for want, got in zip(expected_rows, actual_rows, strict=True):
        for column in ("open_minutes", "downtime_minutes", "downtime_pct"):
            assert float(got[column]) == about(want[column]), (want, column)


def assert_same_figures(report: Path) -> None:
    """Assert that report.csv equals the uptime and downtime columns of report_full.csv."""
    short, full = rows(report / "report.csv"), rows(report / "report_full.csv")
    windows = [
        column.removeprefix("unobserved_") for column in full[0] if column.startswith("unobserved_")
    ]
    pairs = [f"{figure}_{window}" for window in windows for figure in ("uptime", "downtime")]
    assert list(short[0]) == ["store_id", *pairs]
    assert short == [{column: row[column] for column in short[0]} for row in full]


def about(figure: str) -> object:
    return pytest.approx(float(figure), abs=0.01 + 1e-9)
