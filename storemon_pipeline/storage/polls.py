"""Polls (table ``store_status``): bulk upsert and read, and the stores that were polled.

Statements that differ between PostgreSQL and SQLite are side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    Table,
    case,
    func,
    insert,
    select,
)

from storemon_pipeline.storage import bulk_load
from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.schema import StoreId, UtcDateTime, polled_store, store_status
from storemon_pipeline.uptime.conversions import to_microseconds
from storemon_pipeline.uptime.interval_arithmetic import Int, StoreTimeKey
from storemon_pipeline.uptime.rules import EARLIEST_POLL

_SQLITE_UPSERT = """
INSERT INTO store_status (store_id, timestamp_utc, status) VALUES {rows}
ON CONFLICT (store_id, timestamp_utc) DO UPDATE SET status = excluded.status
WHERE store_status.status <> excluded.status
"""
_POSTGRESQL_STAGE = """
CREATE TEMPORARY TABLE IF NOT EXISTS staged_poll (LIKE store_status) ON COMMIT DROP;
TRUNCATE staged_poll
"""
_POSTGRESQL_UPSERT = """
INSERT INTO store_status AS known (store_id, timestamp_utc, status)
SELECT store_id, timestamp_utc, status FROM staged_poll
ON CONFLICT (store_id, timestamp_utc) DO UPDATE SET status = excluded.status
WHERE known.status <> excluded.status
"""
_SQLITE_STORES = """
INSERT INTO polled_store AS known (store_id, first_poll_utc, last_poll_utc) VALUES {rows}
ON CONFLICT (store_id) DO UPDATE SET
    first_poll_utc = min(known.first_poll_utc, excluded.first_poll_utc),
    last_poll_utc = max(known.last_poll_utc, excluded.last_poll_utc)
"""
_POSTGRESQL_STAGE_STORES = """
CREATE TEMPORARY TABLE IF NOT EXISTS staged_store (LIKE polled_store) ON COMMIT DROP;
TRUNCATE staged_store
"""
_POSTGRESQL_STORES = """
INSERT INTO polled_store AS known (store_id, first_poll_utc, last_poll_utc)
SELECT store_id, first_poll_utc, last_poll_utc FROM staged_store
ON CONFLICT (store_id) DO UPDATE SET
    first_poll_utc = least(known.first_poll_utc, excluded.first_poll_utc),
    last_poll_utc = greatest(known.last_poll_utc, excluded.last_poll_utc)
