"""The state of each store as it is kept between evaluations, and brought forward by newer polls.

:func:`~storemon_pipeline.uptime.outage_alerts.store_states` computes states from all polls of a
span. A kept state also says how it continues: by the newest counted poll, and by the opening hours
until their next change. Newer polls then suffice, and the result equals that over the whole span.

A table of kept states has one row per store, with

- ``known_from`` (int64): the start of the span whose polls were evaluated;
- ``is_down`` (bool): the status of the newest counted poll;
- ``since``, ``up_since``, ``length``, ``runs`` (int64): as in ``store_states``;
- ``poll`` (int64): the newest counted poll;
- ``is_open`` (bool), ``open_until`` (int64): whether the store is open, and until when that holds
  for certain.

Instants and lengths are in microseconds (since 1970-01-01 UTC). 0 is no instant: no poll that
counts is older than the year 2000.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from storemon_pipeline.uptime.conversions import to_microsecond, to_microseconds, to_timestamps
from storemon_pipeline.uptime.interval_arithmetic import (
    Bool,
    CumulativeDuration,
    Int,
    Intervals,
    StoreTimeKey,
    contains,
)
from storemon_pipeline.uptime.opening_hours import OpeningHours, OpeningSchedule
from storemon_pipeline.uptime.rules import DAY, UptimeRules
from storemon_pipeline.uptime.status_intervals import latest_counted_polls, sorted_polls

COLUMNS = (
    "known_from",
    "is_down",
    "since",
    "up_since",
    "length",
    "runs",
    "poll",
    "is_open",
    "open_until",
)
POLL_COLUMNS = ("is_down", "poll")
"""The columns about the newest counted poll."""

_AHEAD = 2 * DAY  # opening hours change at least daily for nearly all stores
_MICROSECOND = timedelta(microseconds=1)
_RULES = UptimeRules()


def keep_states(
    states: pd.DataFrame,
    polls: pd.DataFrame,
    hours: OpeningHours,
    start: datetime,
    as_of: datetime,
) -> pd.DataFrame:
    """Return the kept states of evaluated stores.

    Parameters
    ----------
    states : DataFrame
        Result of :func:`~storemon_pipeline.uptime.outage_alerts.store_states`.
    polls : DataFrame
        The polls that they were computed from, among them the newest counted one of each store.
    hours : OpeningHours
    start, as_of : datetime
        The start of the span, and the instant of the states.

    Returns
    -------
    DataFrame, one row per state
        Kept states.
    """
    at = to_microsecond(as_of)
    known = sorted_polls(polls, states, at)
    schedule = OpeningSchedule(states, hours, _RULES)
    newest = known.take(latest_counted_polls(known, schedule, _RULES))
    poll = np.zeros(len(states), dtype=np.int64)
    poll[newest.code] = newest.at
    is_down = np.zeros(len(states), dtype=bool)
    is_down[newest.code] = ~newest.active
    is_open, open_until = _openness(schedule.intervals(at, at + _AHEAD), len(states), at)
    return pd.DataFrame(
        {
            "known_from": np.full(len(states), to_microsecond(start)),
            "is_down": is_down,
            "since": _instants(states["since"]),
            "up_since": _instants(states["up_since"]),
            "length": states["length"].to_numpy(np.int64),
            "runs": states["runs"].to_numpy(np.int64),
            "poll": poll,
            "is_open": is_open,
            "open_until": open_until,
        }
    )


def _instants(timestamps: pd.Series) -> Int:
    return np.where(timestamps.notna(), to_microseconds(timestamps), 0)


def _openness(ahead: Intervals, stores: int, at: int) -> tuple[Bool, Int]:
    """Return whether each store is open at an instant, and until when that holds.

    Parameters
    ----------
    ahead : Intervals
        Open time within ``[at, at + _AHEAD)`` of all stores.
    stores, at : int
    """
    is_first = np.append(True, ahead.code[1:] != ahead.code[:-1])[: len(ahead)]
    first = ahead.take(is_first)
    opens = np.full(stores, at + _AHEAD)
    opens[first.code] = first.start
    closes = np.full(stores, at)
    closes[first.code] = first.end
    is_open = opens == at
    return is_open, np.where(is_open, closes, opens)


def needs_opening_hours(kept: pd.DataFrame, until: datetime) -> Bool:
    """Return which stores may open or close until an instant, so that their hours are needed."""
    needed: Bool = kept["open_until"].to_numpy() <= to_microsecond(until)
    return needed


def bring_forward(
    kept: pd.DataFrame,
    stores: pd.DataFrame,
    polls: pd.DataFrame,
    hours: OpeningHours,
    since: datetime,
    until: datetime,
) -> tuple[pd.DataFrame, Bool]:
    """Bring kept states forward to a later instant, by the default rules.

    Parameters
    ----------
    kept : DataFrame
        The kept states of ``stores``, at ``since``.
    stores : DataFrame
        ``store_id`` (text, sorted, unique) and ``timezone``.
    polls : DataFrame
        Of these stores in ``(since, until]``, in any order; others are ignored.
    hours : OpeningHours
        Of the stores that :func:`needs_opening_hours`; the hours of others are ignored.
    since, until : datetime
        UTC.

    Returns
    -------
    brought : DataFrame, one row per store
        The kept states at ``until``.
    failed : bool array, shape (stores,)
        Stores whose state needs older polls: their first counted poll also determines the open time
        before it. Their rows are meaningless.
    """
    first, at = to_microsecond(since), to_microsecond(until)
    # the poll at the last instant counts, so the span ends after it
    key = StoreTimeKey(first, at + 1, len(stores))
    is_open, now_open, open_until = _open_time(kept, stores, hours, key)

    new = sorted_polls(polls, stores, at)
    new = new.take(new.at > first)
    counted = new.take(contains(is_open, key, new.code, new.at))
    runs, was_down = kept["runs"].to_numpy(), kept["is_down"].to_numpy(dtype=bool)
    has_status = kept["poll"].to_numpy() > 0

    # where the store was closed since before the span, the first run begins when it opens, with
    # the status of an older poll
    is_first = np.append(True, is_open.code[1:] != is_open.code[:-1])[: len(is_open)]
    opening = is_open.take(is_first)
    opening = opening.take((runs == 0)[opening.code] & has_status[opening.code])
    code = np.concatenate((opening.code, counted.code))
    start = np.concatenate((opening.start, counted.at))
    down = np.concatenate((was_down[opening.code], ~counted.active))
    # stable: of an opening and a poll at one instant, the poll comes last and counts
    order = np.argsort(key.encode(code, start), kind="stable")
    code, start, down = code[order], start[order], down[order]
    counts = np.append((code[1:] != code[:-1]) | (start[1:] != start[:-1]), True)[: len(code)]
    code, start, down = code[counts], start[counts], down[counts]

    is_first = np.append(True, code[1:] != code[:-1])[: len(code)]
    is_new_run = np.append(True, down[1:] != down[:-1])[: len(code)]
    is_new_run[is_first] = (runs[code] == 0)[is_first] | (down != was_down[code])[is_first]
    run_code, run_start, run_down = code[is_new_run], start[is_new_run], down[is_new_run]

    # assignments keep the last of several, which are in order of time
    run_since, up_since, poll = (
        kept[column].to_numpy(copy=True) for column in ("since", "up_since", "poll")
    )
    is_down = was_down.copy()
    run_since[run_code] = run_start
    up_since[run_code[~run_down]] = run_start[~run_down]
    poll[counted.code] = counted.at
    is_down[counted.code] = ~counted.active
    new_runs = np.bincount(run_code, minlength=len(stores))

    every = np.arange(len(stores))
    run_began = np.where(new_runs > 0, run_since, first)
    added = CumulativeDuration(is_open, key).between(every, run_began, np.full(len(every), at))
    length = np.where(new_runs > 0, 0, kept["length"].to_numpy()) + added
    brought_runs = runs + new_runs

    failed = np.zeros(len(stores), dtype=bool)
    failed[counted.code] = ~has_status[counted.code]
    brought = pd.DataFrame(
        {
            "known_from": kept["known_from"].to_numpy(),
            "is_down": is_down,
            "since": run_since,
            "up_since": up_since,
            "length": np.where(brought_runs > 0, length, 0),
            "runs": brought_runs,
            "poll": poll,
            "is_open": now_open,
            "open_until": open_until,
        }
    )
    return brought, failed


def _open_time(
    kept: pd.DataFrame, stores: pd.DataFrame, hours: OpeningHours, key: StoreTimeKey
) -> tuple[Intervals, Bool, Int]:
    """Return the open time of stores over a span, and whether they are open at its last instant.

    Only the stores that open or close are looked up in the opening hours.
    """
    at = key.end - 1
    now_open, open_until = kept["is_open"].to_numpy(dtype=bool), kept["open_until"].to_numpy()
    changes = open_until <= at
    throughout = np.flatnonzero(now_open & ~changes)
    parts = Intervals(
        throughout, np.full(len(throughout), key.start), np.full(len(throughout), key.end)
    )
    which = np.flatnonzero(changes)
    if not len(which):
        return parts, now_open, open_until
    schedule = OpeningSchedule(stores.iloc[which].reset_index(drop=True), hours, _RULES)
    intervals = schedule.intervals(key.start, at + _AHEAD)
    now_open, open_until = now_open.copy(), open_until.copy()
    ahead = intervals.clip(at, at + _AHEAD)
    now_open[which], open_until[which] = _openness(ahead, len(which), at)
    within = intervals.clip(key.start, key.end)
    code = np.concatenate((parts.code, which[within.code]))
    order = np.argsort(code, kind="stable")
    is_open = Intervals(
        code[order],
        np.concatenate((parts.start, within.start))[order],
        np.concatenate((parts.end, within.end))[order],
    )
    return is_open, now_open, open_until


def to_states(
    kept: pd.DataFrame, stores: pd.DataFrame, as_of: datetime, no_data_after: timedelta
) -> pd.DataFrame:
    """Convert kept states to the result of ``store_states``.

    Parameters
    ----------
    kept : DataFrame
        At ``as_of``.
    stores : DataFrame
        ``store_id``, ``timezone``, ``first_poll_utc``, ``last_poll_utc`` of the same stores.
    as_of : datetime
    no_data_after : timedelta
        As for :func:`~storemon_pipeline.uptime.current_status.current_status`.

    Returns
    -------
    DataFrame
        See :func:`~storemon_pipeline.uptime.outage_alerts.store_states`.
    """
    oldest = to_microsecond(as_of) - no_data_after // _MICROSECOND
    poll, is_down = kept["poll"].to_numpy(), kept["is_down"].to_numpy(dtype=bool)
    known = kept["runs"].to_numpy() > 0
    down_now = kept["is_open"].to_numpy(dtype=bool) & is_down & (poll > 0) & (poll >= oldest)
    return stores[["store_id", "timezone", "first_poll_utc", "last_poll_utc"]].assign(
        down_now=down_now,
        is_down=is_down & known,
        since=_timestamps(kept["since"], stores.index),
        up_since=_timestamps(kept["up_since"], stores.index),
        length=kept["length"].to_numpy(),
        runs=kept["runs"].to_numpy(),
    )


def _timestamps(instants: pd.Series, index: pd.Index) -> pd.Series:
    at = instants.to_numpy()
    return to_timestamps(at).where(at > 0).set_axis(index)
