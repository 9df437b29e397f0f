"""SQLite's registry file, and the split of an older single file."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, select

from storemon_pipeline.storage import schema_version, sqlite
from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.reports import read_reports, start_report
from storemon_pipeline.storage.schema import (
    REGISTRY_TABLES,
    alert,
    idempotency_key,
    metadata,
    report_figure,
    store_timezone,
)

NOON = datetime(2023, 1, 25, 12, tzinfo=UTC)
AT = "'2023-01-25 12:00:00.000000'"
OLD_ROWS = f"""
INSERT INTO report (report_id, run_id, status, requested_at) VALUES ('one', 'one', 'Queued', {AT});
INSERT INTO report_request (request_id, status, asked, digest, requested_at)
VALUES ('r', 'Waiting', '{{}}', 'd', {AT});
INSERT INTO idempotency_key VALUES ('key', 'd', 'r');
INSERT INTO report_figure VALUES ('one', 'last_week', 's1', 1, 2, 3);
INSERT INTO fleet_figure VALUES ('one', 'last_week', 1, 2, 3);
INSERT INTO fleet_hour VALUES ('one', 0, 9, 60.0, 1.5);
INSERT INTO alert (alert_id, store_id, kind, down_since, as_of, noticed_at, payload, attempts)
VALUES ('a', 's1', 'down', {AT}, {AT}, {AT}, '{{}}', 1);
INSERT INTO store_timezone VALUES ('s1', 'Asia/Tokyo');
"""

NEWER = ("ingest_run", "run_heartbeat", "state_evaluation", "store_state")
"""Tables of the registry that are newer than the split."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The data file."""
    return tmp_path / "storemon.db"


@pytest.fixture
def old(path: Path) -> Path:
    """A single file as before the split, with a row in each table of the registry."""
    config = Config()
    folder = str(Path(schema_version.__file__).parent / "migrations")
    config.set_main_option("script_location", folder)
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes.update(connection=connection, part="all")
        command.upgrade(config, f"{schema_version.SPLIT}-1")
        for statement in OLD_ROWS.split(";\n"):
            connection.exec_driver_sql(statement)
    engine.dispose()
    return path


def tables(path: Path) -> set[str]:
    connection = sqlite3.connect(path)
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    connection.close()
    return {name for (name,) in names} - {"alembic_version"}


def counts(database: Database) -> dict[str, int]:
    with database.read() as connection:
        return {
            table.name: len(connection.execute(select(table)).all())
            for table in REGISTRY_TABLES
            if table.name not in NEWER
        }


@pytest.fixture
def sqlite_database(path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{path}")
    yield database
    database.close()


def test_each_table_is_in_exactly_one_file(sqlite_database: Database, path: Path):
    registry = {table.name for table in REGISTRY_TABLES}
    assert tables(sqlite.registry_file(path)) == registry
    assert tables(path) == set(metadata.tables) - registry
    assert sqlite_database.is_sqlite


def test_registry_is_writable_during_an_ingest(sqlite_database: Database):
    with sqlite_database.data_transaction() as ingest:
        ingest.execute(store_timezone.insert().values(store_id="1", timezone_str="UTC"))
        with sqlite_database.registry_transaction(lock="requests") as connection:
            start_report(connection, "run", None, NOON)
        with sqlite_database.read() as connection:
            assert [state.report_id for state in read_reports(connection, limit=9)] == ["run"]
            assert connection.execute(select(store_timezone)).all() == []


@pytest.mark.parametrize("target", ["data", "registry"])
def test_write_to_table_of_the_other_file_fails(sqlite_database: Database, target: str):
    write, table = (
        (sqlite_database.data_transaction, alert)
        if target == "data"
        else (sqlite_database.registry_transaction, store_timezone)
    )
    with (
        pytest.raises(Exception, match=f"no such table: {table.name}"),
        write() as connection,
    ):
        connection.execute(table.delete())


def test_older_single_file_is_split(old: Path, sqlite_database: Database):
    assert set(counts(sqlite_database).values()) == {1}
    with sqlite_database.read() as connection:
        assert connection.execute(select(store_timezone)).all() == [("s1", "Asia/Tokyo")]
        assert connection.execute(select(idempotency_key)).all() == [("key", "d", "r")]
        assert connection.execute(select(report_figure)).all() == [
            ("one", "last_week", "s1", 1, 2, 3)
        ]
    assert not tables(old) & {table.name for table in REGISTRY_TABLES}


class KilledError(BaseException):
    """Simulates that the process was killed."""


@pytest.mark.parametrize("commits", range(4))
def test_killed_split_is_resumed(old: Path, monkeypatch: pytest.MonkeyPatch, commits: int):
    done = 0
    step = schema_version.migrate

    def migrate_or_die(*args: object, **options: object) -> None:
        nonlocal done
        step(*args, **options)  # type: ignore[arg-type]
        if done == commits:  # written, but not committed
            raise KilledError
        done += 1

    url = f"sqlite:///{old}"
    monkeypatch.setattr(sqlite, "migrate", migrate_or_die)
    if commits < 3:
        with pytest.raises(KilledError):
            Database(url)
    monkeypatch.setattr(sqlite, "migrate", step)
    database = Database(url)
    assert set(counts(database).values()) == {1}
    with database.registry_transaction() as connection:
        connection.execute(alert.delete())
    database.close()
    database = Database(url)
    assert counts(database)["alert"] == 0  # not copied a second time
    database.close()


OPEN = """
import sys
from storemon_pipeline.storage.database import Database

print("ready", flush=True)
sys.stdin.readline()
Database(sys.argv[1])
"""


def test_two_processes_split_a_file_concurrently(old: Path):
    with subprocess.Popen(
        [sys.executable, "-c", OPEN, f"sqlite:///{old}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "ready\n"
        process.stdin.write("go\n")
        process.stdin.flush()
        database = Database(f"sqlite:///{old}")
        process.communicate(timeout=30)
    assert process.returncode == 0
    assert set(counts(database).values()) == {1}
    database.close()


def test_data_file_without_registry_has_no_reports(old: Path):
    Database(f"sqlite:///{old}").close()
    for file in old.parent.glob("storemon-registry.db*"):
        file.unlink()
    database = Database(f"sqlite:///{old}")
    assert set(counts(database).values()) == {0}
    with database.read() as connection:
        assert connection.execute(select(store_timezone)).all() == [("s1", "Asia/Tokyo")]
    database.close()
