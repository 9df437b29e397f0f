"""Quarantine polls before 2000, which have become bad rows."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_FIRST = "2000-01-01 00:00:00.000000"
_ANY = {
    # SQLite has an index on times within a store only: skip stores without old polls
    "sqlite": f"SELECT EXISTS (SELECT 1 FROM polled_store WHERE first_poll_utc < '{_FIRST}')",  # noqa: S608
    "postgresql": (
        f"SELECT EXISTS (SELECT 1 FROM store_status WHERE timestamp_utc < '{_FIRST}+00')"  # noqa: S608
    ),
}
_OLD = {
    "sqlite": f"""timestamp_utc < '{_FIRST}'
        AND store_id IN (SELECT store_id FROM polled_store WHERE first_poll_utc < '{_FIRST}')""",  # noqa: S608
    "postgresql": f"timestamp_utc < '{_FIRST}+00'",
}
_STAMP = {
    "sqlite": "timestamp_utc",
    "postgresql": "to_char(timestamp_utc AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24\\:MI\\:SS.US')",
}
_PLACE = "store_status (upgrade)"
_REASON = (
    "timestamp_utc is before the year 2000, as where no time was known; the poll was in "
    "store_status, and its file and line are not known"
)
_MONTHS = """
SELECT inhrelid::regclass::text FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
WHERE inhparent = 'store_status'::regclass AND relname ~ '^store_status_[01][0-9]{3}_[0-9]{2}$'
"""


def upgrade() -> None:
    """Move these polls to quarantined_row, and update polled_store."""
    connection = op.get_bind()
    database = connection.dialect.name
    if database == "postgresql":
        op.create_table_comment(
            "store_timezone",
            "Each store's time zone: its IANA name; earlier versions wrote what the file says.",
        )
    if connection.execute(sa.text(_ANY[database])).scalar_one():
        _quarantine(connection, database)
        _remove(connection, database)
    if database == "postgresql":
        for month in connection.execute(sa.text(_MONTHS)).scalars().all():
            op.execute(f"DROP TABLE {month}")


def _quarantine(connection: sa.Connection, database: str) -> None:
    now = datetime.now(UTC)
    at = now.replace(tzinfo=None) if database == "sqlite" else now
    reading = sa.table(
        "ingested_file",
        sa.column("ingested_file_id", sa.Integer),
        *map(sa.column, ("file", "table_name", "sha256", "first_line", "bytes", "lines")),
        *map(sa.column, ("rows", "bad_rows", "run_id")),
        sa.column("ingested_at", sa.DateTime(timezone=True)),
    )
    # an entry without a real file: nothing read, no rows counted as bad
    reading_id = connection.execute(
        sa.insert(reading)
        .values(
            file=_PLACE,
            table_name="store_status",
            sha256="",
            first_line=1,
            bytes=0,
            lines=0,
            rows=0,
            bad_rows=0,
            run_id="",
            ingested_at=at,
        )
        .returning(reading.c.ingested_file_id)
    ).scalar_one()
    connection.execute(
        sa.text(
            "INSERT INTO quarantined_row"  # noqa: S608
            " (ingested_file_id, file, line_number, row_text, reason, quarantined_at)"
            f" SELECT :reading, :place, 0,"
            f" store_id || ',' || status || ',' || {_STAMP[database]} || ' UTC', :reason, :at"
            f" FROM store_status WHERE {_OLD[database]} ORDER BY store_id, timestamp_utc"
        ).bindparams(
            sa.bindparam("reading", reading_id),
            sa.bindparam("place", _PLACE, sa.Text),
            sa.bindparam("reason", _REASON, sa.Text),
            sa.bindparam("at", at, sa.DateTime(timezone=True)),
        )
    )


def _remove(connection: sa.Connection, database: str) -> None:
    zone = "" if database == "sqlite" else "+00"
    connection.execute(sa.text(f"DELETE FROM store_status WHERE {_OLD[database]}"))  # noqa: S608
    op.execute(f"DELETE FROM polled_store WHERE last_poll_utc < '{_FIRST}{zone}'")  # noqa: S608
    op.execute(
        f"""UPDATE polled_store SET first_poll_utc = (
            SELECT min(timestamp_utc) FROM store_status
            WHERE store_status.store_id = polled_store.store_id
        ) WHERE first_poll_utc < '{_FIRST}{zone}'"""  # noqa: S608
    )
