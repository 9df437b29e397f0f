"""Human-readable formatting of times, durations and counts."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

_MINUTES_BELOW_HOURS = 2
_WHOLE_FROM_HOURS = 1000
_TENTHS_BELOW_SECONDS = 600
_MINUS = "\N{MINUS SIGN}"


def window_label(window: str) -> str:
    """Return a window's column name as words.

    Examples
    --------
    >>> window_label("last_calendar_week")
    'last calendar week'
    """
    return window.replace("_", " ")


def format_utc(instant: datetime) -> str:
    """Format an instant in UTC, to the minute.

    Examples
    --------
    >>> format_utc(datetime(2024, 11, 12, 18, 13, 22))
    '12 Nov 2024 18:13 UTC'
    """
    return f"{instant:%-d %b %Y %H:%M} UTC"


def format_hours(hours: float) -> str:
    """Format a duration in hours; below two hours, in minutes.

    Examples
    --------
    >>> [format_hours(hours) for hours in (0.0, 0.2, 15.97, 14092.4)]
    ['0 min', '12 min', '16.0 h', '14,092 h']
    """
    if hours < _MINUTES_BELOW_HOURS:
        return f"{60 * hours:.0f} min"
    return f"{hours:,.1f} h" if hours < _WHOLE_FROM_HOURS else f"{hours:,.0f} h"


def format_local_time(instant: datetime, timezone: str) -> str:
    """Format an instant in the local time of a zone.

    Examples
    --------
    >>> format_local_time(datetime.fromisoformat("2024-11-12T18:13Z"), "America/Denver")
    'Tue 12 Nov 11:13'
    """
    return f"{instant.astimezone(ZoneInfo(timezone)):%a %-d %b %H:%M}"


def format_duration(minutes: float) -> str:
    """Format a duration in minutes as days, hours and minutes.

    Examples
    --------
    >>> [format_duration(minutes) for minutes in (0.2, 12.6, 90, 60 * 30.5)]
    ['under 1 min', '13 min', '1 h 30 min', '1 d 6 h 30 min']
    """
    whole = round(minutes)
    if whole < 1:
        return "under 1 min"
    days, rest = divmod(whole, 24 * 60)
    hours, minutes_left = divmod(rest, 60)
    parts = [(days, "d"), (hours, "h"), (minutes_left, "min")]
    return " ".join(f"{number:,} {unit}" for number, unit in parts if number)


def format_budget(hours: float) -> str:
    """Format a part of an error budget; below one minute, in seconds.

    Examples
    --------
    >>> [format_budget(hours) for hours in (0.0, 0.0001, 0.004, 0.01, 0.24, 28.6)]
    ['0 min', 'under 1 s', '14 s', '36 s', '14 min', '28.6 h']
    """
    sign, magnitude = _MINUS if hours < 0 else "", abs(hours)
    seconds = 3600 * magnitude
    if 0 < seconds < 1:
        return f"{sign}under 1 s"
    if 0 < seconds < 60:  # noqa: PLR2004 - one minute
        return f"{sign}{seconds:.0f} s"
    if seconds < _TENTHS_BELOW_SECONDS:
        return f"{sign}{round(seconds / 60, 1):g} min"
    return f"{sign}{format_hours(magnitude)}"
