"""Migrations run when a database is opened, keep its data and give the declared schema."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, create_engine, inspect, make_url, select, text
from sqlalchemy.engine import Engine

from storemon_pipeline.storage import schema_version
from storemon_pipeline.storage.alert_outbox import claim_next_alert, insert_alerts, read_alerts
from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.ingest_log import (
    IngestRecord,
    count_bad_rows_by_file,
    latest_ingest_id,
    latest_ingests,
)
from storemon_pipeline.storage.report_requests import (
    claim_request,
    create_or_get_request,
    pending_requests,
)
from storemon_pipeline.storage.reports import find_report, read_reports, start_report
from storemon_pipeline.storage.schema import (
    REGISTRY_TABLES,
    idempotency_key,
    metadata,
    polled_store,
    quarantined_row,
    store_status,
)
from storemon_pipeline.storage.sqlite import registry_file
from storemon_pipeline.uptime.outage_alerts import Alert
from storemon_pipeline.uptime.report_request import ReportSpec


def writers(database: Database) -> list[tuple[Callable[[], Any], set[str]]]:
    """Return the transaction and the expected tables of each file of a database."""
    all_tables = set(metadata.tables)
    if not database.is_sqlite:
        return [(database.data_transaction, all_tables)]
    registry = {table.name for table in REGISTRY_TABLES}
    return [
        (database.data_transaction, all_tables - registry),
        (database.registry_transaction, registry),
    ]


def test_migrated_schema_equals_declared_schema(database: Database):
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


def test_migrated_checks_and_partitions_are_as_declared(database: Database):
    # Alembic does not compare these
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


def test_version_constant_is_the_newest_migration():
    config = Config()
    folder = str(Path(schema_version.__file__).parent / "migrations")
    config.set_main_option("script_location", folder)
    assert ScriptDirectory.from_config(config).get_current_head() == schema_version.VERSION


@pytest.mark.parametrize("part", ["data", "registry"])
def test_newer_schema_version_is_rejected(database: Database, database_url: str, part: str):
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


def test_migration_moves_polls_before_2000_to_quarantine(database_url: str):
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
    remaining = [poll for poll in OLD_POLLS if poll[1] >= "2000"]
    assert [
        (store, f"{at:%Y-%m-%d %H:%M:%S.%f}", status) for store, at, status in polls
    ] == remaining
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


def test_migration_without_polls_before_2000_records_nothing(database_url: str):
    _at_version(database_url, "0003").dispose()
    database = Database(database_url)
    with database.read() as connection:
        assert latest_ingest_id(connection) == 0
    database.close()


def _at_version(database_url: str, version: str) -> Engine:
    """Create a database as an earlier version of the project did; return its engine."""
    config = Config()
    folder = str(Path(schema_version.__file__).parent / "migrations")
    config.set_main_option("script_location", folder)
    engine = create_engine(database_url)
    with engine.begin() as connection:
        config.attributes.update(connection=connection, part="all")
        command.upgrade(config, version)
    return engine


def test_migration_keeps_reports_of_the_first_version(database_url: str):
    config = Config()
    config.set_main_option(
        "script_location", str(Path(schema_version.__file__).parent / "migrations")
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
    # a retry continues the same report
    with database.registry_transaction() as connection:
        start_report(connection, "retry", None, at, root_run_id="two")
    with database.read() as connection:
        assert find_report(connection, "retry") == find_report(connection, "two")
    database.close()


NOON = datetime(2023, 1, 25, 12, tzinfo=UTC)
AT = "'2023-01-25 12:00:00.000000{zone}'"
DATA_BEFORE_RENAMES = f"""
INSERT INTO ingested_file (file, table_name, sha256, first_line, bytes, lines, rows, bad_rows,
    ingested_at, run_id) VALUES ('store_status.csv', 'store_status', 'hash', 2, 30, 4, 3, 1, {AT}, 'r')
