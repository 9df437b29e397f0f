"""Read the polls that a report needs: those of its span, and the latest counted poll before it.

The status at the start of the span is that of the latest counted poll before it, which may be hours
or months older. To avoid reading whole histories, the two days before the span are read for all
stores. Then, for stores without a counted poll there, older ranges are read, each four times as
long as the previous one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import islice
from typing import TypeVar

import pandas as pd

from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.poll_estimate import estimate_polls
from storemon_pipeline.storage.polls import read_poll_ranges, read_polls
from storemon_pipeline.uptime.opening_hours import OpeningHours
from storemon_pipeline.uptime.rules import EARLIEST_POLL, UptimeRules
from storemon_pipeline.uptime.status_intervals import stores_without_prior_poll

Part = TypeVar("Part")
Read = TypeVar("Read")

LOOKBACK = pd.Timedelta(days=2)
LOOKBACK_FACTOR = 4
PREFETCH_DEPTH = 2
MICROSECOND = pd.Timedelta(microseconds=1)


def read_polls_with_lookback(
    database: Database,
    stores: pd.DataFrame,
    hours: OpeningHours,
    start: pd.Timestamp,
    as_of: pd.Timestamp,
    rules: UptimeRules,
) -> pd.DataFrame:
    """Read the polls that determine the status of stores within ``[start, as_of)``.

    Parameters
    ----------
    database : Database
    stores : DataFrame
        ``store_id``, ``timezone``, ``first_poll_utc``, ``last_poll_utc``, sorted, one row per
        store.
    hours : OpeningHours
        Determine which polls count.
    start, as_of : Timestamp
        UTC.
    rules : UptimeRules

    Returns
    -------
    DataFrame
        ``store_id``, ``timestamp_utc``, ``status``, as input of
        :func:`~storemon_pipeline.uptime.status_intervals.status_intervals`.
    """
    since = max(start - LOOKBACK, pd.Timestamp(EARLIEST_POLL))
    parts = [read_polls(database, stores["store_id"], since, as_of)]
    left = stores[stores_without_prior_poll(stores, parts[0], hours, start, rules)]
    wanted = pd.DataFrame(
        {
            "store_id": left["store_id"],
            "timezone": left["timezone"],
            "first_poll_utc": left["first_poll_utc"],
            # search backwards from the last poll of a store that was silent since
            "until": (left["last_poll_utc"] + MICROSECOND).where(
                left["last_poll_utc"] < since, since
            ),
        }
    )
    length = LOOKBACK
    while True:
        wanted = wanted[wanted["first_poll_utc"] < wanted["until"]].reset_index(drop=True)
        if wanted.empty:
            break
        length *= LOOKBACK_FACTOR
        wanted["since"] = (wanted["until"] - length).clip(lower=wanted["first_poll_utc"])
        found = read_poll_ranges(database, wanted)
        parts.append(found)
        still = stores_without_prior_poll(wanted, found, hours, start, rules)
        wanted = wanted[still].assign(until=wanted["since"][still])
    return _concat_categoricals(parts)


def with_estimated_polls(
    database: Database, stores: pd.DataFrame, start: datetime, as_of: datetime
) -> pd.DataFrame:
    """Add the estimated number of polls that :func:`read_polls_with_lookback` reads per store.

    Parameters
    ----------
    database : Database
    stores : DataFrame
        ``store_id``, sorted, one row per store.
    start, as_of : datetime
        As for :func:`read_polls_with_lookback`.

    Returns
    -------
    DataFrame
        With ``polls`` (int64), for :func:`~storemon_pipeline.uptime.batches.batch_stores`.
    """
    ids = stores["store_id"]
    return stores.assign(polls=estimate_polls(database, ids, start - LOOKBACK, as_of))


def _concat_categoricals(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Concatenate tables with different categories."""
    if len(parts) == 1:
        return parts[0]
    together: dict[str, pd.Categorical | pd.Series] = {
        column: pd.api.types.union_categoricals([part[column] for part in parts])
        for column in ("store_id", "status")
    }
    together["timestamp_utc"] = pd.concat([p["timestamp_utc"] for p in parts], ignore_index=True)
    return pd.DataFrame(together)


def read_ahead(read: Callable[[Part], Read], parts: Iterable[Part]) -> Iterator[Read]:
    """Read parts in order, prefetching the next two in threads.

    Parameters
    ----------
    read : callable
        Reads a part; may run in several threads at once.
    parts : iterable

    Yields
    ------
    object
        The result of ``read`` for each part, in order.
    """
    left = iter(parts)
    with ThreadPoolExecutor(max_workers=PREFETCH_DEPTH) as threads:
        reading = deque(threads.submit(read, part) for part in islice(left, PREFETCH_DEPTH))
        while reading:
            done = reading.popleft().result()
            reading.extend(threads.submit(read, part) for part in islice(left, 1))
            yield done
