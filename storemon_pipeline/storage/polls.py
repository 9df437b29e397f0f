"""store_status in bulk: polls in, polls out, and which stores were polled.

Statements that differ between PostgreSQL and SQLite are named here, side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from io import BytesIO

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv
from sqlalchemy import Connection, func, select

from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.tables import store_status

_SQLITE_UPSERT = """
INSERT INTO store_status (store_id, timestamp_utc, status) VALUES (?, ?, ?)
ON CONFLICT (store_id, timestamp_utc) DO UPDATE SET status = excluded.status
"""
_POSTGRESQL_STAGE = """
CREATE TEMPORARY TABLE IF NOT EXISTS staged_poll (LIKE store_status) ON COMMIT DROP
"""
_POSTGRESQL_COPY = "COPY staged_poll (store_id, timestamp_utc, status) FROM STDIN (FORMAT csv)"
_POSTGRESQL_UPSERT = """
INSERT INTO store_status AS known (store_id, timestamp_utc, status)
SELECT store_id, timestamp_utc, status FROM staged_poll
ON CONFLICT (store_id, timestamp_utc) DO UPDATE SET status = excluded.status
WHERE known.status <> excluded.status
"""
_POSTGRESQL_EMPTY_STAGE = "TRUNCATE staged_poll"

_TEXT_FORMAT = "%Y-%m-%d %H:%M:%S.%f"


def upsert_polls(connection: Connection, polls: pd.DataFrame) -> int:
    """Add polls; a poll of a store at an instant that is known already is corrected.

    Parameters
    ----------
    connection : Connection
        Of :meth:`Database.write`.
    polls : DataFrame
        ``store_id`` (text), ``timestamp_utc`` (``datetime64[us, UTC]``), ``status`` (text). Of two
        for one store and instant the later row counts.

    Returns
    -------
    int
        How many polls were added or corrected; those of the same store and instant are one.
    """
    keys = ["store_id", "timestamp_utc"]
    # sorted rows go into a keyed table several times faster than unsorted ones
    polls = polls.drop_duplicates(keys, keep="last").sort_values(keys)
    rows = pa.table(
        {
            "store_id": pa.array(polls["store_id"], pa.string()),
            "timestamp_utc": pa.array(polls["timestamp_utc"].dt.tz_localize(None)).cast(
                pa.string()
            ),
            "status": pa.array(polls["status"], pa.string()),
        }
    )
    cursor = connection.connection.cursor()
    try:
        if connection.dialect.name == "sqlite":
            columns = (column.to_pylist() for column in rows.columns)
            cursor.executemany(_SQLITE_UPSERT, list(zip(*columns, strict=True)))
        else:
            buffer = BytesIO()
            # without a zone, PostgreSQL would take the timestamps for its own local time
            utc = pc.binary_join_element_wise(rows["timestamp_utc"], "+00", "")
            csv.write_csv(
                rows.set_column(1, "timestamp_utc", utc),
                buffer,
                csv.WriteOptions(include_header=False),
            )
            buffer.seek(0)
            cursor.execute(_POSTGRESQL_STAGE)
            cursor.copy_expert(_POSTGRESQL_COPY, buffer)
            cursor.execute(_POSTGRESQL_UPSERT)
            cursor.execute(_POSTGRESQL_EMPTY_STAGE)
    finally:
        cursor.close()
    return len(polls)


def newest_poll(connection: Connection, until: datetime) -> datetime | None:
    """The newest poll's instant at or before ``until``; None where there is none."""
    query = select(func.max(store_status.c.timestamp_utc)).where(
        store_status.c.timestamp_utc <= until
    )
    newest: datetime | None = connection.execute(query).scalar_one()
    return newest


def oldest_poll(connection: Connection) -> datetime | None:
    """The oldest poll's instant; None where there is none."""
    query = select(func.min(store_status.c.timestamp_utc))
    oldest: datetime | None = connection.execute(query).scalar_one()
    return oldest


def unknown_stores(connection: Connection, store_ids: Sequence[str]) -> list[str]:
    """Those of the stores that have never been polled."""
    known = {
        store_id
        for store_id in store_ids
        if connection.execute(
            select(store_status.c.store_id).where(store_status.c.store_id == store_id).limit(1)
        ).first()
    }
    return [store_id for store_id in store_ids if store_id not in known]


def polled_stores(
    connection: Connection, as_of: datetime, store_ids: tuple[str, ...] | None = None
) -> pd.DataFrame:
    """Every store that was polled at or before ``as_of``.

    Parameters
    ----------
    connection : Connection
    as_of : datetime
    store_ids : tuple of str, optional
        Only these stores.

    Returns
    -------
    DataFrame
        ``store_id`` (text), ``last_poll_utc`` (``datetime64[us, UTC]``), sorted by ``store_id`` as
        text, that is, by code points.
    """
    query = (
        select(store_status.c.store_id, func.max(store_status.c.timestamp_utc))
        .where(store_status.c.timestamp_utc <= as_of)
        .group_by(store_status.c.store_id)
    )
    if store_ids is not None:
        query = query.where(store_status.c.store_id.in_(store_ids))
    rows = connection.execute(query).all()
    stores = pd.DataFrame(
        {
            "store_id": pd.Series([row[0] for row in rows], dtype="str"),
            "last_poll_utc": pd.Series([row[1] for row in rows], dtype="datetime64[us, UTC]"),
        }
    )
    # sorted here, since a database sorts text by its own collation
    return stores.sort_values("store_id", ignore_index=True)


def read_polls(database: Database, store_ids: pd.Series, as_of: datetime) -> pd.DataFrame:
    """The polls at or before ``as_of`` of all stores from the first to the last of some.

    Parameters
    ----------
    database : Database
    store_ids : Series of text
        Sorted.
    as_of : datetime

    Returns
    -------
    DataFrame
        ``store_id`` (category), ``timestamp_utc`` (``datetime64[us, UTC]``), ``status`` (category),
        sorted by store and time.
    """
    # no id is before the empty text, so that no store means no poll
    first, last = ("", "") if store_ids.empty else (store_ids.iloc[0], store_ids.iloc[-1])
    collate, instant = ("", "?") if database.is_sqlite else (' COLLATE "C"', "?::timestamptz")
    query = (
        "SELECT store_id, timestamp_utc, status FROM store_status "  # noqa: S608 - no value in it
        f"WHERE store_id{collate} >= ? AND store_id{collate} <= ? AND timestamp_utc <= {instant} "
        f"ORDER BY store_id{collate}, timestamp_utc"
    )
    until = as_of.astimezone(UTC).strftime(_TEXT_FORMAT)
    table = database.fetch(query, (first, last, until if database.is_sqlite else until + "+00"))
    timestamps = table["timestamp_utc"]
    if database.is_sqlite:
        timestamps = timestamps.cast(pa.string()).cast(pa.timestamp("us"))
    return pd.DataFrame(
        {
            "store_id": _category(table["store_id"]),
            "timestamp_utc": timestamps.cast(pa.timestamp("us", "UTC")).to_pandas(),
            "status": _category(table["status"]),
        }
    )


def _category(column: pa.ChunkedArray) -> pd.Series:
    encoded = column.cast(pa.string()).dictionary_encode().unify_dictionaries()
    category: pd.Series = encoded.to_pandas()
    return category
