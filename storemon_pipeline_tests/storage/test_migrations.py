"""A database is brought to the newest schema when it is opened, and that is the declared one."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from storemon_pipeline.storage import migrate
from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.tables import metadata


def test_migrations_and_declared_tables_are_the_same(database: Database):
    with database.read() as connection:
        context = MigrationContext.configure(
            connection, opts={"include_name": migrate.is_declared, "compare_type": True}
        )
        assert compare_metadata(context, metadata) == []


def test_checks_and_partitions_are_those_declared(database: Database):
    # what Alembic does not compare
    with database.write() as connection:
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


def test_a_database_of_a_newer_version_is_refused(database: Database, database_url: str):
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(migrate.NewerDatabaseError, match="9999"):
        Database(database_url)