"""
REGISTRY_BEFORE_RENAMES = f"""
INSERT INTO report_request (request_id, status, asked, digest, requested_at, offered_at, run_id)
VALUES ('pending', 'Waiting', '{{{{"windows": ["day"]}}}}', 'd1', {AT}, {AT}, NULL),
    ('launched', 'Launched', '{{{{}}}}', 'd2', {AT}, {AT}, 'run');
INSERT INTO idempotency_key VALUES ('key', 'd1', 'pending');
INSERT INTO alert (alert_id, store_id, kind, down_since, as_of, noticed_at, payload, attempts,
    next_attempt_at)
VALUES ('first', 's1', 'down', {AT}, {AT}, {AT}, '{{{{"number": 1}}}}', 0, {AT}),
    ('second', NULL, 'ingest_failed', {AT}, {AT}, {AT}, '{{{{"number": 2}}}}', 0, {AT})
"""


def _fill(database_url: str, part: schema_version.Part, statements: str, attach: str = "") -> None:
    """Create a database, or a file of it, at the version before the renames, with rows."""
    engine = create_engine(database_url)
    with engine.begin() as connection:
        if attach:
            connection.exec_driver_sql(f"ATTACH '{attach}' AS data")
        schema_version.migrate(connection, part, until="0010")
        zone = "" if engine.dialect.name == "sqlite" else "+00"
        for statement in statements.format(zone=zone).split(";\n"):
            connection.exec_driver_sql(statement)
    engine.dispose()


@pytest.fixture
def renamed(database_url: str) -> Iterator[Database]:
    """Yield a database with rows from before the column renames, migrated on opening."""
    if database_url.startswith("sqlite"):
        path = Path(str(make_url(database_url).database))
        _fill(database_url, "data", DATA_BEFORE_RENAMES)
        registry = f"sqlite:///{registry_file(path)}"
        _fill(registry, "registry", REGISTRY_BEFORE_RENAMES, attach=str(path))
    else:
        _fill(database_url, "all", f"{DATA_BEFORE_RENAMES};\n{REGISTRY_BEFORE_RENAMES}")
    database = Database(database_url)
    yield database
    database.close()


def test_column_renames_keep_ingested_files(renamed: Database):
    with renamed.read() as connection:
        assert latest_ingests(connection, "store_status") == {
            "store_status.csv": IngestRecord(
                file="store_status.csv",
                table_name="store_status",
                sha256="hash",
                from_line=2,
                bytes_read=30,
                lines_read=4,
                rows=3,
                bad_rows=1,
            )
        }


def test_column_renames_keep_requests_and_idempotency_keys(renamed: Database):
    with renamed.read() as connection:
        assert pending_requests(connection, NOON) == []
        (pending,) = pending_requests(connection, NOON + timedelta(seconds=1))
        key = connection.execute(select(idempotency_key)).one()
    assert (pending.request_id, pending.status) == ("pending", "Pending")
    assert pending.spec == ReportSpec(windows=("day",))
    assert pending.launch_attempted_at == pending.requested_at == NOON
    assert tuple(key) == ("key", "d1", "pending")
    with renamed.registry_transaction(lock="requests") as connection:
        new = create_or_get_request(connection, ReportSpec(), "new", NOON, max_queued=9)
        assert new.is_new
        assert not claim_request(connection, "launched", "another", None)
        assert claim_request(connection, "launched", "run", None)


def test_column_renames_keep_alerts_in_order(renamed: Database):
    with renamed.registry_transaction(lock="alerts") as connection:
        insert_alerts(connection, [Alert("third", "s2", "down", NOON, NOON, {})], NOON)
        alerts = read_alerts(connection, limit=9)
        claimed = claim_next_alert(connection, NOON)
    assert [alert.alert_id for alert in alerts] == ["third", "second", "first"]
    assert {alert.created_at for alert in alerts} == {NOON}
    assert claimed is not None
    assert (claimed.alert_id, claimed.payload) == ("first", {"number": 1})
