"""UTC offsets of time zones: conversion between local times and instants, vectorised and exact.

Implements the rule for clock changes (rule 3). A local time that occurs twice is the first of the
two; a time that does not occur is the end of the gap. In both cases it is *the earliest instant at
which the zone's clock shows that time or a later one*.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from storemon_pipeline.uptime.interval_arithmetic import Int
from storemon_pipeline.uptime.rules import DAY

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = 1_000_000
# datetime supports the years 1 to 9999, and adding an offset must not leave them.
_FIRST_YEAR, _LAST_YEAR = 2, 9998


def _year_of(instant: int) -> int:
    days = int(np.datetime64(instant, "us").astype("datetime64[Y]").astype(np.int64))
    return min(max(days + 1970, _FIRST_YEAR), _LAST_YEAR)


def _offset(zone: ZoneInfo, second: int) -> int:
    """Return the offset from UTC in seconds at a second since 1970."""
    offset = (_EPOCH + timedelta(seconds=second)).astimezone(zone).utcoffset()
    if offset is None:  # pragma: no cover - a ZoneInfo always has one
        msg = f"{zone} has no offset"
        raise AssertionError(msg)
    return offset // timedelta(seconds=1)


@lru_cache(maxsize=65536)
def _offsets_of_year(name: str, year: int) -> tuple[tuple[int, int], ...]:
    """Return the zone's offsets within a UTC year as (first second, offset in seconds).

    zoneinfo gives the offset at an instant but no list of transitions. So each day is checked, and
    a transition is located to the second by bisection.
    """
    zone = ZoneInfo(name)
    first = int((datetime(year, 1, 1, tzinfo=UTC) - _EPOCH).total_seconds())
    last = int((datetime(year + 1, 1, 1, tzinfo=UTC) - _EPOCH).total_seconds())
    changes = [(first, _offset(zone, first))]
    for day in range(first, last, 86_400):
        until = min(day + 86_400, last)
        before, after = changes[-1][1], _offset(zone, until)
        if before == after:
            continue
        low, high = day, until
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if _offset(zone, middle) == before else (low, middle)
        if high < last:
            changes.append((high, after))
    return tuple(changes)


def factorize_zones(timezones: pd.Series) -> tuple[Int, list[str]]:
    """Return the code of each store's time zone, and the zones by code, for :class:`UtcOffsets`.

    Parameters
    ----------
    timezones : Series of text, shape (stores,)
        Known IANA names.

    Returns
    -------
    zone : int64 array, shape (stores,)
    zones : list of str
        Each name once.
    """
    zone, zones = pd.factorize(timezones)
    return zone, [str(name) for name in zones]


class UtcOffsets:
    """UTC offsets of some time zones over a span of time.

    Parameters
    ----------
    zones : sequence of str
        Known IANA names; a zone's position is its code.
    start, end : int
        The span in microseconds since 1970; two days on either side are also covered.
    """

    def __init__(self, zones: list[str], start: int, end: int) -> None:
        self._low, self._high = start - 3 * DAY, end + 3 * DAY
        years = range(_year_of(self._low), _year_of(self._high) + 1)
        zone_of: list[int] = []
        since: list[int] = []
        offset: list[int] = []
        for code, name in enumerate(zones):
            pieces = [piece for year in years for piece in _offsets_of_year(name, year)]
            changed = [p for i, p in enumerate(pieces) if i == 0 or p[1] != pieces[i - 1][1]]
            zone_of += [code] * len(changed)
            since += [min(self._low, changed[0][0] * _SECOND)]
            since += [second * _SECOND for second, _ in changed[1:]]
            offset += [seconds * _SECOND for _, seconds in changed]
        self._zone = np.array(zone_of, dtype=np.int64)
        self._since = np.array(since, dtype=np.int64)
        self._offset = np.array(offset, dtype=np.int64)
        if len(self._since):
            self._low = min(self._low, int(self._since.min()))
            self._high = max(self._high, int(self._since.max()))
        # keys allow two days around the span for local times, which may be 26 hours off
        self._stride = self._high - self._low + 8 * DAY
        if self._stride * (len(zones) + 1) >= 2**63:
            msg = (
                f"{len(zones)} time zones over {len(years)} years are too many for one computation"
            )
            raise OverflowError(msg)
        self._since_key = self._key(self._zone, self._since)
        until = np.append(self._since[1:], 0)
        last_of_zone = np.append(self._zone[1:] != self._zone[:-1], True)[: len(until)]
        until[last_of_zone] = self._high + 2 * DAY
        shown_until = self._key(self._zone, until + self._offset)
        # the latest local time that the clock has shown by the end of each segment
        self._shown_until = np.maximum.accumulate(shown_until)

    def _key(self, zone: Int, instant: Int) -> Int:
        return zone * self._stride + (instant - self._low + 4 * DAY)

    def _segment(self, zone: Int, instant: Int) -> Int:
        return np.searchsorted(self._since_key, self._key(zone, instant), side="right") - 1

    def at(self, zone: Int, instant: Int) -> Int:
        """Return the UTC offset of each zone at an instant, in microseconds.

        Parameters
        ----------
        zone, instant : int64 arrays of one shape
            Zones by code; microseconds since 1970 within the span.
        """
        return self._offset[self._segment(zone, instant)]

    def to_local(self, zone: Int, instant: Int) -> Int:
        """Convert instants to local times, in microseconds since the local 1970-01-01."""
        return instant + self.at(zone, instant)

    def to_utc(self, zone: Int, wall_time: Int) -> Int:
        """Convert local times to the earliest instant that shows this time or a later one (rule 3).

        Parameters
        ----------
        zone, wall_time : int64 arrays of one shape
            Local times in microseconds since the local 1970-01-01 00:00.

        Returns
        -------
        int64 array
            Microseconds since 1970-01-01 UTC.
        """
        piece = np.searchsorted(self._shown_until, self._key(zone, wall_time), side="right")
        instant: Int = np.maximum(self._since[piece], wall_time - self._offset[piece])
        return instant

    def segments(self, zone: Int, start: Int, end: Int) -> tuple[Int, Int]:
        """Return the segments of constant offset that each interval overlaps.

        Parameters
        ----------
        zone, start, end : int64 arrays, shape (n,)
            ``start < end``, within the span.

        Returns
        -------
        first, count : int64 arrays, shape (n,)
            The position of the first segment and the number of segments, for :meth:`segment`.
        """
        first = self._segment(zone, start)
        return first, self._segment(zone, end - 1) - first + 1

    def segment(self, position: Int) -> tuple[Int, Int]:
        """Return the start and the offset of segments, in microseconds."""
        return self._since[position], self._offset[position]
