"""Which stores are worked through together, so that a report of any size fits into memory.

A slice is bounded by its store-hours, since the numbers of open intervals and of hours of the week
grow with them, and by its polls. The figures do not depend on where slices begin and end.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import numpy as np
import pandas as pd

STORE_HOURS_PER_BATCH = 1_200_000
"""Stores x hours of a slice: a week of 7,100 stores.

Larger ones take longer: the system has to find memory for each of their arrays anew."""

POLLS = 2_000_000
"""Polls of a slice: a week of 7,100 stores that are polled every forty minutes.

Three slices are in memory at a time, two of them being read: a few hundred bytes a poll."""


def batch_stores(stores: pd.DataFrame, span: tuple[datetime, datetime]) -> Iterator[pd.DataFrame]:
    """Cut a table of stores into slices of bounded size.

    Parameters
    ----------
    stores : DataFrame
        A row a store, sorted by ``store_id``. ``polls`` (int64), if it is there: about how many
        polls of each are read.
    span : tuple of datetime
        The time that is looked at.

    Yields
    ------
    DataFrame
        Some consecutive rows with a new index; one slice without rows where there are none. A store
        with more than :data:`POLLS` is a slice by itself.
    """
    start, end = span
    hours = (end - start).total_seconds() / 3600
    most_stores = max(1, int(STORE_HOURS_PER_BATCH / hours))
    polls = stores.get("polls", pd.Series(0, index=stores.index)).to_numpy()
    polls_up_to = np.concatenate(([0], np.cumsum(polls)))
    first = 0
    while first < max(len(stores), 1):
        within = np.searchsorted(polls_up_to, polls_up_to[first] + POLLS, side="right") - 1
        last = max(first + 1, min(first + most_stores, int(within)))
        yield stores.iloc[first:last].reset_index(drop=True)
        first = last
