"""Polls in the table ``store_status``.

Statements that differ between PostgreSQL and SQLite are side by side.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    MetaData,
    Select,
    Table,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    text,
    true,
    union_all,
)

from storemon_pipeline.storage import bulk_load
from storemon_pipeline.storage.poll_rows import to_polls
from storemon_pipeline.storage.schema import StoreId, UtcDateTime, polled_store, store_status

if TYPE_CHECKING:
    from storemon_pipeline.storage.database import Database

# SQLite has no index by time, so it looks up the time range store by store
_SQLITE_READ = """
SELECT p.store_id, p.timestamp_utc, p.status
FROM polled_store s CROSS JOIN store_status p ON p.store_id = s.store_id
WHERE s.store_id >= :first AND s.store_id <= :last
    AND p.timestamp_utc >= :since AND p.timestamp_utc <= :until
"""
_POSTGRESQL_READ = """
SELECT store_id, timestamp_utc, status FROM store_status
WHERE store_id >= :first AND store_id <= :last
    AND timestamp_utc >= CAST(:since AS timestamptz)
    AND timestamp_utc <= CAST(:until AS timestamptz)
"""
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

_SAMPLES, _SAMPLED_SHARE = 2, 16
"""Number of sampled intervals, and the ratio of the whole span to the sampled time."""
Samples = list[tuple[datetime, datetime]]

_MOST_LISTED_STORES = 500
"""More stores are selected by their range, not listed in the statement."""

_poll_range = Table(
    "poll_range",
    MetaData(),
    Column("store_id", StoreId, primary_key=True),
    Column("since", UtcDateTime),
    Column("until", UtcDateTime),
    prefixes=["TEMPORARY"],
)
# CROSS JOIN, since SQLite would otherwise scan all polls and look up the range of each
_READ_RANGES = text("""
SELECT p.store_id, p.timestamp_utc, p.status
FROM poll_range r CROSS JOIN store_status p
WHERE p.store_id = r.store_id AND p.timestamp_utc >= r.since AND p.timestamp_utc < r.until
""").columns(store_status.c.store_id, store_status.c.timestamp_utc, store_status.c.status)


class SqlPolls:
    """The polls of a database, in its table ``store_status``.

    The methods are documented in :class:`~.poll_store.PollStore`.

    Parameters
    ----------
    database : Database
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def reader(self) -> SqlPollReader:
        """Return a reader that opens its own connections in another process."""
        return SqlPollReader(self._database.url, self._database)

    def append(self, connection: Connection, rows: pa.Table) -> None:
        """Upsert the rows; PostgreSQL fills new months before they get their key."""
        if connection.dialect.name == "postgresql":
            rows = bulk_load.load_new_partitions(connection, rows)
        if len(rows):
            bulk_load.upsert_rows(
                connection, store_status, rows, where="store_status.status <> excluded.status"
            )

    def read(self, store_ids: pd.Series, since: datetime, until: datetime) -> pd.DataFrame:
        """Read a range of stores and time as Arrow."""
        # no id sorts before the empty text, so no store matches no poll
        first, last = ("", "") if store_ids.empty else (store_ids.iloc[0], store_ids.iloc[-1])
        is_sqlite = self._database.is_sqlite
        zone = "" if is_sqlite else "+00"
        table = self._database.fetch_arrow(
            _SQLITE_READ if is_sqlite else _POSTGRESQL_READ,
            {
                "first": first,
                "last": last,
                "since": bulk_load.format_utc(since) + zone,
                "until": bulk_load.format_utc(until) + zone,
            },
        )
        if is_sqlite:
            timestamps = table["timestamp_utc"].cast(pa.timestamp("us"))
            table = table.set_column(1, "timestamp_utc", timestamps)
        return to_polls(table)

    def read_ranges(self, ranges: pd.DataFrame) -> pd.DataFrame:
        """Join with a temporary table of the ranges."""
        with self._database.read() as connection:
            _poll_range.create(connection)
            connection.execute(insert(_poll_range), _records(ranges))
            rows = connection.execute(_READ_RANGES).all()
            _poll_range.drop(connection)
        return _polls(rows)

    def estimate(self, store_ids: pd.Series, since: datetime, until: datetime) -> pd.Series:
        """Count in samples of the span."""
        if store_ids.empty:
            return pd.Series(0, index=store_ids.index, dtype="int64")
        begin = pd.Timestamp(since).to_pydatetime()
        interval = (pd.Timestamp(until).to_pydatetime() - begin) / _SAMPLES
        # at the end of each interval, so that the newest polls are included
        ends = [begin + number * interval for number in range(1, _SAMPLES + 1)]
        samples = [(end - interval / _SAMPLED_SHARE, end) for end in ends]
        with self._database.read() as connection:
            count = _count_by_store if self._database.is_sqlite else _count_by_time
            query = count(samples)
            store_id, _ = query.selected_columns
            within = store_id.between(store_ids.iloc[0], store_ids.iloc[-1])
            rows = connection.execute(query.where(within)).all()
        counted = pd.DataFrame(rows, columns=["store_id", "polls"]).groupby("store_id")["polls"]
        sampled = counted.sum().reindex(store_ids, fill_value=0).to_numpy(dtype="int64")
        return pd.Series(sampled * _SAMPLED_SHARE, index=store_ids.index)

    def newest(self, connection: Connection, until: datetime) -> datetime | None:
        """Search the whole table; callers look into ``polled_store`` first."""
        at = store_status.c.timestamp_utc
        newest: datetime | None = connection.execute(
            select(func.max(at)).where(at <= until)
        ).scalar_one()
        return newest

    def last_polls(
        self, connection: Connection, store_ids: pd.Series, until: datetime
    ) -> pd.Series:
        """Look up the key of each store."""
        at = store_status.c.timestamp_utc
        return _of_each_store(connection, store_ids, func.max(at), at <= until)

    def first_polls(
        self, connection: Connection, store_ids: pd.Series, since: datetime
    ) -> pd.Series:
        """Look up the key of each store."""
        at = store_status.c.timestamp_utc
        return _of_each_store(connection, store_ids, func.min(at), at >= since)

    def count(self, connection: Connection) -> int:
        """Count the rows of the table."""
        return connection.execute(select(func.count()).select_from(store_status)).scalar_one()

    def count_of_store(self, connection: Connection, store_id: str) -> int:
        """Count the rows of a store."""
        query = select(func.count()).where(store_status.c.store_id == store_id)
        return connection.execute(query).scalar_one()

    def head(self, connection: Connection, rows: int) -> pd.DataFrame:
        """Return the first rows that the database finds."""
        return _polls(connection.execute(select(store_status).limit(rows)).all())

    def remove(
        self, connection: Connection, store_id: str, start: datetime, end: datetime
    ) -> pd.DataFrame:
        """Delete the rows."""
        polls = store_status.c
        these = (
            (polls.store_id == store_id)
            & (polls.timestamp_utc >= start)
            & (polls.timestamp_utc < end)
        )
        query = select(store_status).where(these).order_by(polls.timestamp_utc)
        removed = _polls(connection.execute(query).all())
        if len(removed):
            connection.execute(delete(store_status).where(these))
        return removed

    def drop_before(self, connection: Connection, first: datetime) -> tuple[int, int]:
        """Delete rows on SQLite, drop partitions on PostgreSQL."""
        drop = _drop_rows if connection.dialect.name == "sqlite" else _drop_partitions
        return drop(connection, first)

    def compact(self) -> list[str]:
        """Do nothing: the database maintains its table."""
        return []

    def vacuum(self, now: datetime) -> int:  # noqa: ARG002 - of the interface
        """Do nothing: the database maintains its table."""
        return 0


