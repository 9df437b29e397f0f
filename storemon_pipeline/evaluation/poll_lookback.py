"""Read the polls of a report: those within its span, and the latest counted poll before it.

The status at the start of the span is that of the latest counted poll before it, which may be hours
or months older. To avoid reading whole histories, the two days before the span are read for all
stores. Then, for stores without a counted poll there, older ranges are read, each four times as
long as the previous one.
"""

from __future__ import annotations

from datetime import datetime

import pandas as pd

from storemon_pipeline.evaluation.expanding_lookback import LOOKBACK_FACTOR, expanding_lookback
from storemon_pipeline.storage.poll_store import PollReader, PollStore
from storemon_pipeline.uptime.opening_hours import OpeningHours
from storemon_pipeline.uptime.rules import EARLIEST_POLL, UptimeRules
from storemon_pipeline.uptime.status_intervals import stores_without_prior_poll

LOOKBACK = pd.Timedelta(days=2)
MICROSECOND = pd.Timedelta(microseconds=1)

_ASSUMED_INTERVAL = pd.Timedelta(minutes=6)


class SelectedStores:
    """Reads the polls of the given stores store by store, not those of all stores in between.

    The methods are documented in :class:`~storemon_pipeline.storage.poll_store.PollReader`.

    Parameters
    ----------
    polls : PollReader
    """

    def __init__(self, polls: PollReader) -> None:
        self._polls = polls

    def read(self, store_ids: pd.Series, since: datetime, until: datetime) -> pd.DataFrame:
        """Read the same range of time of each store."""
        ranges = pd.DataFrame({"store_id": store_ids}).assign(
            since=pd.Timestamp(since), until=pd.Timestamp(until) + MICROSECOND
        )
        return self._polls.read_ranges(ranges)

    def read_ranges(self, ranges: pd.DataFrame) -> pd.DataFrame:
        """Read a range of time per store."""
        return self._polls.read_ranges(ranges)


def read_polls_with_lookback(
    poll_store: PollReader,
    stores: pd.DataFrame,
    hours: OpeningHours,
    start: pd.Timestamp,
    as_of: pd.Timestamp,
    rules: UptimeRules,
) -> pd.DataFrame:
    """Read the polls that determine the status of stores within ``[start, as_of)``.

    Parameters
    ----------
    poll_store : PollReader
    stores : DataFrame
        ``store_id``, ``timezone``, ``first_poll_utc``, ``last_poll_utc``, sorted, one row per
        store.
    hours : OpeningHours
        Opening hours, which determine which polls count.
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
    parts = [poll_store.read(stores["store_id"], since, as_of)]

    def read_older(ranges: pd.DataFrame, length: pd.Timedelta) -> pd.DataFrame:
        oldest = (ranges["until"] - length).clip(lower=ranges["first_poll_utc"])
        ranges = ranges.assign(since=oldest)
        polls = poll_store.read_ranges(ranges)
        parts.append(polls)
        missing = stores_without_prior_poll(ranges, polls, hours, start, rules)
        return _unread(ranges[missing].assign(until=oldest[missing]))

    silent = stores[stores_without_prior_poll(stores, parts[0], hours, start, rules)]
    ranges = silent[["store_id", "timezone", "first_poll_utc"]].assign(
        # search backwards from the last poll of a store without polls since
        until=(silent["last_poll_utc"] + MICROSECOND).where(silent["last_poll_utc"] < since, since)
    )
    expanding_lookback(_unread(ranges), LOOKBACK_FACTOR * LOOKBACK, read_older)
    return _concat_categoricals(parts)


def _unread(ranges: pd.DataFrame) -> pd.DataFrame:
    """Return the ranges of stores that have older polls."""
    return ranges[ranges["first_poll_utc"] < ranges["until"]].reset_index(drop=True)


def with_estimated_polls(
    poll_store: PollStore, stores: pd.DataFrame, start: datetime, as_of: datetime
) -> pd.DataFrame:
    """Add the estimated number of polls that :func:`read_polls_with_lookback` reads per store.

    Parameters
    ----------
    poll_store : PollReader
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
    return stores.assign(polls=poll_store.estimate(ids, start - LOOKBACK, as_of))


def with_assumed_polls(stores: pd.DataFrame, start: datetime, as_of: datetime) -> pd.DataFrame:
    """Add an assumed number of polls, as :func:`with_estimated_polls` does for many stores.

    An estimate reads the polls of all stores, which takes longer than to read those of few.
    """
    return stores.assign(polls=(as_of - start + LOOKBACK) // _ASSUMED_INTERVAL)


def _concat_categoricals(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Concatenate tables whose categories differ."""
    if len(parts) == 1:
        return parts[0]
    columns: dict[str, pd.Categorical | pd.Series] = {
        column: pd.api.types.union_categoricals([part[column] for part in parts])
        for column in ("store_id", "status")
    }
    columns["timestamp_utc"] = pd.concat([p["timestamp_utc"] for p in parts], ignore_index=True)
    return pd.DataFrame(columns)
