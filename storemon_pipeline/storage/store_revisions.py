"""Which stores have a state that newer polls alone do not bring forward (``store_revision``).

The states of stores are kept between evaluations (:mod:`.store_states`) and are brought forward by
the polls since. A transaction that changes anything else about a store gives it a new revision:
late, corrected and removed polls, and new snapshots of opening hours and time zones. Revisions grow
from change to change, and their rows are never deleted, so an evaluation finds the stores that
changed since an earlier one.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
from sqlalchemy import Connection, bindparam, func, select, text

from storemon_pipeline.storage import bulk_load
from storemon_pipeline.storage.schema import UtcDateTime, polled_store, store_revision

EVERY_STORE = ""
"""The id of a change that concerns all stores; no store has it."""

_revision = store_revision.c
_NEWEST = "newest_poll_before"
_REMOVED = """
INSERT INTO store_revision AS known (store_id, revision, removed_until)
SELECT store_id, :revision, last_poll_utc FROM polled_store WHERE {which}
ON CONFLICT (store_id) DO UPDATE SET revision = excluded.revision,
    removed_until = CASE WHEN known.removed_until > excluded.removed_until
        THEN known.removed_until ELSE excluded.removed_until END
"""
_REMOVED_OF_STORE = text(_REMOVED.format(which="store_id = :store_id"))
_REMOVED_BEFORE = text(_REMOVED.format(which="first_poll_utc < :first")).bindparams(
    bindparam("first", type_=UtcDateTime)
)


def newest_revision(connection: Connection) -> int:
    """Return the highest revision, or 0."""
    return connection.execute(select(func.max(_revision.revision))).scalar_one() or 0


def revised_stores(connection: Connection, after: int) -> pd.Series:
    """Return the ids of the stores with a revision above a number, :data:`EVERY_STORE` included."""
    query = select(_revision.store_id).where(_revision.revision > after)
    return pd.Series(connection.execute(query).scalars().all(), dtype="str")


def revise(connection: Connection, store_ids: pa.Array) -> None:
    """Give stores a new revision.

    Parameters
    ----------
    connection : Connection
        Of :meth:`~.database.Database.data_transaction`.
    store_ids : Array or ChunkedArray of text, each once
    """
    revision = np.full(len(store_ids), newest_revision(connection) + 1)
    rows = pa.table({"store_id": store_ids, "revision": revision})
    bulk_load.upsert_rows(connection, store_revision, rows)


def revise_store_of_removed_polls(connection: Connection, store_id: str) -> None:
    """Give a store a new revision, before ``polled_store`` is updated."""
    revision = newest_revision(connection) + 1
    connection.execute(_REMOVED_OF_STORE, {"revision": revision, "store_id": store_id})


def revise_stores_polled_before(connection: Connection, first: datetime) -> None:
    """Give the stores with polls before an instant a new revision, as for removed polls."""
    revision = newest_revision(connection) + 1
    connection.execute(_REMOVED_BEFORE, {"revision": revision, "first": first})


def newest_poll_before(connection: Connection) -> datetime | None:
    """Return the newest poll that any earlier transaction has seen, or None.

    No evaluation before this transaction was as of a later instant, so only polls at or before this
    one can be late. It must be called before the transaction changes ``polled_store``; then it is
    the same for the whole transaction.
    """
    transaction = connection.get_transaction()
    known = connection.info.get(_NEWEST)
    if known is not None and known[0] is transaction:
        newest: datetime | None = known[1]
        return newest
    polled = connection.execute(select(func.max(polled_store.c.last_poll_utc))).scalar_one()
    removed = connection.execute(select(func.max(_revision.removed_until))).scalar_one()
    newest = max((at for at in (polled, removed) if at is not None), default=None)
    connection.info[_NEWEST] = transaction, newest
    return newest
