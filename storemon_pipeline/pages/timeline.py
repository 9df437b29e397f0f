"""States of a store over time, split into local days for its timeline."""

from __future__ import annotations

import numpy as np
import pandas as pd

from storemon_pipeline.uptime.conversions import to_timestamps
from storemon_pipeline.uptime.interval_arithmetic import Int, Intervals, enumerate_groups
from storemon_pipeline.uptime.metrics import ObservedTime
from storemon_pipeline.uptime.rules import DAY, HOUR
from storemon_pipeline.uptime.utc_offsets import UtcOffsets

WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
CLOSED, UP, DOWN, UNOBSERVED = "closed", "up", "down", "unobserved"


def store_states_over_time(time: ObservedTime) -> pd.DataFrame:
    """Return the states of a store over the span: closed, up, down or unobserved.

    Parameters
    ----------
    time : ObservedTime
        Observed time of one store.

    Returns
    -------
    DataFrame
        ``start``, ``end`` (int64, microseconds since 1970), ``state``: sorted, without gaps;
        adjacent rows of one open interval differ in state.
    """
    observed = _sorted(
        np.concatenate([time.up.start, time.down.start]),
        np.concatenate([time.up.end, time.down.end]),
        np.repeat([UP, DOWN], [len(time.up), len(time.down)]),
    )
    unobserved = _sorted(
        *_subtract(time.open, observed["start"].to_numpy(), observed["end"].to_numpy()), UNOBSERVED
    )
    open_time = pd.concat([observed, unobserved]).sort_values("start", ignore_index=True)
    span = Intervals(np.zeros(1, np.int64), np.array([time.key.start]), np.array([time.key.end]))
    closed = _sorted(*_subtract(span, time.open.start, time.open.end), CLOSED)
    return pd.concat([open_time, closed]).sort_values("start", ignore_index=True)


def _sorted(start: Int, end: Int, state: object) -> pd.DataFrame:
    table = pd.DataFrame({"start": start, "end": end, "state": state})
    return table.sort_values("start", ignore_index=True)


def _subtract(whole: Intervals, start: Int, end: Int) -> tuple[Int, Int]:
    """Subtract sorted, disjoint intervals that each lie within one interval of ``whole``."""
    first = np.searchsorted(start, whole.start)
    count = np.searchsorted(start, whole.end) - first
    # the gap before each inner interval, and the one after the last
    of, member = enumerate_groups(count + 1)
    position = first[of] + member
    begins = np.where(member == 0, whole.start[of], np.append(end, 0)[position - 1])
    ends = np.where(member == count[of], whole.end[of], np.append(start, 0)[position])
    not_empty = begins < ends
    return begins[not_empty], ends[not_empty]


def local_days(start: int, end: int, timezone: str) -> pd.DataFrame:
    """Return the local days that overlap a span.

    Returns
    -------
    DataFrame
        ``day`` (text, such as ``Tue 12 Nov``), ``start`` (int64, microseconds since 1970: its first
        instant), ``hours`` (float64: length of the day; not 24 on a clock change).
    """
    clocks = UtcOffsets([timezone], start, end)
    zone = np.zeros(2, np.int64)
    first, last = clocks.to_local(zone, np.array([start, end - 1])) // DAY
    # one day more on each side, because a clock change can return to the previous day
    day = np.arange(first - 1, last + 3)
    begins = clocks.to_utc(np.zeros(len(day), np.int64), day * DAY)
    overlaps = (begins[:-1] < end) & (begins[1:] > start)
    names = pd.to_datetime(day[:-1].astype("datetime64[D]"))
    return pd.DataFrame(
        {
            "day": names.strftime("%a %-d %b"),
            "start": begins[:-1],
            "hours": (begins[1:] - begins[:-1]) / HOUR,
        }
    )[overlaps].reset_index(drop=True)


def timeline(time: ObservedTime, timezone: str) -> pd.DataFrame:
    """Return the bars of a store's timeline, one row of bars per local day.

    Parameters
    ----------
    time : ObservedTime
        Observed time of one store.
    timezone : str
        Valid IANA name.

    Returns
    -------
    DataFrame
        ``day`` (text), ``from_hour``, ``to_hour`` (float64: elapsed hours since the start of
        the day, so that each instant has its own position also on a clock change), ``state``,
        ``start_utc``, ``end_utc``; sorted.
    """
    states = store_states_over_time(time)
    days = local_days(time.key.start, time.key.end, timezone)
    begins = days["start"].to_numpy()
    start, end = states["start"].to_numpy(), states["end"].to_numpy()
    first = np.searchsorted(begins, start, side="right") - 1
    of, member = enumerate_groups(np.searchsorted(begins, end, side="left") - first)
    row = first[of] + member
    until = np.append(begins[1:], np.iinfo(np.int64).max)
    piece_start = np.maximum(start[of], begins[row])
    piece_end = np.minimum(end[of], until[row])
    return pd.DataFrame(
        {
            "day": days["day"].to_numpy()[row],
            "from_hour": (piece_start - begins[row]) / HOUR,
            "to_hour": (piece_end - begins[row]) / HOUR,
            "state": states["state"].to_numpy()[of],
            "start_utc": to_timestamps(piece_start),
            "end_utc": to_timestamps(piece_end),
        }
    )
