"""The windows of a report, with their start and end (rule 2).

Rolling windows and ranges are spans of real time, the same for all stores. Calendar windows are
whole days of each store's local calendar.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

import numpy as np
import pandas as pd

from storemon_pipeline.uptime.interval_arithmetic import Int
from storemon_pipeline.uptime.rules import DAY, HOUR
from storemon_pipeline.uptime.utc_offsets import UtcOffsets, factorize_zones

_MONDAY = 4  # days since 1970-01-01, a Thursday
_WEEK = 7


class Window(StrEnum):
    """A span of time that figures refer to (rule 2)."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    RANGE = "range"
    TODAY = "today"
    YESTERDAY = "yesterday"
    LAST_CALENDAR_WEEK = "last_calendar_week"
    THIS_CALENDAR_MONTH = "this_calendar_month"
    LAST_CALENDAR_MONTH = "last_calendar_month"

    @property
    def suffix(self) -> str:
        """Return the suffix of the window's columns in the report."""
        return f"last_{self.value}" if self in ROLLING_WINDOWS else self.value

    @property
    def unit(self) -> int:
        """Return the window's unit in microseconds: a minute for the hour, else an hour."""
        return HOUR // 60 if self is Window.HOUR else HOUR


ROLLING_WINDOWS = {
    Window.HOUR: timedelta(hours=1),
    Window.DAY: timedelta(hours=24),
    Window.WEEK: timedelta(hours=168),
    Window.MONTH: timedelta(hours=720),
}
"""Windows that end at as_of, with their lengths in real time (rule 2)."""

CALENDAR_WINDOWS = {
    Window.TODAY: timedelta(days=2),
    Window.YESTERDAY: timedelta(days=3),
    Window.LAST_CALENDAR_WEEK: timedelta(days=15),
    Window.THIS_CALENDAR_MONTH: timedelta(days=32),
    Window.LAST_CALENDAR_MONTH: timedelta(days=63),
}
"""Windows of each store's calendar, with the earliest start before as_of: their days, and one more
for clock changes."""


def calendar_bounds(window: Window, as_of: int, timezones: pd.Series) -> tuple[Int, Int]:
    """Return the start and end of a calendar window for each store (rule 2).

    Parameters
    ----------
    window : Window
        One of :data:`CALENDAR_WINDOWS`.
    as_of : int
        Microseconds since 1970.
    timezones : Series of text, shape (stores,)
        Known IANA names.

    Returns
    -------
    start, end : int64 arrays, shape (stores,)
        Microseconds since 1970. A day begins at its first instant.

    Examples
    --------
    >>> zones = pd.Series(["America/Los_Angeles", "Australia/Sydney"])
    >>> as_of = pd.Timestamp("2024-03-20 05:30").value // 1000
    >>> start, _ = calendar_bounds(Window.TODAY, as_of, zones)
    >>> start.astype("datetime64[us]").astype("datetime64[m]").astype(str).tolist()
    ['2024-03-19T07:00', '2024-03-19T13:00']
    """
    zone, zones = factorize_zones(timezones)
    clocks = UtcOffsets(zones, as_of - CALENDAR_WINDOWS[window] // _MICROSECOND, as_of)
    code = np.arange(len(zones))
    now = np.full(len(zones), as_of)
    today = clocks.to_local(code, now) // DAY
    # A day that has begun remains the current day, even where the clock goes back over midnight
    # and shows the previous date for another hour.
    today += clocks.to_utc(code, (today + 1) * DAY) <= as_of
    first, end = _day_range(window, today)
    start = clocks.to_utc(code, first * DAY)
    until = now if end is None else clocks.to_utc(code, end * DAY)
    return start[zone], until[zone]


_MICROSECOND = timedelta(microseconds=1)


def _day_range(window: Window, today: Int) -> tuple[Int, Int | None]:
    """Return the first local day of a window and the day after its last; None: ends at as_of."""
    month = today.astype("datetime64[D]").astype("datetime64[M]")
    if window is Window.YESTERDAY:
        return today - 1, today
    if window is Window.LAST_CALENDAR_WEEK:
        monday = today - (today - _MONDAY) % _WEEK
        return monday - _WEEK, monday
    if window is Window.LAST_CALENDAR_MONTH:
        return _first_day(month - 1), _first_day(month)
    if window is Window.THIS_CALENDAR_MONTH:
        return _first_day(month), None
    return today, None


def _first_day(month: np.ndarray[tuple[int], np.dtype[np.datetime64]]) -> Int:
    return month.astype("datetime64[D]").astype(np.int64)
