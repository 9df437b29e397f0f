"""Connections, transactions and error messages of a database."""

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine, insert, inspect, make_url, select, text

from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.database_faults import DatabaseUnavailableError
from storemon_pipeline.storage.schema import metadata, store_timezone
from storemon_pipeline.storage.schema_version import VERSION, current_version


def zones(database: Database) -> list[tuple[str, str]]:
    with database.read() as connection:
        return sorted(tuple(row) for row in connection.execute(select(store_timezone)))


def insert_zone(connection, store: str) -> None:
    connection.execute(insert(store_timezone).values(store_id=store, timezone_str="Asia/Tokyo"))


def test_reopened_database_keeps_its_tables(database: Database, database_url):
    with database.data_transaction() as connection:
        insert_zone(connection, "1")
        assert current_version(connection) == VERSION
        tables = set(inspect(connection).get_table_names())
    with database.registry_transaction() as connection:
        assert current_version(connection) == VERSION
        tables |= set(inspect(connection).get_table_names())
    assert tables >= set(metadata.tables)
    reopened = Database(database_url)
    assert zones(reopened) == [("1", "Asia/Tokyo")]
    reopened.close()


def test_public_tables_have_their_documented_columns(database: Database):
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


def test_error_rolls_back_the_transaction(database: Database):
    def fail() -> None:
        with database.data_transaction() as connection:
            insert_zone(connection, "1")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert zones(database) == []


def test_read_connection_rolls_back_writes(database: Database):
    with database.read() as connection:
        insert_zone(connection, "1")
    assert zones(database) == []


def test_read_connection_sees_one_snapshot(database: Database):
    with database.read() as connection:
        assert connection.execute(select(store_timezone)).all() == []
        with database.data_transaction() as writer:
            insert_zone(writer, "1")
        assert connection.execute(select(store_timezone)).all() == []
    assert zones(database) == [("1", "Asia/Tokyo")]


def test_missing_directory_of_a_sqlite_file_is_created(tmp_path: Path):
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


def test_two_processes_create_a_database_concurrently(database_url):
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


@pytest.mark.parametrize("kind", ["directory", "below a file", "text file"])
def test_invalid_sqlite_path_raises_with_path(tmp_path: Path, kind):
    path = tmp_path / "invalid"
    if kind == "directory":
        path.mkdir()
    else:
        path.write_text("text, longer than an empty database" * 20)
    url = f"sqlite:///{path}/storemon.db" if kind == "below a file" else f"sqlite:///{path}"
    with pytest.raises(DatabaseUnavailableError) as raised:
        Database(url)
    assert str(path) in str(raised.value)
    assert "STOREMON_DATABASE_URL" in str(raised.value)


@pytest.mark.parametrize("wrong", ["database", "port"])
def test_unreachable_postgresql_raises_without_password(postgresql_url, wrong):
    url = make_url(postgresql_url)
    if wrong == "database":
        url = url.set(database="no_such_database", password="so-secret")
    else:
        url = make_url("postgresql+psycopg2://someone:so-secret@127.0.0.1:9/storemon")
    with pytest.raises(DatabaseUnavailableError) as raised:
        Database(url.render_as_string(hide_password=False))
    assert "STOREMON_DATABASE_URL" in str(raised.value)
    assert str(url.database) in str(raised.value)
    assert "so-secret" not in str(raised.value)


def test_connection_closed_by_the_server_is_replaced(postgresql_url: str):
    database = Database(postgresql_url)
    assert zones(database) == []
    # as after a restart of the server, or when a firewall drops an idle connection
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
        insert_zone(connection, "1")
    assert zones(database) == [("1", "Asia/Tokyo")]
    database.close()


def test_server_lost_during_bulk_read_raises_without_password(
    postgresql_url: str,
):
    url = make_url(postgresql_url).set(password="so-secret")
    database = Database(url.render_as_string(hide_password=False))
    with pytest.raises(DatabaseUnavailableError, match="STOREMON_DATABASE_URL") as raised:
        database.fetch_arrow("SELECT pg_terminate_backend(pg_backend_pid())", {})
    assert "so-secret" not in str(raised.value)
    # as after the server has moved
    database._url = url.set(host="127.0.0.1", port=9, query={})
    with pytest.raises(DatabaseUnavailableError, match="STOREMON_DATABASE_URL") as raised:
        database.fetch_arrow("SELECT 1", {})
    assert "so-secret" not in str(raised.value)
    database.close()


def test_invalid_query_is_not_reported_as_unavailable(postgresql_url: str):
    database = Database(postgresql_url)
    with pytest.raises(Exception, match="no_such_table") as raised:
        database.fetch_arrow("SELECT * FROM no_such_table", {})
    assert not isinstance(raised.value, DatabaseUnavailableError)
    database.close()
