"""Between the tables that come in and go out, and the arrays that are computed with.

Only the translation: store ids <-> codes, timestamps <-> microseconds, tables <-> intervals.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from storemon_pipeline.uptime.intervals import Int, Intervals


def store_codes(store_id: pd.Series, stores: pd.Series) -> Int:
    """Each store's position among ``stores``, -1 where it is not one of them.

    Parameters
    ----------
    store_id : Series of text or category, shape (n,)
    stores : Series of text, sorted, no value twice

    Returns
    -------
    int64 array, shape (n,)
    """
    index = pd.Index(stores.astype(object))
    if isinstance(store_id.dtype, pd.CategoricalDtype):
        # each of the few categories is looked up once, not each of the many rows
        of_category = index.get_indexer(pd.Index(store_id.cat.categories.astype(object)))
        code: Int = np.append(of_category, -1).astype(np.int64)[store_id.cat.codes.to_numpy()]
        return code
    position: Int = index.get_indexer(pd.Index(store_id.astype(object))).astype(np.int64)
    return position


def codes_to_ids(code: Int, stores: pd.Series) -> pd.Series:
    """The inverse of :func:`store_codes`, as an ordered category of all ``stores``."""
    categories = pd.Index(stores.astype(object))
    return pd.Series(pd.Categorical.from_codes(code, categories=categories, ordered=True))


def to_microseconds(timestamps: Iterable[object]) -> Int:
    """Microseconds since 1970-01-01 UTC of UTC timestamps; int64 array of the same length."""
    utc = pd.DatetimeIndex(pd.Series(timestamps)).tz_convert("UTC").tz_localize(None)
    return utc.as_unit("us").to_numpy().astype("datetime64[us]").astype(np.int64)


def to_timestamps(instant: Int) -> pd.Series:
    """The inverse of :func:`to_microseconds`, as ``datetime64[us, UTC]``."""
    return pd.Series(instant.astype("datetime64[us]")).dt.tz_localize("UTC")


def intervals_to_frame(
    intervals: Intervals, stores: pd.DataFrame, start: str, end: str
) -> pd.DataFrame:
    """Intervals as a table: ``store_id`` and the columns named ``start`` and ``end``."""
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
    """The inverse of :func:`intervals_to_frame`; rows of other stores are passed over."""
    intervals = Intervals(
        store_codes(table["store_id"], stores["store_id"]),
        to_microseconds(table[start]),
        to_microseconds(table[end]),
    )
    return intervals.take(intervals.code >= 0)
