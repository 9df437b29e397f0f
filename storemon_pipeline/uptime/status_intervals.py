"""Status intervals of each store, interpolated from polls (rules 4 to 7).

Each counted poll determines the status of an interval around it. Adjacent intervals of one status
are merged. Time that no poll covers is unobserved. :mod:`.metrics` intersects the result with open
time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from storemon_pipeline.uptime.conversions import (
    frame_to_intervals,
    intervals_to_frame,
    span_key,
    store_codes,
    to_microsecond,
    to_microseconds,
)
from storemon_pipeline.uptime.interval_arithmetic import (
    Bool,
    Int,
    Intervals,
    StoreTimeKey,
    contains,
    enumerate_groups,
)
from storemon_pipeline.uptime.opening_hours import OpeningHours, OpeningSchedule
from storemon_pipeline.uptime.rules import BeforeFirstPoll, ClosedPolls, Interpolation, UptimeRules

ACTIVE, INACTIVE = "active", "inactive"


@dataclass(frozen=True, slots=True)
class Polls:
    """Polls sorted by store and time, at most one per store and instant.

    Attributes
    ----------
    code : int64 array, shape (n,)
        The store of each poll.
    at : int64 array, shape (n,)
        Microseconds since 1970-01-01 UTC.
    active : bool array, shape (n,)
    """

    code: Int
    at: Int
    active: Bool

    def take(self, which: Bool | Int) -> Polls:
        """Select polls by position or by mask."""
        return Polls(self.code[which], self.at[which], self.active[which])


@dataclass(frozen=True, slots=True)
class StatusIntervals:
    """Intervals of one status each; touching intervals of a store differ in status.

    Attributes
    ----------
    intervals : Intervals
    active : bool array, shape (n,)
        The status of each interval.
    """

    intervals: Intervals
    active: Bool


def sorted_polls(polls: pd.DataFrame, stores: pd.DataFrame, as_of: int) -> Polls:
    """Sort the polls at or before as_of; of two for one store and instant, keep the later row.

    Parameters
    ----------
    polls, stores
        As for :func:`status_intervals`.
    as_of : int
        Microseconds since 1970-01-01 UTC.
    """
    code = store_codes(polls["store_id"], stores["store_id"])
    at = to_microseconds(polls["timestamp_utc"])
    keep = (code >= 0) & (at <= as_of)
    kept = Polls(code, at, (polls["status"] == ACTIVE).to_numpy(dtype=bool)).take(keep)
    ascending = kept.code[1:] > kept.code[:-1]
    ascending |= (kept.code[1:] == kept.code[:-1]) & (kept.at[1:] > kept.at[:-1])
    if ascending.all():
        return kept
    return _sorted_by_value(kept) or _sorted_by_position(kept)


def _sorted_by_value(polls: Polls) -> Polls | None:
    """Sort polls packed into integers, ten times as fast as by their positions.

    Return None where two polls of one store and instant differ, since then their order matters, or
    where a poll does not fit into 64 bits.
    """
    try:
        key = StoreTimeKey(
            int(polls.at.min()), int(polls.at.max()), 2 * (int(polls.code.max()) + 1)
        )
    except OverflowError:
        return None
    packed = np.sort(2 * key.encode(polls.code, polls.at) + polls.active)
    keys, active = packed >> 1, (packed & 1).astype(bool)
    same = keys[1:] == keys[:-1]
    if (same & (active[1:] != active[:-1])).any():
        return None
    kept = np.append(~same, True)
    return Polls(*key.decode(keys[kept]), active[kept])


def _sorted_by_position(polls: Polls) -> Polls:
    """Sort polls; of two for one store and instant, keep the later one."""
    ordered = polls.take(np.lexsort((polls.at, polls.code)))
    same = (ordered.code[1:] == ordered.code[:-1]) & (ordered.at[1:] == ordered.at[:-1])
    return ordered.take(np.append(~same, True))


def latest_counted_polls(polls: Polls, openings: OpeningSchedule, rules: UptimeRules) -> Int:
    """Return the position of each store's latest counted poll (rule 4).

    Polls are checked from the latest backwards, twice as many in each round, until one was made
    within opening hours.

    Returns
    -------
    int64 array
        At most one position per store, unordered.
    """
    last = np.flatnonzero(np.append(polls.code[1:] != polls.code[:-1], True)[: len(polls.code)])
    if rules.closed_polls is ClosedPolls.USE:
        return last
    first = np.append(0, last[:-1] + 1)[: len(last)]
    positions: list[Int] = []
    take = 1
    while len(last):
        count = np.minimum(take, last - first + 1)
        store, member = enumerate_groups(count)
        at = (last - count + 1)[store] + member
        inside = openings.is_open(polls.code[at], polls.at[at])
        newest = np.full(len(last), -1)
        np.maximum.at(newest, store[inside], at[inside])
        positions.append(newest[newest >= 0])
        last = last - count
        pending = (newest < 0) & (last >= first)
        first, last = first[pending], last[pending]
        take *= 2
    return np.concatenate([np.empty(0, dtype=np.int64), *positions])


def _poll_coverage(
    polls: Polls, rules: UptimeRules, start: int, end: int
) -> tuple[Intervals, Bool]:
    """Return the interval within ``[start, end)`` that each poll's status covers (rules 5, 6)."""
    before = np.empty(len(polls.at), dtype=np.int64)
    after = np.empty(len(polls.at), dtype=np.int64)
    is_first = np.append(True, polls.code[1:] != polls.code[:-1])[: len(polls.at)]
    is_last = np.append(is_first[1:], True)[: len(polls.at)]
    gap = np.diff(polls.at, append=0)
    # the boundary between a poll's interval and the next one's
    boundary = polls.at + (gap // 2 if rules.interpolation is Interpolation.NEAREST else gap)
    after[:] = np.where(is_last, end, boundary)
    before[1:] = boundary[:-1]
    before[is_first] = start
    if rules.max_carry is not None:
        carry = rules.max_carry
        if rules.interpolation is Interpolation.PREVIOUS:
            # a poll without another poll within the carry before it also covers the time before
            # it, where the previous poll is no longer carried
            reach = np.empty(len(polls.at), dtype=np.int64)
            reach[1:] = polls.at[:-1] + carry
            reach[is_first] = start
            before = np.minimum(np.maximum(reach, polls.at - carry), polls.at)
        else:
            before = np.maximum(before, polls.at - carry)
        after = np.minimum(after, polls.at + carry)
    if rules.before_first_poll is BeforeFirstPoll.UNOBSERVED:
        before[is_first] = polls.at[is_first]
    coverage = Intervals(polls.code, np.maximum(before, start), np.minimum(after, end))
    non_empty = coverage.start < coverage.end
    return coverage.take(non_empty), polls.active[non_empty]


def _merge_adjacent(coverage: Intervals, active: Bool) -> StatusIntervals:
    """Merge touching intervals with the same status."""
    is_first = np.ones(len(coverage), dtype=bool)
    is_first[1:] = (
        (coverage.code[1:] != coverage.code[:-1])
        | (coverage.start[1:] > coverage.end[:-1])
        | (active[1:] != active[:-1])
    )
    is_last = np.append(is_first[1:], True)[: len(is_first)]
    merged = Intervals(coverage.code[is_first], coverage.start[is_first], coverage.end[is_last])
    return StatusIntervals(merged, active[is_first])


def stores_without_prior_poll(
    stores: pd.DataFrame,
    polls: pd.DataFrame,
    hours: OpeningHours,
    start: pd.Timestamp,
    rules: UptimeRules,
) -> Bool:
    """Return which stores have no counted poll before ``start``, so that an older one is needed.

    Parameters
    ----------
    stores, polls, hours, start, rules
        As for :func:`status_intervals`.

    Returns
    -------
    bool array, shape (stores,)
    """
    first = to_microsecond(start)
    before = sorted_polls(polls, stores, first - 1)
    missing = np.ones(len(stores), dtype=bool)
    newest = latest_counted_polls(before, OpeningSchedule(stores, hours, rules), rules)
    missing[before.code[newest]] = False
    return missing


def status_intervals(
    stores: pd.DataFrame,
    polls: pd.DataFrame,
    open_hours: pd.DataFrame,
    hours: OpeningHours,
    start: pd.Timestamp,
    as_of: pd.Timestamp,
    rules: UptimeRules,
) -> pd.DataFrame:
    """Compute the status intervals of each store within ``[start, as_of)`` (rules 4 to 7).

    Parameters
    ----------
    stores : DataFrame
        ``store_id`` (text, sorted, unique) and ``timezone``.
    polls : DataFrame
        ``store_id``, ``timestamp_utc`` (``datetime64[UTC]``), ``status`` (``active`` or
        ``inactive``), in any order. Of two for one store and instant the later row counts; polls
        after ``as_of`` are ignored. Polls before ``start`` may be omitted where a later poll, also
        before ``start``, was made within opening hours.
    open_hours : DataFrame
        Result of :func:`~storemon_pipeline.uptime.opening_hours.open_hours` over
        ``[start, as_of)``.
    hours : OpeningHours
        As passed to that function; determines
        which polls before ``start`` were made within opening hours.
    start, as_of : Timestamp
        UTC.
    rules : UptimeRules

    Returns
    -------
    DataFrame
        ``store_id`` (category), ``start_utc``, ``end_utc`` (``datetime64[us, UTC]``), ``status``
        (category): half-open, sorted, disjoint, maximal. Time without a row is unobserved.
    """
    key = span_key((start, as_of), len(stores))
    is_open = frame_to_intervals(open_hours, stores, "open_utc", "close_utc")
    schedule = OpeningSchedule(stores, hours, rules)
    known_polls = sorted_polls(polls, stores, key.end)
    return status_to_frame(interpolate_polls(known_polls, is_open, schedule, key, rules), stores)


def interpolate_polls(
    polls: Polls,
    is_open: Intervals,
    schedule: OpeningSchedule,
    key: StoreTimeKey,
    rules: UptimeRules,
) -> StatusIntervals:
    """Compute the status intervals over the span of ``key`` (rules 4 to 7).

    Parameters
    ----------
    polls : Polls
        At or before the end of the span.
    is_open : Intervals
        Open time within the span.
    schedule : OpeningSchedule
        Determines which polls before the span and at its end were made within opening hours.
    key : StoreTimeKey
    rules : UptimeRules
    """
    within = polls.at >= key.start
    past = np.flatnonzero(~within)
    counts = within.copy()
    counts[past[latest_counted_polls(polls.take(past), schedule, rules)]] = True
    if rules.closed_polls is ClosedPolls.IGNORE:
        counts[within] = contains(is_open, key, polls.code[within], polls.at[within])
        # a poll exactly at the end lies beyond the intervals, so its own instant is checked
        at_end = polls.at == key.end
        counts[at_end] = schedule.is_open(polls.code[at_end], polls.at[at_end])
    counted_polls = polls.take(counts)
    return _merge_adjacent(*_poll_coverage(counted_polls, rules, key.start, key.end))


def status_to_frame(status: StatusIntervals, stores: pd.DataFrame) -> pd.DataFrame:
    """Convert status intervals to a table; the result of :func:`status_intervals`."""
    table = intervals_to_frame(status.intervals, stores, "start_utc", "end_utc")
    statuses = pd.Index([INACTIVE, ACTIVE])
    table["status"] = pd.Categorical.from_codes(status.active.astype(np.int8), statuses)
    return table


def frame_to_status(table: pd.DataFrame, stores: pd.DataFrame) -> StatusIntervals:
    """Convert a table to status intervals; inverse of :func:`status_to_frame`."""
    intervals = frame_to_intervals(table, stores, "start_utc", "end_utc")
    active = (table["status"] == ACTIVE).to_numpy(dtype=bool)
    if len(intervals) < len(table):
        active = active[store_codes(table["store_id"], stores["store_id"]) >= 0]
    return StatusIntervals(intervals, active)
