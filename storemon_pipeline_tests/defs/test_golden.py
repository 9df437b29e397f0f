"""Golden cases: the files of a report contain the figures worked out by hand."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

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


def request_of(case: str) -> dict[str, Any]:
    request: dict[str, Any] = yaml.safe_load((GOLDEN / case / "request.yaml").read_text())
    return request


@pytest.fixture
def all_rows_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accept any share of bad rows."""
    monkeypatch.setenv("STOREMON_MAX_BAD_SHARE", "1")


@pytest.mark.parametrize("case", CASES)
def test_golden_case_gives_the_expected_files(
    case: str, instance: dg.DagsterInstance, data_dir: Path, all_rows_accepted: None
) -> None:
    copy_data(GOLDEN / case, data_dir)
    result = run(instance, "ingest_and_report_job", **request_of(case))
    assert result.success
    assert_expected(case, report_dir(result.run_id))


def test_golden_case_by_command_gives_the_expected_files(
    data_dir: Path, tmp_path: Path, all_rows_accepted: None
) -> None:
    # the case whose request has rules, in a process that reads them from a file
    case = "weekday_without_hours_is_closed"
    copy_data(GOLDEN / case, data_dir)
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(request_config(**request_of(case))))
    done = execute("ingest_and_report_job", "-c", config, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert_expected(case, report_path(done.stdout).parent)


def test_default_report_has_the_seven_documented_columns(
    instance: dg.DagsterInstance, two_stores: Path
) -> None:
    made = run(instance, "ingest_and_report_job")
    report = report_dir(made.run_id)
    assert (report / "report.csv").read_text().splitlines()[0].split(",") == SEVEN_COLUMNS
    assert_same_figures(report)


def assert_expected(case: str, report: Path) -> None:
    assert_figures(GOLDEN / case / "expected.csv", report / "report_full.csv")
    assert_events(GOLDEN / case / "expected_events.csv", report / "downtime_events.csv")
    if (by_hour := GOLDEN / case / "expected_by_hour.csv").exists():
        assert_by_hour(by_hour, report / "downtime_by_hour.csv")
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
    """Return the compared values of an event: store, times with UTC offsets, whether ongoing."""
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
