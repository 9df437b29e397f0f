"""A database is brought to the newest schema when it is opened, and that is the declared one."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, create_engine, text

from storemon_pipeline.storage import migrate
from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.registry import find_report, list_reports, start_report
from storemon_pipeline.storage.tables import REGISTRY_TABLES, metadata


def writers(database: Database) -> list[tuple[Callable[[], Any], set[str]]]:
    """How each file of a database is written, and the tables that it is to have."""
    every = set(metadata.tables)
    if not database.is_sqlite:
        return [(database.write_data, every)]
    registry = {table.name for table in REGISTRY_TABLES}
    return [(database.write_data, every - registry), (database.write_registry, registry)]


def test_migrations_and_declared_tables_are_the_same(database: Database):
    for write, tables in writers(database):
        expected = MetaData()
        for table in metadata.sorted_tables:
            if table.name in tables:
                table.to_metadata(expected)
        with write() as connection:
            context = MigrationContext.configure(
                connection, opts={"include_name": migrate.is_declared, "compare_type": True}
            )
            assert compare_metadata(context, expected) == []


def test_checks_and_partitions_are_those_declared(database: Database):
    # what Alembic does not compare
    with database.write_registry() as connection:
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
    folder = str(migrate.Path(migrate.__file__).parent / "migrations")
    config.set_main_option("script_location", folder)
    assert ScriptDirectory.from_config(config).get_current_head() == migrate.VERSION


@pytest.mark.parametrize("part", ["data", "registry"])
def test_a_database_of_a_newer_version_is_refused(database: Database, database_url: str, part: str):
    write = database.write_data if part == "data" else database.write_registry
    with write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(migrate.NewerDatabaseError, match="9999"):
        Database(database_url)


def test_the_reports_of_the_first_version_are_kept_with_the_run_that_made_them(database_url: str):
    config = Config()
    config.set_main_option(
        "script_location", str(migrate.Path(migrate.__file__).parent / "migrations")
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
        assert migrate.current_version(connection) == "0001"
        for row in old:
            connection.execute(insert, row | {"noon": noon})
    engine.dispose()
    database = Database(database_url)
    with database.read() as connection:
        assert migrate.current_version(connection) == migrate.VERSION
        two, one = list_reports(connection, limit=9)
        assert find_report(connection, "one") == one
    at = datetime(2023, 1, 25, 12, tzinfo=UTC)
    assert (one.report_id, one.run_id, one.status, one.stores) == ("one", "one", "Complete", 2)
    assert (one.request or {})["store_ids"] is None
    assert (two.run_id, two.error, two.request) == ("two", "no polls", None)
    assert one.as_of == one.requested_at == one.finished_at == at
    # and a retry goes on with it
    with database.write_registry() as connection:
        start_report(connection, "retry", None, at, root_run_id="two")
    with database.read() as connection:
        assert find_report(connection, "retry") == find_report(connection, "two")
    database.close()
