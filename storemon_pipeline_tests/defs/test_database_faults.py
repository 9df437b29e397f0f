"""Steps retry while the database is unavailable; other faults fail with one sentence."""

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import create_engine, text

from storemon_pipeline.definitions import defs
from storemon_pipeline.defs import failures
from storemon_pipeline.defs.resources import StoremonResource
from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.database_faults import DatabaseUnavailableError, classify_error
from storemon_pipeline_tests.helpers.runner import failure, report_row, run

KILL_ALL = text(
    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


@pytest.fixture(autouse=True)
def no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "FIRST_DELAY_SECONDS", 0)


@pytest.fixture
def on_postgresql(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("STOREMON_DATABASE_URL", postgresql_url)
    return postgresql_url


def test_ingest_with_a_lost_connection_is_retried(
    instance: dg.DagsterInstance,
    two_stores: Path,
    on_postgresql: str,
    monkeypatch: pytest.MonkeyPatch,
):
    from storemon_pipeline.ingestion import ingest

    engine, cut = create_engine(on_postgresql), []
    count = ingest.count_rows

    def cut_once(*args: object) -> int:
        if not cut:
            cut.append(True)
            with engine.connect() as other:
                other.execute(KILL_ALL)
        return count(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(ingest, "count_rows", cut_once)
    result = run(instance, "ingest_and_report_job")
    engine.dispose()
    assert cut
    assert result.success
    assert report_row(result.run_id)["status"] == "Complete"
    retries = [e for e in result.all_events if e.event_type_value == "STEP_UP_FOR_RETRY"]
    assert len(retries) == 1


def test_unavailable_database_fails_after_retries(
    instance: dg.DagsterInstance,
    two_stores: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    url = "postgresql://storemon:secret@127.0.0.1:1/stores"
    monkeypatch.setenv("STOREMON_DATABASE_URL", url)
    result = run(instance, "ingest_and_report_job")
    assert "127.0.0.1:1/stores cannot be reached" in failure(result, "ingest")
    types = [event.event_type_value for event in result.all_events]
    assert types.count("STEP_RESTARTED") == failures.RETRIES
    # the failure hook cannot record it either, but does not fail
    assert "HOOK_ERRORED" not in types


def test_full_disk_names_the_sqlite_file(tmp_path: Path):
    code = """
import resource, signal, sys
from sqlalchemy import insert
from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.database_faults import DatabaseUnavailableError
from storemon_pipeline.storage.schema import store_timezone
database = Database(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
rows = [{"store_id": str(n), "timezone_str": "x" * 500} for n in range(20_000)]
try:
    with database.data_transaction() as connection:
        connection.execute(insert(store_timezone), rows)
except DatabaseUnavailableError as error:
    print(error.is_transient, error)
"""
    path = tmp_path / "storemon.db"
    output = subprocess.run(
        [sys.executable, "-c", code, f"sqlite:///{path}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    assert output.startswith(
        (
            f"False {path} cannot be read or written (disk I/O error)",
            f"False no space left for {path}",
        )
    )
    assert "STOREMON_DATABASE_URL" in output


FILL_UP = (
    "INSERT INTO store_timezone WITH RECURSIVE n(i) AS "
    "(SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9999) SELECT i, 'UTC' FROM n"
)


@pytest.mark.parametrize(
    ("pragma", "message"),
    [
        ("max_page_count = 1", "no space left on the disk of {}: free some space"),
        ("query_only = ON", "{} is not writable: allow this user to write the file"),
    ],
)
def test_sqlite_fault_names_the_file(tmp_path: Path, pragma: str, message: str):
    path = tmp_path / "storemon.db"
    database = Database(f"sqlite:///{path}")

    def write() -> None:
        with database.data_transaction() as connection:
            connection.exec_driver_sql(f"PRAGMA {pragma}")
            connection.exec_driver_sql(FILL_UP)

    with pytest.raises(DatabaseUnavailableError, match=re.escape(message.format(path))) as raised:
        write()
    assert not raised.value.is_transient
    database.close()


def test_wrong_query_is_not_a_database_fault(database: Database):
    with database.read() as connection, pytest.raises(Exception, match="no_such_table") as raised:
        connection.exec_driver_sql("SELECT * FROM no_such_table")
    assert classify_error(raised.value, database._url) is None


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_full_disk_names_the_reports_directory(
    instance: dg.DagsterInstance,
    two_stores: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
):
    from storemon_pipeline.storage.report_writer import ReportWriter

    def full(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(ReportWriter, "open", full)
    result = run(instance, "ingest_and_report_job")
    message = failure(result, "report")
    assert message.startswith(str(StoremonResource().settings.reports_dir))
    assert os.strerror(code) in message
    assert "STOREMON_REPORTS_DIR" in message
    assert report_row(result.run_id)["error"] == message


def test_sensor_tick_is_skipped_if_database_unavailable(
    instance: dg.DagsterInstance, two_stores: Path, monkeypatch: pytest.MonkeyPatch
):
    url = "postgresql://storemon:secret@127.0.0.1:1/stores"
    monkeypatch.setenv("STOREMON_DATABASE_URL", url)
    monkeypatch.setenv("STOREMON_ALERT_WEBHOOK_URL", "http://127.0.0.1:1/")
    for sensor in defs.sensors or []:
        with dg.build_sensor_context(
            instance, resources={"storemon": StoremonResource()}
        ) as context:
            skipped = sensor(context)
        assert isinstance(skipped, dg.SkipReason)
        assert "cannot be reached" in (skipped.skip_message or "")
