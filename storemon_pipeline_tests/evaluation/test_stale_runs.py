"""Stale runs: a report whose process has died is Failed within a minute, and is not reused."""

from datetime import UTC, datetime, timedelta

import pytest

from storemon_pipeline.evaluation.stale_runs import (
    PROCESS_DIED,
    STALE_AFTER,
    expire_stale_reports,
    read_stale_runs,
    stale_runs,
)
from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.heartbeats import record_heartbeat
from storemon_pipeline.storage.ingest_runs import ingest_failures, start_ingest_run
from storemon_pipeline.storage.report_requests import create_or_get_request, mark_launched
from storemon_pipeline.storage.reports import (
    ReportRecord,
    complete_report,
    find_report,
    start_report,
)
from storemon_pipeline.uptime.report_request import ReportSpec

NOON = datetime(2023, 1, 25, 12, tzinfo=UTC)
LATER = NOON + STALE_AFTER + timedelta(seconds=1)
FILES = {"store_status.csv": [100, 1]}


def test_run_is_stale_after_more_than_a_minute():
    heartbeats = {"a-run": NOON, "another": NOON + timedelta(microseconds=1)}
    assert stale_runs(heartbeats, NOON) == {}
    assert stale_runs(heartbeats, NOON + STALE_AFTER) == {}
    just_after = NOON + STALE_AFTER + timedelta(microseconds=1)
    assert stale_runs(heartbeats, just_after) == {"a-run": NOON}
    assert stale_runs(heartbeats, LATER) == heartbeats
    assert stale_runs({}, LATER) == {}


def state(database: Database, report_id: str) -> ReportRecord:
    with database.read() as connection:
        record = find_report(connection, report_id)
    assert record is not None
    return record


@pytest.fixture
def running(database: Database) -> Database:
    """A report and an ingest that are Running in `a-run`, with a heartbeat at noon."""
    with database.registry_transaction() as connection:
        record_heartbeat(connection, "a-run", NOON)
        start_report(connection, "a-run", None, NOON)
        start_ingest_run(connection, "a-run", FILES, NOON)
    return database


def test_report_with_a_fresh_heartbeat_stays_running(running: Database):
    with running.registry_transaction() as connection:
        assert expire_stale_reports(connection, NOON + STALE_AFTER) == []
        record_heartbeat(connection, "a-run", LATER)
        assert expire_stale_reports(connection, LATER + STALE_AFTER) == []
    assert state(running, "a-run").status == "Running"


def test_report_without_a_heartbeat_is_failed_with_reason(running: Database):
    with running.registry_transaction() as connection:
        assert expire_stale_reports(connection, LATER, ["another"]) == []
        assert expire_stale_reports(connection, LATER) == ["a-run"]
        assert expire_stale_reports(connection, LATER) == []
        failures = ingest_failures(connection)
        # the sensor uses it to end Dagster's run
        assert read_stale_runs(connection, LATER) == {"a-run": NOON}
    assert (state(running, "a-run").status, state(running, "a-run").error) == (
        "Failed",
        PROCESS_DIED,
    )
    assert failures is not None
    assert (failures.runs, failures.since, failures.error) == (1, LATER, PROCESS_DIED)


def test_process_that_was_suspended_completes_its_report(running: Database):
    with running.registry_transaction() as connection:
        expire_stale_reports(connection, LATER)
        record_heartbeat(connection, "a-run", LATER)
        complete_report(connection, "a-run", stores=2, finished_at=LATER)
    assert (state(running, "a-run").status, state(running, "a-run").error) == ("Complete", None)


def test_complete_report_never_expires(running: Database):
    with running.registry_transaction() as connection:
        complete_report(connection, "a-run", stores=2, finished_at=NOON)
        assert expire_stale_reports(connection, LATER) == []
    assert state(running, "a-run").status == "Complete"


def test_equal_request_does_not_get_an_expired_report(running: Database):
    def request(request_id: str, now: datetime) -> str:
        with running.registry_transaction(lock="requests") as connection:
            expire_stale_reports(connection, now)
            stored = create_or_get_request(connection, ReportSpec(), request_id, now, max_queued=9)
            if stored.is_new:
                mark_launched(connection, stored, f"run-{request_id}")
                record_heartbeat(connection, f"run-{request_id}", now)
                start_report(connection, f"run-{request_id}", None, now)
            return stored.request_id

    assert [request("1", NOON), request("2", NOON), request("3", LATER)] == ["1", "1", "3"]