class SqlPollReader:
    """Reads the polls of a database; can be pickled.

    The methods are documented in :class:`~.poll_store.PollReader`.

    Parameters
    ----------
    url : str
        Of the database.
    database : Database, optional
        The open database, which stays in its process; another process opens it on first use.
    """

    def __init__(self, url: str, database: Database | None = None) -> None:
        self._url = url
        self._database = database

    def __reduce__(self) -> tuple[type[SqlPollReader], tuple[str]]:
        """Pickle only the URL."""
        return SqlPollReader, (self._url,)

    def read(self, store_ids: pd.Series, since: datetime, until: datetime) -> pd.DataFrame:
        """Read a range of stores and time."""
        return self._polls().read(store_ids, since, until)

    def read_ranges(self, ranges: pd.DataFrame) -> pd.DataFrame:
        """Read a range of time per store."""
        return self._polls().read_ranges(ranges)

    def _polls(self) -> SqlPolls:
        return SqlPolls(self._database or _open(self._url))


@lru_cache(maxsize=1)
def _open(url: str) -> Database:
    """Open a database, once per process."""
    from storemon_pipeline.storage.database import Database  # noqa: PLC0415 - it imports this module

    return Database(url)


def _polls(rows: Sequence[Any]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "store_id": pd.Series([row[0] for row in rows], dtype="str").astype("category"),
            "timestamp_utc": pd.Series([row[1] for row in rows], dtype="datetime64[us, UTC]"),
            "status": pd.Series([row[2] for row in rows], dtype="str").astype("category"),
        }
    )


def _of_each_store(
    connection: Connection,
    store_ids: pd.Series,
    extreme: ColumnElement[datetime],
    condition: ColumnElement[bool],
) -> pd.Series:
    """Return the first or the last poll of each store that matches a condition."""
    if store_ids.empty:
        return pd.Series(dtype="datetime64[us, UTC]")
    known = polled_store.c.store_id
    wanted = (
        known.in_(store_ids.tolist())
        if len(store_ids) <= _MOST_LISTED_STORES
        else known.between(store_ids.min(), store_ids.max())
    )
    found = select(extreme).where(store_status.c.store_id == known, condition).scalar_subquery()
    rows = connection.execute(select(known, found).where(wanted)).all()
    of_store = pd.Series(
        [row[1] for row in rows], [row[0] for row in rows], dtype="datetime64[us, UTC]"
    ).dropna()
    return of_store[of_store.index.isin(store_ids)]


def _count_by_store(samples: Samples) -> Select[str, int]:
    """Count by a key lookup per store and sample, since SQLite has no index by time."""
    sample = union_all(
        *(
            select(
                literal(since, UtcDateTime).label("since"),
                literal(until, UtcDateTime).label("until"),
            )
            for since, until in samples
        )
    ).subquery()
    polls = store_status.c
    counted = (
        select(func.count())
        .where(
            polls.store_id == polled_store.c.store_id,
            polls.timestamp_utc >= sample.c.since,
            polls.timestamp_utc <= sample.c.until,
        )
        .scalar_subquery()
    )
    return select(polled_store.c.store_id, counted).join_from(polled_store, sample, true())


def _count_by_time(samples: Samples) -> Select[str, int]:
    """Count in one pass over the polls, which PostgreSQL parallelises."""
    polls = store_status.c
    sampled = or_(*(polls.timestamp_utc.between(since, until) for since, until in samples))
    return select(polls.store_id, func.count()).where(sampled).group_by(polls.store_id)


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


def _records(ranges: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {"store_id": store_id, "since": since, "until": until}
        for store_id, since, until in zip(
            ranges["store_id"],
            ranges["since"].dt.to_pydatetime(),
            ranges["until"].dt.to_pydatetime(),
            strict=True,
        )
    ]
