"""A store's time, cut at the midnights of its own clock: what a row of the timeline shows."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from storemon_pipeline.uptime.intervals import Int, Intervals, expand
from storemon_pipeline.uptime.report import OpenTime
from storemon_pipeline.uptime.rules import DAY, HOUR
from storemon_pipeline.uptime.tables import timestamps_of
from storemon_pipeline.uptime.wall_clock import WallClocks

WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
CLOSED, UP, DOWN, UNOBSERVED = "closed", "up", "down", "unobserved"


def states_of_store(time: OpenTime) -> pd.DataFrame:
    """All of a store's time within the span: closed, up, down or unobserved.

    Parameters
    ----------
    time : OpenTime
        Of one store.

    Returns
    -------
    DataFrame
        ``start``, ``end`` (int64, microseconds since 1970), ``state``: sorted, without gaps, no
        two neighbours of one state within one opening.
    """
    known = _sorted(
        np.concatenate([time.up.start, time.down.start]),
        np.concatenate([time.up.end, time.down.end]),
        np.repeat([UP, DOWN], [len(time.up), len(time.down)]),
    )
    opened = _sorted(
        *_gaps(time.open, known["start"].to_numpy(), known["end"].to_numpy()), UNOBSERVED
    )
    within = pd.concat([known, opened]).sort_values("start", ignore_index=True)
    whole = Intervals(np.zeros(1, np.int64), np.array([time.line.start]), np.array([time.line.end]))
    closed = _sorted(*_gaps(whole, time.open.start, time.open.end), CLOSED)
    return pd.concat([within, closed]).sort_values("start", ignore_index=True)


def _sorted(start: Int, end: Int, state: object) -> pd.DataFrame:
    table = pd.DataFrame({"start": start, "end": end, "state": state})
    return table.sort_values("start", ignore_index=True)


def _gaps(whole: Intervals, start: Int, end: Int) -> tuple[Int, Int]:
    """What intervals, sorted and apart, leave of others that each lie within one of the whole."""
    first = np.searchsorted(start, whole.start)
    count = np.searchsorted(start, whole.end) - first
    # before each of those within, and after the last
    of, member = expand(count + 1)
    position = first[of] + member
    begins = np.where(member == 0, whole.start[of], np.append(end, 0)[position - 1])
    ends = np.where(member == count[of], whole.end[of], np.append(start, 0)[position])
    some = begins < ends
    return begins[some], ends[some]


def local_days(start: int, end: int, timezone: str) -> pd.DataFrame:
    """The days of a zone's calendar that a span meets.

    Returns
    -------
    DataFrame
        ``day`` (text, such as ``Tue 12 Nov``), ``start`` (int64, microseconds since 1970: its first
        instant), ``hours`` (float64: how long it is; not 24 where clocks change).
    """
    clocks = WallClocks([timezone], start, end)
    zone = np.zeros(2, np.int64)
    first, last = clocks.to_local(zone, np.array([start, end - 1])) // DAY
    # one before and one after, since a clock may show the day before again after midnight
    day = np.arange(first - 1, last + 3)
    begins = clocks.to_instant(np.zeros(len(day), np.int64), day * DAY)
    met = (begins[:-1] < end) & (begins[1:] > start)
    names = pd.to_datetime(day[:-1].astype("datetime64[D]"))
    return pd.DataFrame(
        {
            "day": names.strftime("%a %-d %b"),
            "start": begins[:-1],
            "hours": (begins[1:] - begins[:-1]) / HOUR,
        }
    )[met].reset_index(drop=True)


def timeline(time: OpenTime, timezone: str) -> pd.DataFrame:
    """What each bar of a store's timeline is: a row a day of its calendar, by hours since midnight.

    Parameters
    ----------
    time : OpenTime
        Of one store.
    timezone : str
        Its zone: a known IANA name.

    Returns
    -------
    DataFrame
        ``day`` (text), ``from_hour``, ``to_hour`` (float64: real hours since the day began, so
        that every instant has a place of its own also where clocks change), ``state``,
        ``start_utc``, ``end_utc``; sorted.
    """
    states = states_of_store(time)
    days = local_days(time.line.start, time.line.end, timezone)
    begins = days["start"].to_numpy()
    start, end = states["start"].to_numpy(), states["end"].to_numpy()
    first = np.searchsorted(begins, start, side="right") - 1
    of, member = expand(np.searchsorted(begins, end, side="left") - first)
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
            "start_utc": timestamps_of(piece_start),
            "end_utc": timestamps_of(piece_end),
        }
    )


def clock_text(instant: datetime, timezone: str) -> str:
    """An instant as the store's clock shows it.

    Examples
    --------
    >>> clock_text(pd.Timestamp("2024-11-12T18:13Z"), "America/Denver")
    'Tue 12 Nov 11:13'
    """
    return f"{instant.astimezone(ZoneInfo(timezone)):%a %-d %b %H:%M}"


def length_text(minutes: float) -> str:
    """A length of time in words.

    Examples
    --------
    >>> [length_text(minutes) for minutes in (0.2, 12.6, 90, 60 * 30.5)]
    ['under 1 min', '13 min', '1 h 30 min', '1 d 6 h 30 min']
    """
    whole = round(minutes)
    if whole < 1:
        return "under 1 min"
    days, rest = divmod(whole, 24 * 60)
    hours, left = divmod(rest, 60)
    parts = [(days, "d"), (hours, "h"), (left, "min")]
    return " ".join(f"{number:,} {unit}" for number, unit in parts if number)
