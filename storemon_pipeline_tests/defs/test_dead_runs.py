"""Runs whose process has died: their reports, files and status in Dagster; heartbeats."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from storemon_pipeline.defs.dead_runs import Suspect, dead_runs, end_dead_runs
from storemon_pipeline.defs.heartbeat import Heartbeat
from storemon_pipeline.defs.resources import StoremonResource
from storemon_pipeline.defs.sensors.report_requests import report_status_sensor
from storemon_pipeline.evaluation.stale_runs import HEARTBEAT_INTERVAL, PROCESS_DIED, STALE_AFTER
from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.heartbeats import record_heartbeat
from storemon_pipeline.storage.reports import cancel_report, start_report
from storemon_pipeline_tests.helpers.runner import report_dir, report_row, run, table

NOON = datetime(2023, 1, 25, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
SECONDS = 60


def wait_until(what: str, is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not is_true():
        assert time.monotonic() < deadline, f"timed out waiting for {what}"
        time.sleep(0.02)


# Decisions


def test_run_is_dead_after_one_more_interval() -> None:
    stale = {"a-run": NOON}
    suspects, dead = dead_runs(stale, {}, NOON)
    assert (suspects, dead) == ({"a-run": Suspect(NOON.isoformat(), NOON.isoformat())}, [])
    assert dead_runs(stale, suspects, NOON + HEARTBEAT_INTERVAL - SECOND) == (suspects, [])
    assert dead_runs(stale, suspects, NOON + HEARTBEAT_INTERVAL) == ({}, ["a-run"])


def test_run_with_a_new_heartbeat_is_no_suspect() -> None:
    suspects, _ = dead_runs({"a-run": NOON}, {}, NOON)
    later = NOON + HEARTBEAT_INTERVAL
    assert dead_runs({}, suspects, later) == ({}, [])
    # stale again: the interval starts again
    again, dead = dead_runs({"a-run": NOON + SECOND}, suspects, later)
    assert (again["a-run"].since, dead) == (later.isoformat(), [])


# Clean-up


def end_all(instance: dg.DagsterInstance) -> None:
    """Run the two ticks that end a dead run, a minute from now."""
    later = datetime.now(UTC) + STALE_AFTER + SECOND
    cursor = end_dead_runs(instance, StoremonResource(), None, later)
    end_dead_runs(instance, StoremonResource(), cursor, later + HEARTBEAT_INTERVAL)


@pytest.fixture
def home(
    isolated_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    """Dagster instance on disk, shared by processes."""
    folder = isolated_environment / "dagster"
    folder.mkdir()
    (folder / "dagster.yaml").touch()
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    with dg.DagsterInstance.get() as instance:
        yield instance


@pytest.fixture
def killed(home: dg.DagsterInstance, two_stores: Path, isolated_environment: Path) -> str:
    """Id of a run of `dagster job execute` that was killed during its ingest."""
    database = StoremonResource().database
    # a write lock on the data blocks the ingest but not the heartbeat
    lock = sqlite3.connect(isolated_environment / "storemon.db")
    lock.execute("BEGIN IMMEDIATE")
    command = ["job", "execute", "-m", "storemon_pipeline.definitions", "-j"]
    with subprocess.Popen(
        [Path(sys.executable).with_name("dagster"), *command, "ingest_and_report_job"],
        cwd=isolated_environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ,
    ) as process:
        wait_until("the report to begin", lambda: bool(table("report")))
        process.send_signal(signal.SIGKILL)
    lock.close()
    assert database.is_sqlite
    (row,) = table("ingest_run")
    run_id: str = row["run_id"]
    return run_id


def test_killed_process_leaves_no_report_running(home: dg.DagsterInstance, killed: str) -> None:
    stored = home.get_run_by_id(killed)
    assert stored is not None
    assert stored.status is dg.DagsterRunStatus.STARTED
    assert report_row(killed)["status"] == "Running"
    part = report_dir(killed) / ".report.csv.part"
    part.parent.mkdir(parents=True)
    part.touch()

    end_all(home)

    stored = home.get_run_by_id(killed)
    assert stored is not None
    assert stored.status is dg.DagsterRunStatus.FAILURE
    assert (report_row(killed)["status"], report_row(killed)["error"]) == ("Failed", PROCESS_DIED)
    (ingest,) = table("ingest_run")
    assert (ingest["status"], ingest["error"]) == ("Failed", PROCESS_DIED)
    assert not part.exists()
    assert table("run_heartbeat") == []
    # the next run ingests the files
    assert run(home, "ingest_and_report_job").success


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING])
def test_canceled_dead_run_is_canceled_in_dagster(
    instance: dg.DagsterInstance, status: dg.DagsterRunStatus
) -> None:
    instance.add_run(dg.DagsterRun(job_name="report_job", run_id="a-run", status=status))
    now = datetime.now(UTC)
    with StoremonResource().database.registry_transaction() as connection:
        record_heartbeat(connection, "a-run", now)
        start_report(connection, "a-run", None, now)
        if status is dg.DagsterRunStatus.STARTED:
            cancel_report(connection, "a-run", canceled_at=now)
    end_all(instance)
    stored = instance.get_run_by_id("a-run")
    assert stored is not None
    assert stored.status is dg.DagsterRunStatus.CANCELED


def test_living_run_is_left_alone(instance: dg.DagsterInstance) -> None:
    status = dg.DagsterRunStatus.STARTED
    instance.add_run(dg.DagsterRun(job_name="report_job", run_id="a-run", status=status))
    later = datetime.now(UTC) + STALE_AFTER + SECOND
    with StoremonResource().database.registry_transaction() as connection:
        record_heartbeat(connection, "a-run", datetime.now(UTC))
        start_report(connection, "a-run", None, NOON)
    cursor = end_dead_runs(instance, StoremonResource(), None, later)
    assert list(json.loads(cursor)) == ["a-run"]
    with StoremonResource().database.registry_transaction() as connection:
        record_heartbeat(connection, "a-run", later)  # suspended together with the daemon
    assert end_dead_runs(instance, StoremonResource(), cursor, later + HEARTBEAT_INTERVAL) == "{}"
    assert report_row("a-run")["status"] == "Running"


def test_status_sensor_keeps_its_suspects(instance: dg.DagsterInstance) -> None:
    with StoremonResource().database.registry_transaction() as connection:
        record_heartbeat(connection, "a-run", NOON)
    with dg.build_sensor_context(instance, resources={"storemon": StoremonResource()}) as context:
        report_status_sensor(context)
        assert list(json.loads(context.cursor or "")) == ["a-run"]


# Heartbeat


def beats() -> list[datetime]:
    return [row["beat_at"] for row in table("run_heartbeat")]


def test_heartbeat_survives_an_unavailable_database(
    isolated_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = StoremonResource().database
    heartbeat = Heartbeat(database, "a-run", interval=0.01)
    heartbeat.start()
    (first,) = beats()
    wait_until("another beat", lambda: beats() != [first])
    failed = []

    def unavailable(self: Database) -> None:
        failed.append(self)
        raise OSError("the disk is unavailable")

    with monkeypatch.context() as patch:
        patch.setattr(Database, "registry_transaction", unavailable)
        wait_until("some failed beats", lambda: len(failed) > 2)
    (last,) = beats()
    wait_until("the next beat", lambda: beats() != [last])
    heartbeat.stop()
    assert beats() == []


def test_run_has_a_heartbeat_only_while_it_works(
    instance: dg.DagsterInstance, two_stores: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    observed: list[datetime] = []
    monkeypatch.setattr(
        "storemon_pipeline.defs.assets.report.render_report_html",
        lambda *_, **__: observed.extend(beats()) or "<p>",
    )
    assert run(instance, "ingest_and_report_job").success
    assert len(observed) == 1
    assert beats() == []
