"""Polls + opening hours -> how each store is *now*, that is, at as_of itself (rule 7).

The one definition of *now*: the events of a report, its page, the pages and resources of stores,
the alerts and the log all take it from here. Windows end before as_of, so a poll at as_of changes
no figure; it does say how the store is now.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

import numpy as np
import pandas as pd

from storemon_pipeline.uptime.conversions import to_microseconds, to_timestamps
from storemon_pipeline.uptime.opening_hours import OpeningHours, OpeningSchedule
from storemon_pipeline.uptime.rules import UptimeRules
from storemon_pipeline.uptime.status_intervals import latest_counted_polls, sorted_polls

_MICROSECOND = timedelta(microseconds=1)


class CurrentStatus(StrEnum):
    """How a store is at as_of."""

    CLOSED = "closed"
    UP = "up"
    DOWN = "down"
    NO_DATA = "no data"


def max_poll_age(rules: UptimeRules, no_data_after: timedelta) -> timedelta:
    """How old the newest poll that counts may be, to say how a store is now (rules 6 and 7)."""
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
    """How each store is at as_of (rule 7).

    Parameters
    ----------
    stores : DataFrame
        ``store_id`` (text, sorted, no store twice) and ``timezone``.
    polls : DataFrame
        ``store_id``, ``timestamp_utc`` (``datetime64[UTC]``), ``status``, in any order; those after
        ``as_of`` do not exist. Polls that are older than :func:`max_poll_age` may be left out.
    hours : OpeningHours
        They decide whether a store is open at as_of, and which polls count.
    as_of : Timestamp
        UTC.
    rules : UptimeRules
    no_data_after : timedelta
        Where the newest poll that counts is older, it does not say how the store is now.

    Returns
    -------
    DataFrame, a row a store by position
        ``store_id``; ``status`` (text, a value of :class:`CurrentStatus`); ``poll_utc``
        (``datetime64[us, UTC]``): the poll that says whether an open store is up or down, NaT where
        none does.
    """
    (instant,) = to_microseconds([as_of]).tolist()
    oldest = instant - max_poll_age(rules, no_data_after) // _MICROSECOND
    known = sorted_polls(polls, stores, instant)
    known = known.take(known.at >= oldest)
    openings = OpeningSchedule(stores, hours, rules)
    everyone = np.arange(len(stores))
    is_open = openings.is_open(everyone, np.full(len(stores), instant))
    newest = known.take(latest_counted_polls(known, openings, rules))
    newest = newest.take(is_open[newest.code])

    status = np.where(is_open, CurrentStatus.NO_DATA.value, CurrentStatus.CLOSED.value).astype(
        object
    )
    status[newest.code] = np.where(newest.active, CurrentStatus.UP.value, CurrentStatus.DOWN.value)
    at = np.zeros(len(stores), dtype=np.int64)
    at[newest.code] = newest.at
    says = np.zeros(len(stores), dtype=bool)
    says[newest.code] = True
    return pd.DataFrame(
        {
            "store_id": stores["store_id"].to_numpy(),
            "status": pd.Series(status, dtype="str"),
            "poll_utc": to_timestamps(at).where(says),
        }
    )
