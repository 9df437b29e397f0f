"""When a store is open, for people: its week, and the dates that are otherwise."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import numpy as np
import pandas as pd

from storemon_pipeline.uptime.open_hours import OpeningHours, closing
from storemon_pipeline.uptime.rules import DAY, UptimeRules

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_TO = "\N{EN DASH}"
_SECOND = 1_000_000
_ALL_DAY = "open all day"
_NOT_GIVEN = f"none given: {_ALL_DAY}"


def weekly_hours(hours: OpeningHours) -> list[tuple[str, str]]:
    """Each weekday's openings, by the default rules.

    Parameters
    ----------
    hours : OpeningHours
        Of one store.

    Returns
    -------
    list of (weekday, openings)
        Monday first; empty where no day has any.
    """
    weekly = hours.weekly
    if weekly.empty:
        return []
    return [
        (name, _openings(day, weekly[weekly["day_of_week"] == day]) or _NOT_GIVEN)
        for day, name in enumerate(_DAYS)
    ]


def special_dates(hours: OpeningHours, since: date) -> list[tuple[str, str]]:
    """The openings of single dates from one on, by the default rules.

    Parameters
    ----------
    hours : OpeningHours
        Of one store.
    since : date
        The first that is told, in the store's calendar.

    Returns
    -------
    list of (date, openings)
        In order.
    """
    special = hours.special
    shown = special[special["date"] >= pd.Timestamp(since)]
    return [
        (
            f"{day:%a %-d %b %Y}",
            _openings(day.weekday(), shown[shown["date"] == day].dropna()) or "closed",
        )
        for day in pd.DatetimeIndex(shown["date"]).unique()
    ]


def _openings(weekday: int, rows: pd.DataFrame) -> str:
    opens, closes = (
        rows[name].to_numpy("timedelta64[us]").astype(np.int64)
        for name in ("start_time_local", "end_time_local")
    )
    closes = closing(opens, closes, UptimeRules())
    return ", ".join(_opening_texts(weekday, zip(opens.tolist(), closes.tolist(), strict=True)))


def _opening_texts(weekday: int, openings: Iterable[tuple[int, int]]) -> Iterable[str]:
    for opens, closes in openings:
        if (opens, closes) == (0, DAY):
            yield _ALL_DAY
        elif closes > DAY:
            next_day = _DAYS[(weekday + 1) % len(_DAYS)]
            yield f"{_time_text(opens)}{_TO}{_time_text(closes - DAY)} ({next_day})"
        else:
            yield f"{_time_text(opens)}{_TO}{_time_text(closes)}"


def _time_text(time: int) -> str:
    """A time of day, without the seconds where there are none.

    Examples
    --------
    >>> [_time_text(time) for time in (0, 34_200_000_000, 86_399_500_000, DAY)]
    ['00:00', '09:30', '23:59:59.5', '24:00']
    """
    minutes, rest = divmod(time, 60 * _SECOND)
    text = f"{minutes // 60:02}:{minutes % 60:02}"
    return f"{text}:{rest / _SECOND:09.6f}".rstrip("0").rstrip(".") if rest else text
