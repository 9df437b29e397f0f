"""A database: its tables are made once, changes happen whole, and what cannot be reached is told."""

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine, insert, inspect, make_url, select, text

from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.errors import DatabaseUnavailableError
from storemon_pipeline.storage.schema import metadata, store_timezone
from storemon_pipeline.storage.schema_version import VERSION, current_version


def zones(database: Database) -> list[tuple[str, str]]:
    with database.read() as connection:
        return sorted(tuple(row) for row in connection.execute(select(store_timezone)))


def add(connection, store: str) -> None:
    connection.execute(insert(store_timezone).values(store_id=store, timezone_str="Asia/Tokyo"))


def test_the_tables_are_made_once_and_kept(database: Database, database_url):
    with database.data_transaction() as connection:
        add(connection, "1")
        assert current_version(connection) == VERSION
        held = set(inspect(connection).get_table_names())
    with database.registry_transaction() as connection:
        assert current_version(connection) == VERSION
        held |= set(inspect(connection).get_table_names())
    assert held >= set(metadata.tables)
    again = Database(database_url)
    assert zones(again) == [("1", "Asia/Tokyo")]
    again.close()


def test_the_columns_are_those_that_others_rely_on(database: Database):
    with database.read() as connection:
        inspector = inspect(connection)
        columns = {
            table: [column["name"] for column in inspector.get_columns(table)]
            for table in ("store_status", "store_timezone", "business_hours")
        }
        keys = inspector.get_pk_constraint("store_status")["constrained_columns"]
    with database.registry_transaction() as connection:
        report = [column["name"] for column in inspect(connection).get_columns("report")]
    assert columns["store_status"] == ["store_id", "timestamp_utc", "status"]
    assert columns["store_timezone"] == ["store_id", "timezone_str"]
    assert columns["business_hours"] == [
        "store_id",
        "day_of_week",
        "start_time_local",
        "end_time_local",
    ]
    assert report == [
        "report_id",
        "status",
        "request",
        "as_of",
        "requested_at",
        "finished_at",
        "stores",
        "error",
        "run_id",
    ]
    assert keys == ["store_id", "timestamp_utc"]


def test_an_error_undoes_everything_within_a_transaction(database: Database):
    def fail() -> None:
        with database.data_transaction() as connection:
            add(connection, "1")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert zones(database) == []


def test_who_reads_changes_nothing(database: Database):
    with database.read() as connection:
        add(connection, "1")
    assert zones(database) == []


def test_who_reads_sees_one_state_while_another_writes(database: Database):
    with database.read() as connection:
        assert connection.execute(select(store_timezone)).all() == []
        with database.data_transaction() as writer:
            add(writer, "1")
        assert connection.execute(select(store_timezone)).all() == []
    assert zones(database) == [("1", "Asia/Tokyo")]


def test_the_directory_of_a_sqlite_file_is_made(tmp_path: Path):
    database = Database(f"sqlite:///{tmp_path}/a/b/c.db")
    assert zones(database) == []
    database.close()


OPEN = """
import sys
from storemon_pipeline.storage.database import Database

print("ready", flush=True)
sys.stdin.readline()
Database(sys.argv[1])
"""


def test_two_processes_may_make_a_new_database_at_once(database_url):
    with subprocess.Popen(
        [sys.executable, "-c", OPEN, database_url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "ready\n"
        process.stdin.write("go\n")
        process.stdin.flush()
        database = Database(database_url)
        process.communicate(timeout=30)
    assert process.returncode == 0
    assert zones(database) == []
    database.close()


@pytest.mark.parametrize("what", ["a directory", "below a file", "another file"])
def test_a_sqlite_file_that_is_none_is_told(tmp_path: Path, what):
    path = tmp_path / "it"
    if what == "a directory":
        path.mkdir()
    else:
        path.write_text("this is no database, and long enough not to be taken for a new one" * 9)
    url = f"sqlite:///{path}/storemon.db" if what == "below a file" else f"sqlite:///{path}"
    with pytest.raises(DatabaseUnavailableError) as told:
        Database(url)
    assert str(path) in str(told.value)
    assert "STOREMON_DATABASE_URL" in str(told.value)


@pytest.mark.parametrize("wrong", ["database", "port"])
def test_a_postgresql_that_cannot_be_reached_is_told_without_its_password(postgresql_url, wrong):
    url = make_url(postgresql_url)
    if wrong == "database":
        url = url.set(database="no_such_database", password="so-secret")
    else:
        url = make_url("postgresql+psycopg2://someone:so-secret@127.0.0.1:9/storemon")
    with pytest.raises(DatabaseUnavailableError) as told:
        Database(url.render_as_string(hide_password=False))
    assert "STOREMON_DATABASE_URL" in str(told.value)
    assert str(url.database) in str(told.value)
    assert "so-secret" not in str(told.value)


def test_a_connection_that_the_server_has_closed_is_replaced(postgresql_url: str):
    database = Database(postgresql_url)
    assert zones(database) == []
    # as when the server was started anew, or a firewall has cut an idle connection
    other = create_engine(postgresql_url)
    with other.connect() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    other.dispose()
    with database.data_transaction() as connection:
        add(connection, "1")
    assert zones(database) == [("1", "Asia/Tokyo")]
    database.close()


def test_a_server_that_goes_away_during_a_bulk_read_is_told_without_its_password(
    postgresql_url: str,
):
    url = make_url(postgresql_url).set(password="so-secret")
    database = Database(url.render_as_string(hide_password=False))
    with pytest.raises(DatabaseUnavailableError, match="STOREMON_DATABASE_URL") as told:
        database.fetch_arrow("SELECT pg_terminate_backend(pg_backend_pid())", {})
    assert "so-secret" not in str(told.value)
    # as it is after the server has moved
    database._url = url.set(host="127.0.0.1", port=9, query={})
    with pytest.raises(DatabaseUnavailableError, match="STOREMON_DATABASE_URL") as told:
        database.fetch_arrow("SELECT 1", {})
    assert "so-secret" not in str(told.value)
    database.close()


def test_a_question_that_is_wrong_is_no_server_that_is_away(postgresql_url: str):
    database = Database(postgresql_url)
    with pytest.raises(Exception, match="no_such_table") as told:
        database.fetch_arrow("SELECT * FROM no_such_table", {})
    assert not isinstance(told.value, DatabaseUnavailableError)
    database.close()
