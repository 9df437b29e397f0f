"""Downtime events, and downtime by local hour of the week (Outages).

Both cover the span of each store: from the earliest start to the latest end of the requested
windows. :mod:`.metrics` has the downtime in each window.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from storemon_pipeline.uptime.conversions import (
    codes_to_ids,
    to_microsecond,
    to_microseconds,
    to_timestamps,
)
from storemon_pipeline.uptime.current_status import CurrentStatus
from storemon_pipeline.uptime.interval_arithmetic import (
    Int,
    Intervals,
    StoreTimeKey,
    enumerate_groups,
)
from storemon_pipeline.uptime.metrics import ObservedTime, percentage, round_to_hundredths
from storemon_pipeline.uptime.report_request import ReportRequest
from storemon_pipeline.uptime.rules import DAY, HOUR
from storemon_pipeline.uptime.utc_offsets import UtcOffsets, factorize_zones

_MINUTE = HOUR // 60
_HOURS_OF_WEEK = 7 * 24
_NEVER = np.iinfo(np.int64).max
_MONDAY = 3 * DAY  # 1970-01-01 was a Thursday, three days after a Monday


def _clocks(stores: pd.DataFrame, start: int, end: int) -> tuple[UtcOffsets, Int]:
    zone, zones = factorize_zones(stores["timezone"])
    return UtcOffsets(zones, start, end), zone


def _clip_to_spans(intervals: Intervals, request: ReportRequest, stores: pd.DataFrame) -> Intervals:
    start, end = request.per_store_spans(stores["timezone"])
    return intervals.clip(start[intervals.code], end[intervals.code])


def label_outages(down: Intervals, up: Intervals, key: StoreTimeKey) -> tuple[Int, Int]:
    """Group intervals of downtime into outages: those without uptime between them.

    Parameters
    ----------
    down, up : Intervals
        Disjoint, sorted, within the span of ``key``.
    key : StoreTimeKey

    Returns
    -------
    number : int64 array, shape (n,)
        Label of each interval of downtime: equal within an outage, non-decreasing.
    up_again : int64 array, shape (n,)
        When the store is up next, in microseconds since 1970; the maximum where it never is.
    """
    next_up = np.searchsorted(key.encode(up.code, up.start), key.encode(down.code, down.start))
    # the code distinguishes stores with the same position, such as one that is never up
    number = next_up + down.code
    up_again = np.full(len(down), _NEVER)
    recovers = next_up < len(up)
    recovers[recovers] = up.code[next_up[recovers]] == down.code[recovers]
    up_again[recovers] = up.start[next_up[recovers]]
    return number, up_again


def downtime_events(
    stores: pd.DataFrame, time: ObservedTime, request: ReportRequest, current: pd.DataFrame
) -> pd.DataFrame:
    """Compute the downtime events: maximal downtime within one open interval (Outages).

    Parameters
    ----------
    stores : DataFrame
        ``store_id``, ``timezone``, one row per store.
    time : ObservedTime
        For the same stores and request.
    request : ReportRequest
    current : DataFrame
        Result of :func:`~storemon_pipeline.uptime.current_status.current_status`, same stores.

    Returns
    -------
    DataFrame
        ``store_id`` (category), ``start_utc``, ``end_utc`` (``datetime64[us, UTC]``),
        ``minutes`` (float64, two decimals), ``ongoing`` (bool: it reaches as_of, and the store is
        down then), ``down_since_utc`` (``datetime64[us, UTC]``: start of its outage, after the last
        uptime in the span), ``down_before`` (bool: without uptime before it, so that the outage may
        have begun before the span), ``down_minutes`` (float64, two decimals: downtime since then,
        up to its end), and ``start_offset``, ``end_offset``, ``down_since_offset``
        (``timedelta64[us]``: UTC offset of the store then), sorted by store and start.
    """
    down = _clip_to_spans(time.down, request, stores)
    clocks, zone = _clocks(stores, time.key.start, time.key.end)
    as_of = to_microsecond(request.as_of)
    # an open store without recent data keeps the status of its latest poll
    is_down = current["status"].isin([CurrentStatus.DOWN, CurrentStatus.NO_DATA]).to_numpy()

    def offset(instant: Int) -> npt.NDArray[np.timedelta64]:
        return clocks.at(zone[down.code], instant).astype("timedelta64[us]")

    up = _clip_to_spans(time.up, request, stores)
    number, _ = label_outages(down, up, time.key)
    _, first, members = np.unique(number, return_index=True, return_counts=True)
    begun = np.repeat(first, members)
    since = down.start[begun]
    before = np.cumsum(down.end - down.start) - (down.end - down.start)
    return pd.DataFrame(
        {
            "store_id": codes_to_ids(down.code, stores["store_id"]),
            "start_utc": to_timestamps(down.start),
            "end_utc": to_timestamps(down.end),
            "start_offset": offset(down.start),
            "end_offset": offset(down.end),
            "minutes": round_to_hundredths(down.end - down.start, _MINUTE) / 100,
            "ongoing": (down.end == as_of) & is_down[down.code],
            "down_since_utc": to_timestamps(since),
            "down_since_offset": offset(since),
            "down_before": number - down.code == np.searchsorted(up.code, down.code),
            "down_minutes": round_to_hundredths(
                before + down.end - down.start - before[begun], _MINUTE
            )
            / 100,
        },
        copy=False,
    )


def stores_down_now(
    stores: pd.DataFrame,
    time: ObservedTime,
    request: ReportRequest,
    current: pd.DataFrame,
    events: pd.DataFrame,
) -> pd.DataFrame:
    """Compute which stores are down at as_of, and since when (rule 7, Outages).

    Parameters
    ----------
    stores, time, request, current
        As for :func:`downtime_events`.
    events : DataFrame
        Result of :func:`downtime_events`.

    Returns
    -------
    DataFrame
        ``store_id`` (text), and ``down_since_utc``, ``down_since_offset``, ``down_before`` and
        ``down_minutes`` as in the events, of the last outage in the span if it is not over. Else
        the outage begins with the poll that reports the store as down. Sorted by store.
    """
    down = _clip_to_spans(time.down, request, stores)
    _, up_again = label_outages(down, _clip_to_spans(time.up, request, stores), time.key)
    not_over = np.flatnonzero(up_again == _NEVER)
    newest = np.full(len(stores), -1)
    newest[down.code[not_over]] = not_over
    code = np.flatnonzero(current["status"] == CurrentStatus.DOWN)
    is_continued = newest[code] >= 0

    polled = current["poll_utc"].iloc[code].reset_index(drop=True)
    instant = to_microseconds(polled)
    earliest = min(instant.tolist(), default=time.key.end)
    clocks, zone = _clocks(stores, earliest, time.key.end)
    begun = pd.DataFrame(
        {
            "down_since_utc": polled,
            "down_since_offset": clocks.at(zone[code], instant).astype("timedelta64[us]"),
            "down_before": False,
            "down_minutes": 0.0,
        }
    )
    continued = events[begun.columns].iloc[newest[code[is_continued]]]
    continued.index = begun.index[is_continued]
    since = pd.concat([begun[~is_continued], continued]).sort_index()
    since.insert(0, "store_id", stores["store_id"].iloc[code].to_numpy())
    return since


def _by_local_hour(intervals: Intervals, clocks: UtcOffsets, zone: Int, stores: int) -> Int:
    """Sum the microseconds of intervals by store and local hour of the week, Monday 0:00 first.

    Returns
    -------
    int64 array, shape (stores * 168,)
    """
    # split at clock changes, so that each piece has one offset ...
    first, count = clocks.segments(zone[intervals.code], intervals.start, intervals.end)
    whole, member = enumerate_groups(count)
    since, offset = clocks.segment(first[whole] + member)
    until, _ = clocks.segment(first[whole] + np.minimum(member + 1, count[whole] - 1))
    start = np.maximum(intervals.start[whole], since) + offset
    is_last = member == count[whole] - 1
    end = np.where(is_last, intervals.end[whole], until) + offset
    # ... then at each full hour of the local clock
    first_hour = start // HOUR
    piece, nth = enumerate_groups((end - 1) // HOUR - first_hour + 1)
    hour = first_hour[piece] + nth
    length = np.minimum(end[piece], (hour + 1) * HOUR) - np.maximum(start[piece], hour * HOUR)
    hour_of_week = (hour + _MONDAY // HOUR) % _HOURS_OF_WEEK
    code = intervals.code[whole][piece]
    # sums stay far below 2**53 microseconds (285 years), so float weights are exact
    total = np.bincount(
        code * _HOURS_OF_WEEK + hour_of_week, weights=length, minlength=stores * _HOURS_OF_WEEK
    )
    return total.astype(np.int64)


def downtime_by_hour(
    stores: pd.DataFrame, time: ObservedTime, request: ReportRequest
) -> pd.DataFrame:
    """Compute open time and downtime by local weekday and hour of each store (Outages).

    An instant belongs to the hour of the local clock; an hour that occurs twice counts twice.

    Parameters
    ----------
    stores, time, request
        As for :func:`downtime_events`.

    Returns
    -------
    DataFrame
        ``store_id`` (category), ``day_of_week`` (int64, 0 = Monday), ``hour`` (int64),
        ``open_minutes``, ``downtime_minutes``, ``downtime_pct`` (float64, two decimals): one row
        per hour with open time, sorted.
    """
    clocks, zone = _clocks(stores, time.key.start, time.key.end)
    open_time = _by_local_hour(
        _clip_to_spans(time.open, request, stores), clocks, zone, len(stores)
    )
    down = _by_local_hour(_clip_to_spans(time.down, request, stores), clocks, zone, len(stores))
    hours = np.flatnonzero(open_time)
    open_time, down = open_time[hours], down[hours]
    return pd.DataFrame(
        {
            "store_id": codes_to_ids(hours // _HOURS_OF_WEEK, stores["store_id"]),
            "day_of_week": hours % _HOURS_OF_WEEK // 24,
            "hour": hours % 24,
            "open_minutes": round_to_hundredths(open_time, _MINUTE) / 100,
            "downtime_minutes": round_to_hundredths(down, _MINUTE) / 100,
            "downtime_pct": percentage(down, open_time),
        },
        copy=False,
    )