"""
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


def _sort_and_deduplicate(polls: pd.DataFrame) -> pa.Table:
    """Sort polls by store and time; keep the last row per store and instant."""
    ids, statuses = _encoded(polls["store_id"]), _encoded(polls["status"])
    names = ids.dictionary.to_numpy(zero_copy_only=False)
    rank = np.empty(len(names), dtype=np.int64)
    rank[np.argsort(names)] = np.arange(len(names))
    at = to_microseconds(polls["timestamp_utc"])
    kept = _sort_order(rank[ids.indices.to_numpy()], at)
    return pa.table(
        {
            "store_id": ids.take(pa.array(kept)),
            "timestamp_utc": pa.array(at[kept], pa.timestamp("us")),
            "status": statuses.take(pa.array(kept)),
        }
    )


def _encoded(text: pd.Series) -> pa.DictionaryArray:
    """Dictionary-encode repetitive text."""
    encoded = pa.array(text, pa.string()).dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.unify_dictionaries().combine_chunks()
    return encoded


def _sort_order(store: Int, at: Int) -> Int:
    """Return the row order by store and time, with only the last row per store and instant."""
    try:
        key = StoreTimeKey(int(at.min()), int(at.max()), int(store.max()) + 1).encode(store, at)
    except OverflowError:  # polls of many stores over centuries
        order = np.lexsort((at, store))
        same = (np.diff(store[order]) == 0) & (np.diff(at[order]) == 0)
    else:
        order = np.argsort(key)
        same = np.diff(key[order]) == 0
        if same.any():
            # the later row counts, so the sort must be stable, which is slower
            order = np.argsort(key, kind="stable")
    kept: Int = order[np.append(~same, True)]
    return kept


def upsert_polls(connection: Connection, polls: pd.DataFrame) -> int:
    """Upsert polls; a poll for a known store and instant is corrected.

    Parameters
    ----------
    connection : Connection
        Of :meth:`Database.data_transaction`.
    polls : DataFrame
        ``store_id`` (text), ``timestamp_utc`` (``datetime64[us, UTC]``), ``status`` (text). Of two
        for one store and instant, the later row counts.

    Returns
    -------
    int
        Number of polls after removing duplicates.
    """
    if polls.empty:
        return 0
    rows = _sort_and_deduplicate(polls)
    stores = _first_and_last(rows)
    if connection.dialect.name == "sqlite":
        bulk_load.execute_many(connection, _SQLITE_UPSERT, rows)
        bulk_load.execute_many(connection, _SQLITE_STORES, stores)
    else:
        remaining = bulk_load.load_new_partitions(connection, rows)
        if len(remaining):
            bulk_load.stage_rows(connection, _POSTGRESQL_STAGE, "staged_poll", remaining)
            connection.exec_driver_sql(_POSTGRESQL_UPSERT)
        bulk_load.stage_rows(connection, _POSTGRESQL_STAGE_STORES, "staged_store", stores)
        connection.exec_driver_sql(_POSTGRESQL_STORES)
    return len(rows)


def _first_and_last(rows: pa.Table) -> pa.Table:
    """Return the first and the last poll of each store in sorted rows."""
    code = rows["store_id"].combine_chunks().indices.to_numpy(zero_copy_only=False)
    change = np.flatnonzero(np.diff(code)) + 1
    first = np.concatenate(([0], change))
    last = np.concatenate((change - 1, [len(code) - 1]))
    return pa.table(
        {
            "store_id": rows["store_id"].take(pa.array(first)),
            "first_poll_utc": rows["timestamp_utc"].take(pa.array(first)),
            "last_poll_utc": rows["timestamp_utc"].take(pa.array(last)),
        }
    )


def newest_poll(connection: Connection, until: datetime) -> datetime | None:
    """Return the instant of the newest poll at or before ``until``, or None."""
    newest: datetime | None = connection.execute(
        select(func.max(polled_store.c.last_poll_utc))
    ).scalar_one()
    if newest is None or newest <= until:
        return newest
    # a later poll exists: from a fast clock, or ``until`` is in the past
    query = select(func.max(store_status.c.timestamp_utc)).where(
        store_status.c.timestamp_utc <= until
    )
    earlier: datetime | None = connection.execute(query).scalar_one()
    return earlier


def oldest_poll(connection: Connection) -> datetime | None:
    """Return the instant of the oldest poll, or None."""
    query = select(func.min(polled_store.c.first_poll_utc))
    oldest: datetime | None = connection.execute(query).scalar_one()
    return oldest


def filter_unknown_stores(connection: Connection, store_ids: Sequence[str]) -> list[str]:
    """Return the stores that were never polled."""
    known = set(
        connection.execute(
            select(polled_store.c.store_id).where(polled_store.c.store_id.in_(store_ids))
        ).scalars()
    )
    return [store_id for store_id in store_ids if store_id not in known]


def stores_never_polled(connection: Connection, table: Table) -> pd.DataFrame:
    """Return the stores in a table that were never polled.

    Parameters
    ----------
    connection : Connection
    table : Table
        With a column ``store_id``.

    Returns
    -------
    DataFrame
        ``store_id`` (text), sorted.
    """
    store = table.c.store_id
    polled = select(polled_store.c.store_id).where(polled_store.c.store_id == store).exists()
    return pd.read_sql(select(store).where(~polled).distinct().order_by(store), connection)


def read_polled_stores(
    connection: Connection, as_of: datetime, store_ids: tuple[str, ...] | None = None
) -> pd.DataFrame:
    """Return every store that was polled at or before ``as_of``.

    Parameters
    ----------
    connection : Connection
    as_of : datetime
    store_ids : tuple of str, optional
        Only these stores.

    Returns
    -------
    DataFrame
        ``store_id`` (text), ``first_poll_utc``, ``last_poll_utc`` (``datetime64[us, UTC]``; the
        first valid one, and the last at or before ``as_of``), sorted by ``store_id`` by code
        points.
    """
    stores = polled_store.c
    selected = stores.first_poll_utc <= as_of
    if store_ids is not None:
        selected &= stores.store_id.in_(store_ids)
    # as_of in the past: the newest poll before it is one key lookup per store
    earlier = (
        select(func.max(store_status.c.timestamp_utc))
        .where(store_status.c.store_id == stores.store_id, store_status.c.timestamp_utc <= as_of)
        .scalar_subquery()
    )
    last = case((stores.last_poll_utc <= as_of, stores.last_poll_utc), else_=earlier)
    # placeholder timestamps in the table must not widen the span
    later = (
        select(func.min(store_status.c.timestamp_utc))
        .where(
            store_status.c.store_id == stores.store_id,
            store_status.c.timestamp_utc >= EARLIEST_POLL,
        )
        .scalar_subquery()
    )
    first = case((stores.first_poll_utc >= EARLIEST_POLL, stores.first_poll_utc), else_=later)
    query = select(stores.store_id, first, last).where(selected)
    rows = connection.execute(query).all()
    table = pd.DataFrame(
        {
            "store_id": pd.Series([row[0] for row in rows], dtype="str"),
            "first_poll_utc": pd.Series([row[1] for row in rows], dtype="datetime64[us, UTC]"),
            "last_poll_utc": pd.Series([row[2] for row in rows], dtype="datetime64[us, UTC]"),
        }
    )
    table = table[table["first_poll_utc"] <= as_of]
    return table.sort_values("store_id", ignore_index=True)


def read_polls(
    database: Database, store_ids: pd.Series, since: datetime, until: datetime
) -> pd.DataFrame:
    """Read the polls in ``[since, until]`` of all stores between the first and the last given.

    Parameters
    ----------
    database : Database
    store_ids : Series of text
        Sorted.
    since, until : datetime
        Both included.

    Returns
    -------
    DataFrame
        ``store_id`` (category), ``timestamp_utc`` (``datetime64[us, UTC]``), ``status`` (category),
        unordered.
    """
    # no id sorts before the empty text, so no store matches no poll
    first, last = ("", "") if store_ids.empty else (store_ids.iloc[0], store_ids.iloc[-1])
    zone = "" if database.is_sqlite else "+00"
    table = database.fetch_arrow(
        _SQLITE_READ if database.is_sqlite else _POSTGRESQL_READ,
        {
            "first": first,
            "last": last,
            "since": bulk_load.format_utc(since) + zone,
            "until": bulk_load.format_utc(until) + zone,
        },
    )
    timestamps = table["timestamp_utc"]
    if database.is_sqlite:
        timestamps = timestamps.cast(pa.timestamp("us"))
    return pd.DataFrame(
        {
            "store_id": _category(table["store_id"]),
            "timestamp_utc": timestamps.cast(pa.timestamp("us", "UTC")).to_pandas(),
            "status": _category(table["status"]),
        }
    )


def _category(column: pa.ChunkedArray) -> pd.Series:
    encoded = column.cast(pa.string()).combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    names = pd.Index(encoded.dictionary.to_numpy(zero_copy_only=False), dtype="str")
    return pd.Series(pd.Categorical.from_codes(encoded.indices.to_numpy(), names))


_poll_range = Table(
    "poll_range",
    MetaData(),
    Column("store_id", StoreId, primary_key=True),
    Column("since", UtcDateTime),
    Column("until", UtcDateTime),
    prefixes=["TEMPORARY"],
)


def read_poll_ranges(database: Database, ranges: pd.DataFrame) -> pd.DataFrame:
    """Read the polls of stores, each in its own time range.

    Parameters
    ----------
    database : Database
    ranges : DataFrame
        ``store_id`` (text), ``since``, ``until`` (``datetime64[us, UTC]``, excluded).

    Returns
    -------
    DataFrame
        As for :func:`read_polls`.
    """
    polls, of_range = store_status.c, _poll_range.c
    query = select(polls.store_id, polls.timestamp_utc, polls.status).join_from(
        _poll_range,
        store_status,
        (polls.store_id == of_range.store_id)
        & (polls.timestamp_utc >= of_range.since)
        & (polls.timestamp_utc < of_range.until),
    )
    with database.read() as connection:
        _poll_range.create(connection)
        connection.execute(insert(_poll_range), _records(ranges))
        rows = connection.execute(query).all()
        _poll_range.drop(connection)
    return pd.DataFrame(
        {
            "store_id": pd.Series([row[0] for row in rows], dtype="str").astype("category"),
            "timestamp_utc": pd.Series([row[1] for row in rows], dtype="datetime64[us, UTC]"),
            "status": pd.Series([row[2] for row in rows], dtype="str").astype("category"),
        }
    )


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
