"""Text of a store's opening hours: weekly hours and special dates."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import numpy as np
import pandas as pd

from storemon_pipeline.pages.timeline import WEEKDAYS
from storemon_pipeline.uptime.opening_hours import OpeningHours, resolve_closing_times
from storemon_pipeline.uptime.rules import DAY, UptimeRules

_TO = "\N{EN DASH}"
_SECOND = 1_000_000
_ALL_DAY = "open all day"
_NOT_PROVIDED = f"not provided: {_ALL_DAY}"


def weekly_hours(hours: OpeningHours) -> list[tuple[str, str]]:
    """Return the openings of each weekday under the default rules.

    Parameters
    ----------
    hours : OpeningHours
        Opening hours of one store.

    Returns
    -------
    list of (weekday, openings)
        Monday first; empty without weekly hours.
    """
    weekly = hours.weekly
    if weekly.empty:
        return []
    return [
        (name, _openings(day, weekly[weekly["day_of_week"] == day]) or _NOT_PROVIDED)
        for day, name in enumerate(WEEKDAYS)
    ]


def special_dates(
    hours: OpeningHours, first: date, limit: int
) -> tuple[list[tuple[str, str]], int]:
    """Return the openings of special dates under the default rules.

    Parameters
    ----------
    hours : OpeningHours
        Opening hours of one store.
    first : date
        First date, in local time.
    limit : int
        Maximum number of dates.

    Returns
    -------
    dates : list of (date, openings)
        In chronological order.
    more : int
        Number of later dates.
    """
    special = hours.special[hours.special["date"] >= pd.Timestamp(first)]
    days = pd.DatetimeIndex(special["date"]).unique().sort_values()
    dates = [
        (
            f"{day:%a %-d %b %Y}",
            _openings(day.weekday(), special[special["date"] == day].dropna()) or "closed",
        )
        for day in days[:limit]
    ]
    return dates, len(days[limit:])


def _openings(weekday: int, rows: pd.DataFrame) -> str:
    opens, closes = (
        rows[name].to_numpy("timedelta64[us]").astype(np.int64)
        for name in ("start_time_local", "end_time_local")
    )
    closes = resolve_closing_times(opens, closes, UptimeRules())
    return ", ".join(_opening_texts(weekday, zip(opens.tolist(), closes.tolist(), strict=True)))


def _opening_texts(weekday: int, openings: Iterable[tuple[int, int]]) -> Iterable[str]:
    for opens, closes in openings:
        if (opens, closes) == (0, DAY):
            yield _ALL_DAY
        elif closes > DAY:
            next_day = WEEKDAYS[(weekday + 1) % len(WEEKDAYS)]
            yield f"{_time_text(opens)}{_TO}{_time_text(closes - DAY)} ({next_day})"
        else:
            yield f"{_time_text(opens)}{_TO}{_time_text(closes)}"


def _time_text(time: int) -> str:
    """Format a time of day; seconds only where they are not zero.

    Examples
    --------
    >>> [_time_text(time) for time in (0, 34_200_000_000, 86_399_500_000, DAY)]
    ['00:00', '09:30', '23:59:59.5', '24:00']
    """
    minutes, rest = divmod(time, 60 * _SECOND)
    text = f"{minutes // 60:02}:{minutes % 60:02}"
    return f"{text}:{rest / _SECOND:09.6f}".rstrip("0").rstrip(".") if rest else text
