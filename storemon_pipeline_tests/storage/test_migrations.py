"""A database is brought to the newest schema when it is opened, and that is the declared one."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, create_engine, inspect, select, text
from sqlalchemy.engine import Engine

from storemon_pipeline.storage import schema_version
from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.ingest_log import count_bad_rows_by_file, latest_ingest_id
from storemon_pipeline.storage.reports import find_report, read_reports, start_report
from storemon_pipeline.storage.schema import (
    REGISTRY_TABLES,
    metadata,
    polled_store,
    quarantined_row,
    store_status,
)


def writers(database: Database) -> list[tuple[Callable[[], Any], set[str]]]:
    """How each file of a database is written, and the tables that it is to have."""
    every = set(metadata.tables)
    if not database.is_sqlite:
        return [(database.data_transaction, every)]
    registry = {table.name for table in REGISTRY_TABLES}
    return [
        (database.data_transaction, every - registry),
        (database.registry_transaction, registry),
    ]


def test_migrations_and_declared_tables_are_the_same(database: Database):
    for write, tables in writers(database):
        expected = MetaData()
        for table in metadata.sorted_tables:
            if table.name in tables:
                table.to_metadata(expected)
        with write() as connection:
            context = MigrationContext.configure(
                connection,
                opts={"include_name": schema_version.include_in_autogenerate, "compare_type": True},
            )
            assert compare_metadata(context, expected) == []


def test_checks_and_partitions_are_those_declared(database: Database):
    # what Alembic does not compare
    with database.registry_transaction() as connection:
        if not database.is_sqlite:
            key = connection.execute(
                text("SELECT pg_get_partkeydef('store_status'::regclass)")
            ).scalar_one()
            assert key == "RANGE (timestamp_utc)"
        with pytest.raises(Exception, match="report_status_is_known"):
            connection.execute(
                text(
                    "INSERT INTO report (report_id, status, requested_at) "
                    "VALUES ('1', 'Lost', '2023-01-01 00:00:00')"
                )
            )


def test_the_newest_migration_is_the_version_that_is_looked_for():
    config = Config()
    folder = str(schema_version.Path(schema_version.__file__).parent / "migrations")
    config.set_main_option("script_location", folder)
    assert ScriptDirectory.from_config(config).get_current_head() == schema_version.VERSION


@pytest.mark.parametrize("part", ["data", "registry"])
def test_a_database_of_a_newer_version_is_refused(database: Database, database_url: str, part: str):
    write = database.data_transaction if part == "data" else database.registry_transaction
    with write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(schema_version.NewerDatabaseError, match="9999"):
        Database(database_url)


OLD_POLLS = [
    ("both", "0001-01-01 00:00:00.000000", "inactive"),
    ("both", "1999-12-31 23:59:59.999999", "active"),
    ("both", "2000-01-01 00:00:00.000000", "active"),
    ("both", "2023-01-25 10:00:00.000000", "active"),
    ("new", "2023-01-25 11:00:00.000000", "inactive"),
    ("old", "0001-01-01 00:00:00.000000", "inactive"),
]


def test_polls_before_2000_are_moved_to_quarantine(database_url: str):
    engine, is_sqlite = _at_version(database_url, "0003"), database_url.startswith("sqlite")
    zone = "" if is_sqlite else "+00"
    with engine.begin() as connection:
        for month in {at[:7] for _, at, _ in OLD_POLLS} if not is_sqlite else ():
            first = f"{month}-01 00:00:00+00"
            end = f"timestamptz '{first}' + interval '1 month'"
            connection.exec_driver_sql("SET LOCAL timezone = 'UTC'")
            end = connection.exec_driver_sql(f"SELECT ({end})::text").scalar_one()
            connection.exec_driver_sql(
                f"CREATE TABLE store_status_{month.replace('-', '_')} PARTITION OF store_status "
                f"FOR VALUES FROM ('{first}') TO ('{end}')"
            )
        for store, at, status in OLD_POLLS:
            connection.exec_driver_sql(
                f"INSERT INTO store_status VALUES ('{store}', '{at}{zone}', '{status}')"
            )
        connection.exec_driver_sql(
            "INSERT INTO polled_store SELECT store_id, min(timestamp_utc), max(timestamp_utc) "
            "FROM store_status GROUP BY store_id"
        )
    engine.dispose()

    database = Database(database_url)
    with database.read() as connection:
        polls = connection.execute(select(store_status).order_by("store_id", "timestamp_utc")).all()
        polled = connection.execute(select(polled_store).order_by("store_id")).all()
        bad = connection.execute(select(quarantined_row).order_by("quarantined_row_id")).all()
        assert count_bad_rows_by_file(connection) == {}
        tables = inspect(connection).get_table_names()
    kept = [poll for poll in OLD_POLLS if poll[1] >= "2000"]
    assert [(store, f"{at:%Y-%m-%d %H:%M:%S.%f}", status) for store, at, status in polls] == kept
    assert [(store, first.year, last.year) for store, first, last in polled] == [
        ("both", 2000, 2023),
        ("new", 2023, 2023),
    ]
    assert [row.row_text for row in bad] == [
        f"{store},{status},{at} UTC" for store, at, status in OLD_POLLS if at < "2000"
    ]
    assert {row.line_number for row in bad} == {0}
    assert all("before the year 2000" in row.reason for row in bad)
    months = sorted(name[-7:] for name in tables if re.search(r"_\d{4}_\d\d$", name))
    assert months == ([] if is_sqlite else ["2000_01", "2023_01"])
    database.close()


def test_without_polls_before_2000_nothing_is_recorded(database_url: str):
    _at_version(database_url, "0003").dispose()
    database = Database(database_url)
    with database.read() as connection:
        assert latest_ingest_id(connection) == 0
    database.close()


def _at_version(database_url: str, version: str) -> Engine:
    """An engine to a database that an earlier version of the project made."""
    config = Config()
    folder = str(schema_version.Path(schema_version.__file__).parent / "migrations")
    config.set_main_option("script_location", folder)
    engine = create_engine(database_url)
    with engine.begin() as connection:
        config.attributes.update(connection=connection, part="all")
        command.upgrade(config, version)
    return engine


def test_the_reports_of_the_first_version_are_kept_with_the_run_that_made_them(database_url: str):
    config = Config()
    config.set_main_option(
        "script_location", str(schema_version.Path(schema_version.__file__).parent / "migrations")
    )
    engine = create_engine(database_url)
    noon = "2023-01-25 12:00:00.000000" + ("" if engine.dialect.name == "sqlite" else "+00")
    insert = text(
        "INSERT INTO report (report_id, status, request, as_of, requested_at, finished_at, stores,"
        " error) VALUES (:id, :status, :request, :noon, :noon, :noon, :stores, :error)"
    )
    request = '{"as_of": "2023-01-25T12:00:00Z", "store_ids": null}'
    old = [
        {"id": "one", "status": "Complete", "request": request, "stores": 2, "error": None},
        {"id": "two", "status": "Failed", "request": None, "stores": None, "error": "no polls"},
    ]
    with engine.begin() as connection:
        config.attributes.update(connection=connection, part="all")
        command.upgrade(config, "0001")
        assert schema_version.current_version(connection) == "0001"
        for row in old:
            connection.execute(insert, row | {"noon": noon})
    engine.dispose()
    database = Database(database_url)
    with database.read() as connection:
        assert schema_version.current_version(connection) == schema_version.VERSION
        two, one = read_reports(connection, limit=9)
        assert find_report(connection, "one") == one
    at = datetime(2023, 1, 25, 12, tzinfo=UTC)
    assert (one.report_id, one.run_id, one.status, one.stores) == ("one", "one", "Complete", 2)
    assert (one.request or {})["store_ids"] is None
    assert (two.run_id, two.error, two.request) == ("two", "no polls", None)
    assert one.as_of == one.requested_at == one.finished_at == at
    # and a retry goes on with it
    with database.registry_transaction() as connection:
        start_report(connection, "retry", None, at, root_run_id="two")
    with database.read() as connection:
        assert find_report(connection, "retry") == find_report(connection, "two")
    database.close()
