"""Rows of the table `report`: request and status of each run that makes a report."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.utils import make_new_run_id

from storemon_pipeline.definitions import defs
from storemon_pipeline.uptime.report_request import ReportRequest
from storemon_pipeline_tests.helpers.runner import (
    failure,
    materialize,
    report_dir,
    report_row,
    run,
    table,
)

NEWEST_POLL = datetime(2023, 1, 25, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize("job", ["ingest_and_report_job", "report_job"])
def test_successful_run_is_complete_with_its_request(
    job: str, instance: dg.DagsterInstance, two_stores: Path
) -> None:
    assert run(instance, "ingest_job").success
    before = datetime.now(UTC)
    made = run(instance, job, windows=["month", "day"], rules={"max_carry_hours": 6})
    after = datetime.now(UTC)
    row = report_row(made.run_id)
    request = ReportRequest.model_validate(row["request"])
    assert (row["status"], row["stores"], row["error"]) == ("Complete", 2, None)
    assert row["as_of"] == request.as_of == NEWEST_POLL
    assert request.windows == ("month", "day")
    assert request.rules.max_carry_hours == 6
    assert before <= row["requested_at"] <= row["finished_at"] <= after


def test_ingest_job_makes_no_report(instance: dg.DagsterInstance, two_stores: Path) -> None:
    assert run(instance, "ingest_job").success
    (two_stores / "store_status.csv").unlink()
    assert not run(instance, "ingest_job").success
    assert table("report") == []


def test_failed_ingest_fails_its_report(instance: dg.DagsterInstance, two_stores: Path) -> None:
    (two_stores / "store_status.csv").unlink()
    failed = run(instance, "ingest_and_report_job")
    row = report_row(failed.run_id)
    assert (row["status"], row["stores"], row["request"]) == ("Failed", None, None)
    assert row["error"] == failure(failed, "ingest")
    assert "has no store_status.csv" in row["error"]
    assert row["finished_at"] >= row["requested_at"]


def test_rejected_request_fails_its_report(instance: dg.DagsterInstance, two_stores: Path) -> None:
    failed = run(instance, "ingest_and_report_job", as_of="tomorrow")
    row = report_row(failed.run_id)
    assert (row["status"], row["as_of"]) == ("Failed", None)
    assert row["error"] == failure(failed, "report_request")
    assert "'tomorrow'" in row["error"]


@pytest.mark.parametrize(
    ("asset", "file"),
    [
        ("weekly_hours", "intermediate/weekly_hours.parquet"),
        ("report", "report.csv"),
    ],
)
def test_failed_asset_fails_the_report_and_keeps_its_request(
    asset: str, file: str, instance: dg.DagsterInstance, two_stores: Path
) -> None:
    run_id = make_new_run_id()
    # a directory blocks the file
    (report_dir(run_id) / file / "blocker").mkdir(parents=True)
    failed = defs.resolve_job_def("ingest_and_report_job").execute_in_process(
        instance=instance, run_id=run_id, raise_on_error=False
    )
    assert failed.failure_data_for_node(asset) is not None
    row = report_row(run_id)
    assert (row["status"], row["as_of"]) == ("Failed", NEWEST_POLL)
    assert "IsADirectoryError" in row["error"] or "OSError" in row["error"]
    assert row["request"]["windows"] == ["hour", "day", "week"]


def test_reports_of_other_runs_are_unchanged(
    instance: dg.DagsterInstance, two_stores: Path
) -> None:
    assert run(instance, "ingest_and_report_job").success
    run(instance, as_of="tomorrow")
    before = table("report")
    run(instance, as_of="2023-01-24")
    run(instance, as_of="yesterday")
    run(instance, "ingest_job")
    assert materialize(instance, "uptime_report").success
    after = table("report")
    assert [row["status"] for row in after] == [
        "Complete",
        "Failed",
        "Complete",
        "Failed",
        "Complete",
    ]
    assert after[: len(before)] == before


def test_complete_report_is_visible_to_other_processes(
    instance: dg.DagsterInstance, two_stores: Path
) -> None:
    # a second SQLite library in the process could lose writes after a bulk read
    first, second = run(instance, "ingest_and_report_job"), run(instance)
    code = (
        "import os, sqlite3\n"
        "path = os.environ['STOREMON_DATABASE_URL'].removeprefix('sqlite:///')\n"
        "path = path.removesuffix('.db') + '-registry.db'\n"
        "print(*sqlite3.connect(path).execute('SELECT report_id, status FROM report').fetchall())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for made in (first, second):
        assert f"('{made.run_id}', 'Complete')" in done.stdout
