"""The polls that a report needs, and no others: those of its span, and what carries into it.

A store's status at the beginning of the span is that of the newest poll before it that counts,
which may be hours or months older. Nobody's whole history is read for it: everybody's last two
days before the span are, and then, only for the stores that have nothing there that counts, older
stretches, each four times as long as the one before.
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
from storemon_pipeline.storage.polls import read_polls, read_polls_of_each
from storemon_pipeline.uptime.open_hours import OpeningHours
from storemon_pipeline.uptime.rules import EARLIEST_POLL, UptimeRules
from storemon_pipeline.uptime.status import without_evidence

Part = TypeVar("Part")
Read = TypeVar("Read")

LOOK_BACK = pd.Timedelta(days=2)
_LONGER = 4
_AHEAD = 2
_INSTANT = pd.Timedelta(microseconds=1)


def read_evidence(
    database: Database,
    stores: pd.DataFrame,
    hours: OpeningHours,
    start: pd.Timestamp,
    as_of: pd.Timestamp,
    rules: UptimeRules,
) -> pd.DataFrame:
    """Read the polls that the status of some stores within ``[start, as_of)`` depends on.

    Parameters
    ----------
    database : Database
    stores : DataFrame
        ``store_id``, ``timezone``, ``first_poll_utc``, ``last_poll_utc``, sorted, a row a store.
    hours : OpeningHours
        They tell which polls count.
    start, as_of : Timestamp
        UTC.
    rules : UptimeRules

    Returns
    -------
    DataFrame
        ``store_id``, ``timestamp_utc``, ``status``, as
        :func:`~storemon_pipeline.uptime.status.status_intervals` takes them.
    """
    since = max(start - LOOK_BACK, pd.Timestamp(EARLIEST_POLL))
    parts = [read_polls(database, stores["store_id"], since, as_of)]
    left = stores[without_evidence(stores, parts[0], hours, start, rules)]
    wanted = pd.DataFrame(
        {
            "store_id": left["store_id"],
            "timezone": left["timezone"],
            "first_poll_utc": left["first_poll_utc"],
            # a store that fell silent earlier is looked for from its last poll on
            "until": (left["last_poll_utc"] + _INSTANT).where(left["last_poll_utc"] < since, since),
        }
    )
    length = LOOK_BACK
    while True:
        wanted = wanted[wanted["first_poll_utc"] < wanted["until"]].reset_index(drop=True)
        if wanted.empty:
            break
        length *= _LONGER
        wanted["since"] = (wanted["until"] - length).clip(lower=wanted["first_poll_utc"])
        found = read_polls_of_each(database, wanted)
        parts.append(found)
        still = without_evidence(wanted, found, hours, start, rules)
        wanted = wanted[still].assign(until=wanted["since"][still])
    return _together(parts)


def with_estimated_polls(
    database: Database, stores: pd.DataFrame, start: datetime, as_of: datetime
) -> pd.DataFrame:
    """Some stores with about how many polls :func:`read_evidence` reads of each.

    Parameters
    ----------
    database : Database
    stores : DataFrame
        ``store_id``, sorted, a row a store.
    start, as_of : datetime
        As for :func:`read_evidence`.

    Returns
    -------
    DataFrame
        With ``polls`` (int64), for :func:`~storemon_pipeline.uptime.slices.store_slices`.
    """
    ids = stores["store_id"]
    return stores.assign(polls=estimate_polls(database, ids, start - LOOK_BACK, as_of))


def _together(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """One table of parts whose categories differ."""
    if len(parts) == 1:
        return parts[0]
    together: dict[str, pd.Categorical | pd.Series] = {
        column: pd.api.types.union_categoricals([part[column] for part in parts])
        for column in ("store_id", "status")
    }
    together["timestamp_utc"] = pd.concat([p["timestamp_utc"] for p in parts], ignore_index=True)
    return pd.DataFrame(together)


def read_ahead(read: Callable[[Part], Read], parts: Iterable[Part]) -> Iterator[Read]:
    """Read part after part, the next two of them by threads while one is worked with.

    Parameters
    ----------
    read : callable
        Reads a part; may run in several threads at once.
    parts : iterable

    Yields
    ------
    object
        What ``read`` gave for each part, in order.
    """
    left = iter(parts)
    with ThreadPoolExecutor(max_workers=_AHEAD) as threads:
        reading = deque(threads.submit(read, part) for part in islice(left, _AHEAD))
        while reading:
            done = reading.popleft().result()
            reading.extend(threads.submit(read, part) for part in islice(left, 1))
            yield done
