"""Which stores are worked through together, so that a report of any size fits into memory.

A slice is bounded by its store-hours, since the numbers of polls, of open intervals and of hours
of the week all grow with them. The figures do not depend on where slices begin and end.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import pandas as pd

STORE_HOURS = 1_200_000
"""Stores x hours of a slice: a week of 7,100 stores.

Larger ones take longer: the system has to find memory for each of their arrays anew."""


def store_slices(stores: pd.DataFrame, span: tuple[datetime, datetime]) -> Iterator[pd.DataFrame]:
    """Cut a table of stores into slices of bounded size.

    Parameters
    ----------
    stores : DataFrame
        A row a store, sorted by ``store_id``.
    span : tuple of datetime
        The time that is looked at.

    Yields
    ------
    DataFrame
        Some consecutive rows with a new index; one slice without rows where there are none.
    """
    start, end = span
    hours = (end - start).total_seconds() / 3600
    size = max(1, int(STORE_HOURS / hours))
    for first in range(0, max(len(stores), 1), size):
        yield stores.iloc[first : first + size].reset_index(drop=True)
