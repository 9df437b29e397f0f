"""Batches of stores of bounded size, so that a report of any size fits into memory.

A batch is bounded by its store-hours, which determine the number of open intervals, and by its
polls. The figures do not depend on the batches.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import numpy as np
import pandas as pd

STORE_HOURS_PER_BATCH = 1_200_000
"""Maximum store-hours of a batch: a week of 7,100 stores.

Larger batches are slower, since their arrays are returned to the system and allocated again."""

POLLS = 2_000_000
"""Maximum polls of a batch: a week of 7,100 stores polled every forty minutes.

A worker holds one batch at a time, at a few hundred bytes per poll."""


def batch_stores(stores: pd.DataFrame, span: tuple[datetime, datetime]) -> Iterator[pd.DataFrame]:
    """Split a table of stores into batches of bounded size.

    Parameters
    ----------
    stores : DataFrame
        One row per store, sorted by ``store_id``. ``polls`` (int64, optional): estimated number of
        polls to read.
    span : tuple of datetime
        Start and end.

    Yields
    ------
    DataFrame
        Consecutive rows with a new index; one empty batch if there are no stores. A store with more
        than :data:`POLLS` is a batch by itself.
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
