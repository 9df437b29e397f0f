"""The windows of a report: which there are, and where each begins and ends (rule 2).

Rolling windows and ranges are spans of real time, the same for all stores. Calendar windows are
spans of each store's own calendar, so they begin and end with its zone's days.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

import numpy as np
import pandas as pd

from storemon_pipeline.uptime.intervals import Int
from storemon_pipeline.uptime.rules import DAY, HOUR
from storemon_pipeline.uptime.utc_offsets import UtcOffsets

_MONDAY = 4  # days since 1970-01-01, a Thursday
_WEEK = 7


class Window(StrEnum):
    """A span of time that figures are told for (rule 2)."""

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
        """How the window is called in the names of the report's columns."""
        return f"last_{self.value}" if self in ROLLING_WINDOWS else self.value

    @property
    def unit(self) -> int:
        """Microseconds in the unit of its figures: minutes for the hour, hours for all else."""
        return HOUR // 60 if self is Window.HOUR else HOUR


ROLLING_WINDOWS = {
    Window.HOUR: timedelta(hours=1),
    Window.DAY: timedelta(hours=24),
    Window.WEEK: timedelta(hours=168),
    Window.MONTH: timedelta(hours=720),
}
"""The windows that end at as_of, and how long they are: spans of real time (rule 2)."""

CALENDAR_WINDOWS = {
    Window.TODAY: timedelta(days=2),
    Window.YESTERDAY: timedelta(days=3),
    Window.LAST_CALENDAR_WEEK: timedelta(days=15),
    Window.THIS_CALENDAR_MONTH: timedelta(days=32),
    Window.LAST_CALENDAR_MONTH: timedelta(days=63),
}
"""The windows of each store's calendar, and how long before as_of they may begin at most: their
days, and one for clocks that were changed meanwhile."""


def calendar_bounds(window: Window, as_of: int, timezones: pd.Series) -> tuple[Int, Int]:
    """Where a calendar window begins and ends for each store (rule 2).

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
    zone, names = pd.factorize(timezones)
    clocks = UtcOffsets(
        [str(name) for name in names], as_of - CALENDAR_WINDOWS[window] // _MICROSECOND, as_of
    )
    each = np.arange(len(names))
    now = np.full(len(names), as_of)
    today = clocks.to_local(each, now) // DAY
    # A day that has begun stays the day, also where the clock goes back over its midnight from
    # 00:01 and shows the date before for an hour more.
    today += clocks.to_utc(each, (today + 1) * DAY) <= as_of
    first, end = _day_range(window, today)
    start = clocks.to_utc(each, first * DAY)
    until = now if end is None else clocks.to_utc(each, end * DAY)
    return start[zone], until[zone]


_MICROSECOND = timedelta(microseconds=1)


def _day_range(window: Window, today: Int) -> tuple[Int, Int | None]:
    """The first local day of a window and the one after its last; None where it ends at as_of."""
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
