"""The current status of each store, at as_of itself, from polls and opening hours (rule 7).

Reports, pages, the API, alerts and the log all use this definition of *now*. Windows end before
as_of, so a poll at as_of changes no figure, but it does determine the current status.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

import numpy as np
import pandas as pd

from storemon_pipeline.uptime.conversions import to_microsecond, to_timestamps
from storemon_pipeline.uptime.opening_hours import OpeningHours, OpeningSchedule
from storemon_pipeline.uptime.rules import UptimeRules
from storemon_pipeline.uptime.status_intervals import Polls, latest_counted_polls, sorted_polls

_MICROSECOND = timedelta(microseconds=1)


class CurrentStatus(StrEnum):
    """Status of a store at as_of."""

    CLOSED = "closed"
    UP = "up"
    DOWN = "down"
    NO_DATA = "no data"


def max_poll_age(rules: UptimeRules, no_data_after: timedelta) -> timedelta:
    """Return the maximum age of a poll that determines the current status (rules 6 and 7)."""
    if rules.max_carry is None:
        return no_data_after
    return min(no_data_after, rules.max_carry * _MICROSECOND)


def current_status(
    stores: pd.DataFrame,
    polls: pd.DataFrame,
    hours: OpeningHours,
    as_of: pd.Timestamp,
    rules: UptimeRules,
    no_data_after: timedelta,
) -> pd.DataFrame:
    """Determine the status of each store at as_of (rule 7).

    Parameters
    ----------
    stores : DataFrame
        ``store_id`` (text, sorted, unique) and ``timezone``.
    polls : DataFrame
        ``store_id``, ``timestamp_utc`` (``datetime64[UTC]``), ``status``, in any order; polls after
        ``as_of`` are ignored. Polls older than :func:`max_poll_age` may be omitted.
    hours : OpeningHours
        Opening hours: whether a store is open at as_of, and which polls count.
    as_of : Timestamp
        UTC.
    rules : UptimeRules
    no_data_after : timedelta
        An open store whose latest counted poll is older has no data.

    Returns
    -------
    DataFrame, one row per store by position
        ``store_id``; ``status`` (text, a value of :class:`CurrentStatus`); ``poll_utc``
        (``datetime64[us, UTC]``): the poll that determines whether an open store is up or down, or
        NaT.
    """
    instant = to_microsecond(as_of)
    known_polls = sorted_polls(polls, stores, instant)
    schedule = OpeningSchedule(stores, hours, rules)
    return status_at(instant, known_polls, schedule, stores, rules, no_data_after)


def status_at(
    instant: int,
    polls: Polls,
    schedule: OpeningSchedule,
    stores: pd.DataFrame,
    rules: UptimeRules,
    no_data_after: timedelta,
) -> pd.DataFrame:
    """Determine the status of each store at an instant, as :func:`current_status` does.

    Parameters
    ----------
    instant : int
        Microseconds since 1970-01-01 UTC.
    polls : Polls
        At or before the instant.
    schedule : OpeningSchedule
        Of the same stores.
    stores, rules, no_data_after
        As for :func:`current_status`.
    """
    oldest = instant - max_poll_age(rules, no_data_after) // _MICROSECOND
    recent = polls.take(polls.at >= oldest)
    is_open = schedule.is_open(np.arange(len(stores)), np.full(len(stores), instant))
    newest = recent.take(latest_counted_polls(recent, schedule, rules))
    newest = newest.take(is_open[newest.code])

    status = np.where(is_open, CurrentStatus.NO_DATA.value, CurrentStatus.CLOSED.value).astype(
        object
    )
    status[newest.code] = np.where(newest.active, CurrentStatus.UP.value, CurrentStatus.DOWN.value)
    at = np.zeros(len(stores), dtype=np.int64)
    at[newest.code] = newest.at
    has_poll = np.zeros(len(stores), dtype=bool)
    has_poll[newest.code] = True
    return pd.DataFrame(
        {
            "store_id": stores["store_id"].to_numpy(),
            "status": pd.Series(status, dtype="str"),
            "poll_utc": to_timestamps(at).where(has_poll),
        }
    )
