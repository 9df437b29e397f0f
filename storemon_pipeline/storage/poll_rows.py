"""Rows of polls: sorted by store and instant, without duplicates; text as categories."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from storemon_pipeline.uptime.conversions import to_microseconds
from storemon_pipeline.uptime.interval_arithmetic import Int, StoreTimeKey


def sort_and_deduplicate(polls: pd.DataFrame) -> pa.Table:
    """Sort polls by store and time; keep the last row per store and instant.

    Parameters
    ----------
    polls : DataFrame
        ``store_id`` (text), ``timestamp_utc`` (``datetime64[us, UTC]``), ``status`` (text).

    Returns
    -------
    Table
        ``store_id``, ``status`` (dictionary of text), ``timestamp_utc`` (``timestamp[us]``, UTC).
    """
    ids, statuses = _encoded(polls["store_id"]), _encoded(polls["status"])
    at = to_microseconds(polls["timestamp_utc"])
    kept = _sort_order(store_ranks(ids), at)
    return pa.table(
        {
            "store_id": ids.take(pa.array(kept)),
            "timestamp_utc": pa.array(at[kept], pa.timestamp("us")),
            "status": statuses.take(pa.array(kept)),
        }
    )


def latest_rows(polls: pd.DataFrame) -> pd.DataFrame:
    """Return polls as text, sorted by store and instant, only the last row of each.

    Parameters
    ----------
    polls : DataFrame
        As read by a :class:`~.poll_store.PollReader`.
    """
    rows = polls.astype({"store_id": "str", "status": "str"})
    rows = rows.drop_duplicates(["store_id", "timestamp_utc"], keep="last")
    return rows.sort_values(["store_id", "timestamp_utc"], ignore_index=True)


def store_ranks(ids: pa.DictionaryArray) -> Int:
    """Return the rank of each row's store among the stores of all rows.

    Returns
    -------
    int64 array, shape (rows,)
    """
    names = ids.dictionary.to_numpy(zero_copy_only=False)
    rank = np.empty(len(names), dtype=np.int64)
    rank[np.argsort(names)] = np.arange(len(names))
    ranks: Int = rank[ids.indices.to_numpy()]
    return ranks


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


def to_polls(rows: pa.Table) -> pd.DataFrame:
    """Convert rows to a table of polls, as a :class:`~.poll_store.PollReader` returns it.

    Parameters
    ----------
    rows : Table
        ``store_id``, ``status`` (text, dictionary-encoded or not), ``timestamp_utc``
        (``timestamp``, UTC, with or without zone).
    """
    return pd.DataFrame(
        {
            "store_id": _to_category(rows["store_id"]),
            "timestamp_utc": rows["timestamp_utc"].cast(pa.timestamp("us", "UTC")).to_pandas(),
            "status": _to_category(rows["status"]),
        }
    )


def _to_category(column: pa.ChunkedArray) -> pd.Series:
    if not pa.types.is_dictionary(column.type):
        column = column.cast(pa.string()).dictionary_encode()
    encoded = column.unify_dictionaries().combine_chunks()
    names = pd.Index(encoded.dictionary.to_numpy(zero_copy_only=False), dtype="str")
    return pd.Series(pd.Categorical.from_codes(encoded.indices.to_numpy(), names))
