"""The interface of a store of polls, and how callers use it.

Two classes implement :class:`PollStore`: :class:`~.sql_polls.SqlPolls` keeps polls in the table
``store_status``, :class:`~.parquet_polls.ParquetPolls` in Parquet files. Both guarantee that polls
are visible from the commit of their transaction, that a later row corrects an earlier one, and that
each read sees a consistent state. Both keep the first and last poll of each store in the table
``polled_store`` (:mod:`.polled_stores`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

import pandas as pd
import pyarrow as pa
from sqlalchemy import Connection

from storemon_pipeline.storage.poll_rows import sort_and_deduplicate
from storemon_pipeline.storage.polled_stores import record_polled_stores


class PollReader(Protocol):
    """Reads polls.

    A table of polls has ``store_id`` (category), ``timestamp_utc`` (``datetime64[us, UTC]``) and
    ``status`` (category). Of two rows for one store and instant, the later one counts.
    """

    def read(self, store_ids: pd.Series, since: datetime, until: datetime) -> pd.DataFrame:
        """Read the polls in ``[since, until]`` of all stores between the first and the last given.

        Parameters
        ----------
        store_ids : Series of text
            Sorted.
        since, until : datetime
            Both included.

        Returns
        -------
        DataFrame
            A table of polls, unordered but for corrections.
        """

    def read_ranges(self, ranges: pd.DataFrame) -> pd.DataFrame:
        """Read the polls of stores, each in its own time range.

        Parameters
        ----------
        ranges : DataFrame
            ``store_id`` (text), ``since``, ``until`` (``datetime64[us, UTC]``, excluded).
        """


class PollStore(PollReader, Protocol):
    """Reads and writes polls."""

    def reader(self) -> PollReader:
        """Return a reader for other processes: it can be pickled.

        A reader of files reads those that are live now, without the database.
        """

    def append(self, connection: Connection, rows: pa.Table) -> None:
        """Add polls, and correct those of known stores and instants.

        Parameters
        ----------
        connection : Connection
            Of :meth:`~.database.Database.data_transaction`.
        rows : Table
            Result of :func:`~.poll_rows.sort_and_deduplicate`, not empty.
        """

    def estimate(self, store_ids: pd.Series, since: datetime, until: datetime) -> pd.Series:
        """Estimate the number of polls of each store in ``[since, until]``.

        An exact count would take a tenth of the time of a report.

        Parameters
        ----------
        store_ids : Series of text
            Sorted.
        since, until : datetime

        Returns
        -------
        Series of int64, shape (stores,)
        """

    def newest(self, connection: Connection, until: datetime) -> datetime | None:
        """Return the instant of the newest poll at or before ``until``, or None."""

    def last_polls(
        self, connection: Connection, store_ids: pd.Series, until: datetime
    ) -> pd.Series:
        """Return the newest poll at or before ``until`` of each store that has one.

        Returns
        -------
        Series of datetime64[us, UTC], indexed by store id
        """

    def first_polls(
        self, connection: Connection, store_ids: pd.Series, since: datetime
    ) -> pd.Series:
        """Return the oldest poll at or after ``since`` of each store that has one.

        Returns
        -------
        Series of datetime64[us, UTC], indexed by store id
        """

    def count(self, connection: Connection) -> int:
        """Count all polls."""

    def count_of_store(self, connection: Connection, store_id: str) -> int:
        """Count the polls of a store."""

    def head(self, connection: Connection, rows: int) -> pd.DataFrame:
        """Return a few polls, as a preview."""

    def remove(
        self, connection: Connection, store_id: str, start: datetime, end: datetime
    ) -> pd.DataFrame:
        """Remove the polls of a store in ``[start, end)``.

        Returns
        -------
        DataFrame
            The removed polls, sorted by instant.
        """

    def drop_before(self, connection: Connection, first: datetime) -> tuple[int, int]:
        """Drop the months before an instant that starts a month.

        Returns
        -------
        months, polls : int
            How many were dropped.
        """

    def compact(self) -> list[str]:
        """Merge small files, beside readers and writers; return the merged days (YYYY-MM-DD)."""

    def vacuum(self, now: datetime) -> int:
        """Delete replaced and abandoned files; return how many."""


def upsert_polls(polls: PollStore, connection: Connection, rows: pd.DataFrame) -> int:
    """Upsert polls; a poll for a known store and instant is corrected.

    Parameters
    ----------
    polls : PollStore
    connection : Connection
        Of :meth:`~.database.Database.data_transaction`.
    rows : DataFrame
        ``store_id`` (text), ``timestamp_utc`` (``datetime64[us, UTC]``), ``status`` (text). Of two
        for one store and instant, the later row counts.

    Returns
    -------
    int
        Number of polls after removing duplicates.
    """
    if rows.empty:
        return 0
    unique = sort_and_deduplicate(rows)
    polls.append(connection, unique)
    record_polled_stores(connection, unique)
    return len(unique)
