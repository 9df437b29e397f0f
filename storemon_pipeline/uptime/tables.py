"""Between the tables that come in and go out, and the arrays that are computed with.

Only the translation: store ids <-> codes, timestamps <-> microseconds, tables <-> intervals.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from storemon_pipeline.uptime.intervals import Int, Intervals


def codes_of(store_id: pd.Series, stores: pd.Series) -> Int:
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


def store_ids(code: Int, stores: pd.Series) -> pd.Series:
    """The inverse of :func:`codes_of`, as an ordered category of all ``stores``."""
    categories = pd.Index(stores.astype(object))
    return pd.Series(pd.Categorical.from_codes(code, categories=categories, ordered=True))


def instants_of(timestamps: Iterable[object]) -> Int:
    """Microseconds since 1970-01-01 UTC of UTC timestamps; int64 array of the same length."""
    utc = pd.DatetimeIndex(pd.Series(timestamps)).tz_convert("UTC").tz_localize(None)
    return utc.as_unit("us").to_numpy().astype("datetime64[us]").astype(np.int64)


def timestamps_of(instant: Int) -> pd.Series:
    """The inverse of :func:`instants_of`, as ``datetime64[us, UTC]``."""
    return pd.Series(instant.astype("datetime64[us]")).dt.tz_localize("UTC")


def table_of(intervals: Intervals, stores: pd.DataFrame, start: str, end: str) -> pd.DataFrame:
    """Intervals as a table: ``store_id`` and the columns named ``start`` and ``end``."""
    return pd.DataFrame(
        {
            "store_id": store_ids(intervals.code, stores["store_id"]),
            start: timestamps_of(intervals.start),
            end: timestamps_of(intervals.end),
        },
        copy=False,
    )


def intervals_of(table: pd.DataFrame, stores: pd.DataFrame, start: str, end: str) -> Intervals:
    """The inverse of :func:`table_of`; rows of other stores are passed over."""
    intervals = Intervals(
        codes_of(table["store_id"], stores["store_id"]),
        instants_of(table[start]),
        instants_of(table[end]),
    )
    return intervals.take(intervals.code >= 0)
