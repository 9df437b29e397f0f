"""The worked cases of the rules come out of the real command, from whatever directory it is run."""

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
    request_config,
    rows,
    run,
    told_path,
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


class Reported(NamedTuple):
    """What the command wrote for a case: its exit code, its log, and the directory of its files."""

    exit_code: int
    log: str
    report: Path


@pytest.fixture(scope="session")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Reported]]:
    """Run a case by the command, and wait until it is done."""
    place = tmp_path_factory.mktemp("golden")
    begun: dict[str, Future[Reported]] = {}
    # A command takes seconds, most of them to import Dagster, on one core. So while a test waits
    # for its case the next one runs beside it. Other workers of pytest-xdist have the other cores.
    ahead = 0 if "PYTEST_XDIST_WORKER" in os.environ else 1

    with ThreadPoolExecutor(max_workers=1 + ahead) as pool:

        def wait(case: str) -> Reported:
            first = CASES.index(case)
            for name in CASES[first : first + 1 + ahead]:
                if name not in begun:
                    begun[name] = pool.submit(
                        _report, GOLDEN / name, place / name, dict(os.environ)
                    )
            return begun[case].result()

        yield wait


def _report(case: Path, place: Path, env: dict[str, str]) -> Reported:
    data_dir, elsewhere = place / "data", place / "elsewhere"
    data_dir.mkdir(parents=True)
    elsewhere.mkdir()
    copy_data(case, data_dir)
    config = place / "config.yaml"
    asked = yaml.safe_load((case / "request.yaml").read_text())
    config.write_text(yaml.safe_dump(request_config(**asked)))
    own = {
        "STOREMON_DATA_DIR": str(data_dir),
        "STOREMON_REPORTS_DIR": str(place / "reports"),
        "STOREMON_DATABASE_URL": f"sqlite:///{place}/storemon.db",
        "STOREMON_MAX_BAD_SHARE": "1",
    }
    done = execute("ingest_and_report_job", "-c", config, cwd=elsewhere, env=env | own)
    report = told_path(done.stdout).parent if done.returncode == 0 else place
    return Reported(done.returncode, done.stdout, report)


@pytest.mark.parametrize("case", CASES)
def test_a_worked_case_comes_out(case: str, reported: Callable[[str], Reported]) -> None:
    exit_code, log, report = reported(case)
    assert exit_code == 0, log
    assert_figures(GOLDEN / case / "expected.csv", report / "report_full.csv")
    assert_events(GOLDEN / case / "expected_events.csv", report / "downtime_events.csv")
    if (by_hour := GOLDEN / case / "expected_by_hour.csv").exists():
        assert_by_hour(by_hour, report / "downtime_by_hour.csv")
    assert_same_figures(report)


def test_without_config_the_report_has_the_seven_columns_that_everybody_expects(
    instance: dg.DagsterInstance, two_stores: Path
) -> None:
    made = run(instance, "ingest_and_report_job")
    report = report_dir(made.run_id)
    assert (report / "report.csv").read_text().splitlines()[0].split(",") == SEVEN_COLUMNS
    assert_same_figures(report)


def assert_figures(expected: Path, found: Path) -> None:
    wanted, given = rows(expected), rows(found)
    ids = [row["store_id"] for row in given]
    assert ids == [row["store_id"] for row in wanted] == sorted(ids)
    for want, got in zip(wanted, given, strict=True):
        for column in want.keys() - {"store_id"}:
            assert float(got[column]) == about(want[column]), (want["store_id"], column)


def assert_events(expected: Path, found: Path) -> None:
    wanted, given = rows(expected), rows(found)
    assert [told(row) for row in given] == [told(row) for row in wanted]
    for want, got in zip(wanted, given, strict=True):
        assert float(got["minutes"]) == about(want["minutes"]), want


def told(event: dict[str, str]) -> tuple[str, list[tuple[datetime, timedelta | None]], str]:
    """An event as it is compared: its store, its instants with their offsets, whether it goes on."""
    columns = ("start_utc", "end_utc", "start_local", "end_local")
    instants = [datetime.fromisoformat(event[column]) for column in columns]
    assert instants[:2] == instants[2:], "UTC and local time name different instants"
    return event["store_id"], [(at, at.utcoffset()) for at in instants], event["ongoing"]


def assert_by_hour(expected: Path, found: Path) -> None:
    wanted, given = rows(expected), rows(found)
    key = ("store_id", "day_of_week", "hour")
    assert [[row[k] for k in key] for row in given] == [[row[k] for k in key] for row in wanted]
    for want, got in zip(wanted, given, strict=True):
        for column in ("open_minutes", "downtime_minutes", "downtime_pct"):
            assert float(got[column]) == about(want[column]), (want, column)


def assert_same_figures(report: Path) -> None:
    """report.csv says what report_full.csv says, in uptime and downtime of each window."""
    short, full = rows(report / "report.csv"), rows(report / "report_full.csv")
    windows = [
        column.removeprefix("unobserved_") for column in full[0] if column.startswith("unobserved_")
    ]
    pairs = [f"{figure}_{window}" for window in windows for figure in ("uptime", "downtime")]
    assert list(short[0]) == ["store_id", *pairs]
    assert short == [{column: row[column] for column in short[0]} for row in full]


def about(figure: str) -> object:
    return pytest.approx(float(figure), abs=0.01 + 1e-9)
