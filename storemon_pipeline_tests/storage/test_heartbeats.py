"""Heartbeats of runs, and failures of ingests."""

from datetime import UTC, datetime, timedelta

import pytest

from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.heartbeats import (
    delete_heartbeats,
    end_heartbeat,
    read_heartbeats,
    record_heartbeat,
)
from storemon_pipeline.storage.ingest_runs import (
    delete_ingest_runs,
    finish_ingest_run,
    ingest_failures,
    latest_success,
    start_ingest_run,
)
from storemon_pipeline.storage.reports import complete_report, start_report

NOON = datetime(2023, 1, 25, 12, tzinfo=UTC)
FILES = {"store_status.csv": [100, 1]}


@pytest.fixture
def running(database: Database) -> Database:
    """A report and an ingest that are Running in `a-run`, with a heartbeat at noon."""
    with database.registry_transaction() as connection:
        record_heartbeat(connection, "a-run", NOON)
        start_report(connection, "a-run", None, NOON)
        start_ingest_run(connection, "a-run", FILES, NOON)
    return database


def test_end_of_a_process_removes_its_heartbeat(database: Database):
    with database.registry_transaction() as connection:
        record_heartbeat(connection, "a-run", NOON)
        end_heartbeat(connection, "a-run")
        assert read_heartbeats(connection) == {}


def test_unrecorded_end_of_a_process_keeps_its_heartbeat(running: Database):
    with running.registry_transaction() as connection:
        end_heartbeat(connection, "a-run")
        assert read_heartbeats(connection) == {"a-run": NOON}
        finish_ingest_run(connection, "a-run", NOON)
        complete_report(connection, "a-run", stores=2, finished_at=NOON)
        end_heartbeat(connection, "a-run")
        assert read_heartbeats(connection) == {}


def test_heartbeats_of_ended_runs_are_dropped(running: Database):
    with running.registry_transaction() as connection:
        record_heartbeat(connection, "another", NOON)
        delete_heartbeats(connection, ["a-run"])
        assert read_heartbeats(connection) == {"another": NOON}


def test_failures_count_since_the_last_success(database: Database):
    hour = timedelta(hours=1)
    with database.registry_transaction() as connection:
        for number, error in enumerate(["first", None, "second", "x" * 10_000]):
            start_ingest_run(connection, str(number), FILES, NOON + number * hour)
            finish_ingest_run(connection, str(number), NOON + number * hour, error=error)
        # an ingest of one table does not count as a success of all
        start_ingest_run(connection, "some", None, NOON + 9 * hour)
        finish_ingest_run(connection, "some", NOON + 9 * hour)
        failures, success = ingest_failures(connection), latest_success(connection)
        assert delete_ingest_runs(connection, NOON + 99 * hour) == 1
        assert (ingest_failures(connection), latest_success(connection)) == (failures, success)
    assert failures is not None
    assert success is not None
    assert (success.run_id, success.files) == ("1", FILES)
    assert (failures.runs, failures.since, failures.run_id) == (2, NOON + 2 * hour, "3")
    assert len(failures.error) == 2000
