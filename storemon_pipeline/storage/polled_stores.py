"""Stores that were polled (table ``polled_store``), with their first and last poll."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, Table, bindparam, delete, func, select, update

from storemon_pipeline.storage import bulk_load
from storemon_pipeline.storage.bulk_read import fetch_from_sqlite
from storemon_pipeline.storage.schema import polled_store
from storemon_pipeline.storage.store_revisions import (
    newest_poll_before,
    revise,
    revise_store_of_removed_polls,
    revise_stores_polled_before,
)
from storemon_pipeline.uptime.rules import EARLIEST_POLL

if TYPE_CHECKING:
    from storemon_pipeline.storage.poll_store import PollStore

_SQLITE_ALL = """
SELECT store_id, first_poll_utc, last_poll_utc FROM polled_store WHERE first_poll_utc <= :as_of
"""
# not min() and least(), which differ between the databases
_WIDER_SPAN = {
    column: f"CASE WHEN excluded.{column} {wider} polled_store.{column} "
    f"THEN excluded.{column} ELSE polled_store.{column} END"
    for column, wider in (("first_poll_utc", "<"), ("last_poll_utc", ">"))
}


def record_polled_stores(connection: Connection, rows: pa.Table) -> None:
    """Update the first and the last poll of the stores of new polls.

    Stores with polls that are not newer than all earlier ones get a new revision
    (:mod:`.store_revisions`).

    Parameters
    ----------
    connection : Connection
        Of :meth:`~.database.Database.data_transaction`.
    rows : Table
        Result of :func:`~.poll_rows.sort_and_deduplicate`, not empty.
    """
    stores = _first_and_last(rows)
    if (newest := newest_poll_before(connection)) is not None:
        instant = pa.scalar(newest.replace(tzinfo=None), pa.timestamp("us"))
        late = stores.filter(pc.less_equal(stores["first_poll_utc"], instant))
        if len(late):
            revise(connection, late["store_id"])
    bulk_load.upsert_rows(connection, polled_store, stores, values=_WIDER_SPAN)


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


def refresh_store(polls: PollStore, connection: Connection, store_id: str) -> None:
    """Update the first and the last poll of a store after polls were removed."""
    newest_poll_before(connection)
    revise_store_of_removed_polls(connection, store_id)
    store, this = pd.Series([store_id]), polled_store.c.store_id == store_id
    first, last = connection.execute(
        select(polled_store.c.first_poll_utc, polled_store.c.last_poll_utc).where(this)
    ).one_or_none() or (None, None)
    if first is None or last is None:
        return
    oldest = polls.first_polls(connection, store, first)
    if oldest.empty:
        connection.execute(delete(polled_store).where(this))
        return
    newest = polls.last_polls(connection, store, last)
    connection.execute(
        update(polled_store)
        .where(this)
        .values(first_poll_utc=oldest.iloc[0], last_poll_utc=newest.iloc[0])
    )


def refresh_dropped_stores(polls: PollStore, connection: Connection, first: datetime) -> int:
    """Update all stores after the polls before an instant were dropped.

    Returns
    -------
    int
        Number of stores without remaining polls, which were deleted.
    """
    stores = polled_store.c
    newest_poll_before(connection)
    revise_stores_polled_before(connection, first)
    gone = connection.execute(delete(polled_store).where(stores.last_poll_utc < first)).rowcount
    older = pd.Series(
        connection.execute(select(stores.store_id).where(stores.first_poll_utc < first)).scalars(),
        dtype="str",
    )
    oldest = polls.first_polls(connection, older, first)
    if len(oldest):
        connection.execute(
            update(polled_store)
            .where(stores.store_id == bindparam("store"))
            .values(first_poll_utc=bindparam("first")),
            [{"store": store_id, "first": at.to_pydatetime()} for store_id, at in oldest.items()],
        )
    return gone


def newest_poll(polls: PollStore, connection: Connection, until: datetime) -> datetime | None:
    """Return the instant of the newest poll at or before ``until``, or None."""
    newest: datetime | None = connection.execute(
        select(func.max(polled_store.c.last_poll_utc))
    ).scalar_one()
    if newest is None or newest <= until:
        return newest
    # a later poll exists: from a fast clock, or ``until`` is in the past
    return polls.newest(connection, until)


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
    polls: PollStore,
    connection: Connection,
    as_of: datetime,
    store_ids: tuple[str, ...] | None = None,
) -> pd.DataFrame:
    """Return every store that was polled at or before ``as_of``.

    Parameters
    ----------
    polls : PollStore
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
    if connection.dialect.name == "sqlite" and store_ids is None:
        table = _read_all_from_sqlite(connection, as_of)
    else:
        table = _read_selected(connection, as_of, store_ids)
    # as_of in the past: the newest poll before it is looked up per store
    if (later := table["last_poll_utc"] > as_of).any():
        found = polls.last_polls(connection, table["store_id"][later], as_of)
        table.loc[later, "last_poll_utc"] = found.reindex(table["store_id"][later]).to_numpy()
    # placeholder timestamps in the table must not widen the span
    if (early := table["first_poll_utc"] < EARLIEST_POLL).any():
        found = polls.first_polls(connection, table["store_id"][early], EARLIEST_POLL)
        table.loc[early, "first_poll_utc"] = found.reindex(table["store_id"][early]).to_numpy()
    table = table[table["first_poll_utc"] <= as_of]
    return table.sort_values("store_id", ignore_index=True)


def _read_all_from_sqlite(connection: Connection, as_of: datetime) -> pd.DataFrame:
    """Read without a conversion per value, which takes ten times as long."""
    rows = fetch_from_sqlite(connection, _SQLITE_ALL, {"as_of": bulk_load.format_utc(as_of)})
    utc = {
        name: rows[name].cast(pa.timestamp("us")).cast(pa.timestamp("us", "UTC")).to_pandas()
        for name in ("first_poll_utc", "last_poll_utc")
    }
    return pd.DataFrame({"store_id": rows["store_id"].to_pandas(), **utc})


def _read_selected(
    connection: Connection, as_of: datetime, store_ids: tuple[str, ...] | None
) -> pd.DataFrame:
    stores = polled_store.c
    selected = stores.first_poll_utc <= as_of
    if store_ids is not None:
        selected &= stores.store_id.in_(store_ids)
    query = select(stores.store_id, stores.first_poll_utc, stores.last_poll_utc).where(selected)
    rows = connection.execute(query).all()
    return pd.DataFrame(
        {
            "store_id": pd.Series([row[0] for row in rows], dtype="str"),
            "first_poll_utc": pd.Series([row[1] for row in rows], dtype="datetime64[us, UTC]"),
            "last_poll_utc": pd.Series([row[2] for row in rows], dtype="datetime64[us, UTC]"),
        }
    )
