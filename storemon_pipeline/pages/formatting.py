"""Formatting of times, durations and counts for people."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo


def window_label(window: str) -> str:
    """A window's column name in words.

    Examples
    --------
    >>> window_label("last_calendar_week")
    'last calendar week'
    """
    return window.replace("_", " ")


def format_utc(instant: datetime) -> str:
    """An instant for people.

    Examples
    --------
    >>> format_utc(datetime(2024, 11, 12, 18, 13, 22))
    '12 Nov 2024 18:13 UTC'
    """
    return f"{instant:%-d %b %Y %H:%M} UTC"


def format_hours(hours: float) -> str:
    """A length in hours for people: minutes below two hours.

    Examples
    --------
    >>> [format_hours(hours) for hours in (0.0, 0.2, 15.97, 14092.4)]
    ['0 min', '12 min', '16.0 h', '14,092 h']
    """
    if hours < 2:  # noqa: PLR2004 - as it says
        return f"{60 * hours:.0f} min"
    return f"{hours:,.1f} h" if hours < 1000 else f"{hours:,.0f} h"  # noqa: PLR2004


def format_local_time(instant: datetime, timezone: str) -> str:
    """An instant as the store's clock shows it.

    Examples
    --------
    >>> format_local_time(datetime.fromisoformat("2024-11-12T18:13Z"), "America/Denver")
    'Tue 12 Nov 11:13'
    """
    return f"{instant.astimezone(ZoneInfo(timezone)):%a %-d %b %H:%M}"


def format_duration(minutes: float) -> str:
    """A length of time in words.

    Examples
    --------
    >>> [format_duration(minutes) for minutes in (0.2, 12.6, 90, 60 * 30.5)]
    ['under 1 min', '13 min', '1 h 30 min', '1 d 6 h 30 min']
    """
    whole = round(minutes)
    if whole < 1:
        return "under 1 min"
    days, rest = divmod(whole, 24 * 60)
    hours, left = divmod(rest, 60)
    parts = [(days, "d"), (hours, "h"), (left, "min")]
    return " ".join(f"{number:,} {unit}" for number, unit in parts if number)


_A_MINUTE = 60


_FEW_MINUTES = 10


_MINUS = "\N{MINUS SIGN}"


def format_budget(hours: float) -> str:
    """A part of a downtime budget: of less than a minute the seconds count.

    Examples
    --------
    >>> [format_budget(hours) for hours in (0.0, 0.0001, 0.004, 0.01, 0.24, 28.6)]
    ['0 min', 'under 1 s', '14 s', '36 s', '14 min', '28.6 h']
    """
    sign, length = _MINUS if hours < 0 else "", abs(hours)
    seconds = 3600 * length
    if 0 < seconds < 1:
        return f"{sign}under 1 s"
    if 0 < seconds < _A_MINUTE:
        return f"{sign}{seconds:.0f} s"
    if seconds < _FEW_MINUTES * _A_MINUTE:
        return f"{sign}{round(seconds / _A_MINUTE, 1):g} min"
    return f"{sign}{format_hours(length)}"
