"""What is dropped once it is older than it is to be kept: polls, quarantined rows, reports.

Polls go by the month, as PostgreSQL keeps them: a month is dropped, not deleted from, once it is
wholly older, and both databases keep the same. Rows of ingested_file stay for ever, since it is by
them that a file is recognised.
"""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

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
# SQLite finds a time within a store, not a time as such: only stores with old polls are looked at
_SQLITE_OLD = """
timestamp_utc < :first
AND store_id IN (SELECT store_id FROM polled_store WHERE first_poll_utc < :first)
"""
_SQLITE_COUNT = text(
    f"SELECT count(DISTINCT substr(timestamp_utc, 1, 7)), count(*) FROM store_status "  # noqa: S608
    f"WHERE {_SQLITE_OLD}"
)
_SQLITE_DELETE = text(f"DELETE FROM store_status WHERE {_SQLITE_OLD}")  # noqa: S608


def retention_cutoff(now: datetime, days: int | None) -> datetime | None:
    """Before which instant things are dropped that are kept for some days; None for never.

    Examples
    --------
    >>> retention_cutoff(datetime(2024, 3, 1, tzinfo=UTC), 1)
    datetime.datetime(2024, 2, 29, 0, 0, tzinfo=datetime.timezone.utc)
    """
    return None if days is None else now - timedelta(days=days)


def first_kept_month(before: datetime) -> datetime:
    """The beginning of the oldest month that is not wholly before an instant, in UTC.

    Examples
    --------
    >>> first_kept_month(datetime(2024, 3, 31, 23, tzinfo=UTC))
    datetime.datetime(2024, 3, 1, 0, 0, tzinfo=datetime.timezone.utc)
    """
    return before.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


@dataclass(frozen=True, slots=True)
class DroppedPolls:
    """What became of old polls.

    Attributes
    ----------
    before : datetime
        The oldest instant that is kept: the beginning of a month.
    months, polls : int
        How many were dropped.
    stores : int
        How many stores have no polls left, and are known no longer.
    """

    before: datetime
    months: int
    polls: int
    stores: int


def drop_polls(connection: Connection, before: datetime) -> DroppedPolls:
    """Drop the months of polls that lie wholly before an instant.

    A month that is partly older is kept whole. ``polled_store`` stays true: a store's first poll is
    the oldest that is left, and a store without any is gone, and with it the last status of a store
    that has been silent for so long.

    Parameters
    ----------
    connection : Connection
        Of :meth:`~storemon_pipeline.storage.database.Database.data_transaction`, so that no
        transaction adds polls meanwhile.
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
        # a month may be there and have no polls, as SQLite has no months
        months, polls = months + (of_month > 0), polls + of_month
    return months, polls


def drop_quarantined(connection: Connection, before: datetime) -> int:
    """Drop the rows that were set aside before an instant; gives how many."""
    old = quarantined_row.c.quarantined_at < before
    return connection.execute(delete(quarantined_row).where(old)).rowcount


@dataclass(frozen=True, slots=True)
class ReportAges:
    """The ids of all reports.

    Attributes
    ----------
    old, recent : set of str
        Those that finished before an instant; those that finished since.
    unfinished : set of str
        Those that are said to be queued or running.
    """

    old: frozenset[str]
    recent: frozenset[str]
    unfinished: frozenset[str]


def classify_reports(connection: Connection, before: datetime) -> ReportAges:
    """Which reports finished before an instant, which since, and which have not."""
    row = report.c
    finished_at = func.coalesce(row.finished_at, row.requested_at)
    unfinished = row.status.in_(IN_PROGRESS)

    def ids(*conditions: object) -> frozenset[str]:
        query = select(row.report_id, row.run_id).where(*conditions)  # type: ignore[arg-type]
        # a report that was retried has the files, and the run, of its last try too
        return frozenset(each for row in connection.execute(query) for each in row if each)

    return ReportAges(
        old=ids(~unfinished, finished_at < before),
        recent=ids(~unfinished, finished_at >= before),
        unfinished=ids(unfinished),
    )


def reports_to_drop(
    ages: ReportAges,
    *,
    ended: AbstractSet[str],
    in_progress: AbstractSet[str],
    needed: AbstractSet[str],
) -> list[str]:
    """Decide which reports, and runs that made none, are dropped.

    A report whose process was killed is said to be running for ever; it goes when its run, which
    Dagster knows to have ended, is old.

    Parameters
    ----------
    ages : ReportAges
    ended : set of str
        The ids of runs that ended before the instant.
    in_progress : set of str
        The ids of runs that have not ended.
    needed : set of str
        The ids of runs whose files others still read.

    Returns
    -------
    list of str
        Ids, sorted.

    Examples
    --------
    >>> ages = ReportAges(frozenset({"old", "newest"}), frozenset({"new"}), frozenset({"killed"}))
    >>> reports_to_drop(ages, ended={"killed"}, in_progress=set(), needed={"newest"})
    ['killed', 'old']
    """
    running = (ages.unfinished - ended) | in_progress
    return sorted((ages.old | ended) - ages.recent - running - needed)


def drop_report_row(connection: Connection, report_id: str) -> bool:
    """Drop a report's row and the requests for it; gives whether there was one."""
    drop_requests(connection, report_id)
    this = report.c.report_id == report_id
    return connection.execute(delete(report).where(this)).rowcount > 0
