"""Retention: delete old polls, quarantined rows and reports from the tables.

:mod:`.report_writer` deletes the files of reports.

Polls are dropped by whole months, as PostgreSQL partitions them; SQLite keeps the same months. Rows
of ingested_file are kept, since they identify files that were ingested.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, delete, func, select, text, update

from storemon_pipeline.storage import bulk_load
from storemon_pipeline.storage.report_requests import drop_requests
from storemon_pipeline.storage.reports import IN_PROGRESS
from storemon_pipeline.storage.schema import polled_store, quarantined_row, report, store_status

_MONTH = re.compile(r"store_status_(\d{4})_(\d{2})")
_POSTGRESQL_MONTHS = text("""
SELECT relname, inhrelid::regclass::text FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
WHERE inhparent = 'store_status'::regclass ORDER BY relname
""")
# SQLite has no index by time, so only stores with old polls are searched
_SQLITE_OLD = """
timestamp_utc < :first
AND store_id IN (SELECT store_id FROM polled_store WHERE first_poll_utc < :first)
"""
_SQLITE_COUNT = text(
    f"SELECT count(DISTINCT substr(timestamp_utc, 1, 7)), count(*) FROM store_status "  # noqa: S608
    f"WHERE {_SQLITE_OLD}"
)
_SQLITE_DELETE = text(f"DELETE FROM store_status WHERE {_SQLITE_OLD}")  # noqa: S608


def first_kept_month(before: datetime) -> datetime:
    """Return the start of the oldest month that does not end before an instant, in UTC.

    Examples
    --------
    >>> first_kept_month(datetime(2024, 3, 31, 23, tzinfo=UTC))
    datetime.datetime(2024, 3, 1, 0, 0, tzinfo=datetime.timezone.utc)
    """
    return before.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


@dataclass(frozen=True, slots=True)
class DroppedPolls:
    """Result of dropping old polls.

    Attributes
    ----------
    before : datetime
        The oldest instant that is kept: the start of a month.
    months, polls : int
        Number of months and polls dropped.
    stores : int
        Number of stores without remaining polls, which were removed.
    """

    before: datetime
    months: int
    polls: int
    stores: int


def drop_polls(connection: Connection, before: datetime) -> DroppedPolls:
    """Drop the months of polls that end before an instant.

    ``polled_store`` is updated: the first poll of a store is the oldest one left, and a store
    without polls is deleted.

    Parameters
    ----------
    connection : Connection
        Of :meth:`~storemon_pipeline.storage.database.Database.data_transaction`.
    before : datetime

    Returns
    -------
    DroppedPolls
    """
    first = first_kept_month(before)
    if connection.dialect.name == "sqlite":
        months, polls = _drop_rows(connection, first)
    else:
        months, polls = _drop_partitions(connection, first)
    stores = polled_store.c
    gone = connection.execute(delete(polled_store).where(stores.last_poll_utc < first)).rowcount
    oldest = (
        select(func.min(store_status.c.timestamp_utc))
        .where(store_status.c.store_id == stores.store_id)
        .scalar_subquery()
    )
    connection.execute(
        update(polled_store).where(stores.first_poll_utc < first).values(first_poll_utc=oldest)
    )
    return DroppedPolls(first, months, polls, gone)


def _drop_rows(connection: Connection, first: datetime) -> tuple[int, int]:
    bounds = {"first": bulk_load.format_utc(first)}
    months, polls = connection.execute(_SQLITE_COUNT, bounds).one()
    if polls:
        connection.execute(_SQLITE_DELETE, bounds)
    return months, polls


def _drop_partitions(connection: Connection, first: datetime) -> tuple[int, int]:
    months = polls = 0
    for name, quoted in connection.execute(_POSTGRESQL_MONTHS).all():
        month = _MONTH.fullmatch(name)
        if month is None or (int(month[1]), int(month[2])) >= (first.year, first.month):
            continue
        count = f"SELECT count(*) FROM {quoted}"  # noqa: S608 - as PostgreSQL quotes it
        of_month = connection.exec_driver_sql(count).scalar_one()
        connection.exec_driver_sql(f"DROP TABLE {quoted}")
        # do not count empty partitions, which SQLite does not have
        months, polls = months + (of_month > 0), polls + of_month
    return months, polls


def drop_quarantined(connection: Connection, before: datetime) -> int:
    """Delete the rows that were quarantined before an instant; return how many."""
    old = quarantined_row.c.quarantined_at < before
    return connection.execute(delete(quarantined_row).where(old)).rowcount


@dataclass(frozen=True, slots=True)
class ReportAges:
    """The ids of all reports by age.

    Attributes
    ----------
    old, recent : set of str
        Reports that finished before an instant, and those that finished later.
    unfinished : set of str
        Queued or running reports.
    """

    old: frozenset[str]
    recent: frozenset[str]
    unfinished: frozenset[str]


def classify_reports(connection: Connection, before: datetime) -> ReportAges:
    """Classify reports: finished before an instant, finished since, or unfinished."""
    row = report.c
    finished_at = func.coalesce(row.finished_at, row.requested_at)
    unfinished = row.status.in_(IN_PROGRESS)

    def ids(*conditions: object) -> frozenset[str]:
        query = select(row.report_id, row.run_id).where(*conditions)  # type: ignore[arg-type]
        # a retried report also has the files and the run of its latest attempt
        return frozenset(id_ for row in connection.execute(query) for id_ in row if id_)

    return ReportAges(
        old=ids(~unfinished, finished_at < before),
        recent=ids(~unfinished, finished_at >= before),
        unfinished=ids(unfinished),
    )


def drop_report_row(connection: Connection, report_id: str) -> bool:
    """Delete a report's row and its requests; return whether it existed."""
    drop_requests(connection, report_id)
    this = report.c.report_id == report_id
    return connection.execute(delete(report).where(this)).rowcount > 0
