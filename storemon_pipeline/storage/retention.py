"""Retention: delete old polls, quarantined rows and reports from the tables.

:mod:`.report_writer` deletes the files of reports.

Polls are dropped by whole months, as PostgreSQL partitions them; SQLite keeps the same months. Rows
of ingested_file are kept, since they identify files that were ingested.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, delete, func, select

from storemon_pipeline.storage.poll_store import PollStore
from storemon_pipeline.storage.polled_stores import refresh_dropped_stores
from storemon_pipeline.storage.report_requests import drop_requests
from storemon_pipeline.storage.reports import IN_PROGRESS
from storemon_pipeline.storage.schema import quarantined_row, report


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


def drop_polls(polls: PollStore, connection: Connection, before: datetime) -> DroppedPolls:
    """Drop the months of polls that end before an instant.

    ``polled_store`` is updated: the first poll of a store is the oldest one left, and a store
    without polls is deleted.

    Parameters
    ----------
    polls : PollStore
    connection : Connection
        Of :meth:`~storemon_pipeline.storage.database.Database.data_transaction`.
    before : datetime

    Returns
    -------
    DroppedPolls
    """
    first = first_kept_month(before)
    months, dropped = polls.drop_before(connection, first)
    gone = refresh_dropped_stores(polls, connection, first)
    return DroppedPolls(first, months, dropped, gone)


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
