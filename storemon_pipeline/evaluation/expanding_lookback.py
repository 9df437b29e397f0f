"""Read back in time in growing spans, only for the stores that still need older polls."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

LOOKBACK_FACTOR = 4


def expanding_lookback(
    stores: pd.DataFrame,
    length: pd.Timedelta,
    read: Callable[[pd.DataFrame, pd.Timedelta], pd.DataFrame],
) -> None:
    """Call ``read`` with spans of growing length until no store is left.

    Parameters
    ----------
    stores : DataFrame
        One row per store.
    length : Timedelta
        Length of the first span; each is four times as long as the previous one.
    read : callable
        Read the polls of the given stores for a span of the given length. Return the rows of the
        stores that need a longer one.
    """
    while not stores.empty:
        stores = read(stores, length)
        length *= LOOKBACK_FACTOR
