"""Conversions between tables, arrays and JSON values.

Store ids and codes, timestamps and microseconds, tables and intervals, tables and records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from storemon_pipeline.uptime.interval_arithmetic import Int, Intervals, StoreTimeKey

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def store_codes(store_id: pd.Series, stores: pd.Series) -> Int:
    """Return the position of each store in ``stores``, -1 for unknown stores.

    Parameters
    ----------
    store_id : Series of text or category, shape (n,)
    stores : Series of text, sorted, unique

    Returns
    -------
    int64 array, shape (n,)
    """
    index = pd.Index(stores.astype(object))
    if isinstance(store_id.dtype, pd.CategoricalDtype):
        # look up each category once instead of each row
        of_category = index.get_indexer(pd.Index(store_id.cat.categories.astype(object)))
        code: Int = np.append(of_category, -1).astype(np.int64)[store_id.cat.codes.to_numpy()]
        return code
    position: Int = index.get_indexer(pd.Index(store_id.astype(object))).astype(np.int64)
    return position


def codes_to_ids(code: Int, stores: pd.Series) -> pd.Series:
    """Convert codes to an ordered category of all ``stores``; inverse of :func:`store_codes`."""
    categories = pd.Index(stores.astype(object))
    return pd.Series(pd.Categorical.from_codes(code, categories=categories, ordered=True))


def to_microseconds(timestamps: Iterable[object]) -> Int:
    """Convert timestamps to microseconds since 1970-01-01 UTC; int64 array of the same length."""
    utc = pd.DatetimeIndex(pd.Series(timestamps)).tz_convert("UTC").tz_localize(None)
    return utc.as_unit("us").to_numpy().astype("datetime64[us]").astype(np.int64)


def to_microsecond(timestamp: datetime) -> int:
    """Convert one timestamp to microseconds since 1970-01-01 UTC."""
    return (timestamp - _EPOCH) // _MICROSECOND


def span_key(span: tuple[datetime, datetime], stores: int) -> StoreTimeKey:
    """Return the key for a number of stores over a span of time."""
    start, end = span
    return StoreTimeKey(to_microsecond(start), to_microsecond(end), stores)


def to_timestamps(instant: Int) -> pd.Series:
    """Convert microseconds to ``datetime64[us, UTC]``; inverse of :func:`to_microseconds`."""
    return pd.Series(instant.astype("datetime64[us]")).dt.tz_localize("UTC")


def intervals_to_frame(
    intervals: Intervals, stores: pd.DataFrame, start: str, end: str
) -> pd.DataFrame:
    """Convert intervals to a table with ``store_id`` and the columns ``start`` and ``end``."""
    return pd.DataFrame(
        {
            "store_id": codes_to_ids(intervals.code, stores["store_id"]),
            start: to_timestamps(intervals.start),
            end: to_timestamps(intervals.end),
        },
        copy=False,
    )


def frame_to_intervals(
    table: pd.DataFrame, stores: pd.DataFrame, start: str, end: str
) -> Intervals:
    """Convert a table to intervals; inverse of :func:`intervals_to_frame`. Skip unknown stores."""
    intervals = Intervals(
        store_codes(table["store_id"], stores["store_id"]),
        to_microseconds(table[start]),
        to_microseconds(table[end]),
    )
    return intervals.take(intervals.code >= 0)


def to_records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Convert a table to one dict per row, with None for missing values."""
    records: Any = table.astype(object).where(table.notna(), None).to_dict("records")
    return list(records)


def to_iso_z(instant: datetime) -> str:
    """Format a UTC instant as ISO 8601 with ``Z``.

    Examples
    --------
    >>> to_iso_z(datetime.fromisoformat("2023-01-25T18:13:22.5+00:00"))
    '2023-01-25T18:13:22.500000Z'
    """
    return instant.isoformat().replace("+00:00", "Z")


def map_distinct(values: pd.Series, convert: Callable[[pd.Series], pd.Series]) -> pd.Series:
    """Convert each distinct value once, for columns of few values; missing values stay missing.

    Parameters
    ----------
    values : Series
    convert : callable
        Takes the distinct values, of the dtype of ``values``; returns one result for each.

    Returns
    -------
    Series, with the index of ``values``

    Examples
    --------
    >>> map_distinct(pd.Series(["a", "b", "a"]), lambda texts: texts.str.upper()).tolist()
    ['A', 'B', 'A']
    """
    code, distinct = pd.factorize(values)  # -1 for a missing value
    converted = convert(pd.Series(distinct, dtype=values.dtype))
    return pd.Series(converted.array.take(code, allow_fill=True), index=values.index)
