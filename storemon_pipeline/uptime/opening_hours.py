"""Open intervals in UTC, from opening hours and time zones (rule 3).

Opening hours are local times: weekly ones, and special ones that replace them on single dates.
:class:`OpeningSchedule` places them on real dates. :mod:`.status_intervals` determines whether a
store was up while open.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from storemon_pipeline.uptime.conversions import intervals_to_frame, store_codes, to_microseconds
from storemon_pipeline.uptime.interval_arithmetic import Bool, Int, Intervals, enumerate_groups
from storemon_pipeline.uptime.rules import DAY, DayEnd, MissingDay, UptimeRules
from storemon_pipeline.uptime.utc_offsets import UtcOffsets, factorize_zones

_LATEST_CLOSING = 23 * 3_600_000_000 + 59 * 60_000_000  # 23:59:00
_THURSDAY = 3  # 1970-01-01's weekday, counted from Monday


@dataclass(frozen=True, slots=True)
class OpeningHours:
    """Opening hours of stores, in local time.

    Attributes
    ----------
    weekly : DataFrame
        ``store_id``, ``day_of_week`` (0 = Monday), ``start_time_local`` and ``end_time_local``
        (``timedelta64``, since midnight; up to 24 hours), one row per opening.
    special : DataFrame
        ``store_id``, ``date`` (``datetime64``, a local date), ``start_time_local`` and
        ``end_time_local`` (as above, or both NaT: closed on that date), one row per opening that
        replaces those of the weekday.
    """

    weekly: pd.DataFrame
    special: pd.DataFrame


class OpeningSchedule:
    """Openings of stores on real dates.

    Parameters
    ----------
    stores : DataFrame
        ``store_id`` and ``timezone`` (a known IANA name), one row per store.
    hours : OpeningHours
        Rows of other stores are ignored.
    rules : UptimeRules
        ``missing_day`` and ``day_end`` apply here.
    """

    def __init__(self, stores: pd.DataFrame, hours: OpeningHours, rules: UptimeRules) -> None:
        self._stores = len(stores)
        self._zone, self._zones = factorize_zones(stores["timezone"])
        weekly_hours, special = hours.weekly, _SpecialDates(stores, hours.special, rules)
        self._special = special
        code = store_codes(weekly_hours["store_id"], stores["store_id"])
        known = code >= 0
        code = code[known]
        weekday = weekly_hours["day_of_week"].to_numpy(np.int64)[known]
        opens = _microseconds(weekly_hours["start_time_local"])[known]
        closes = _microseconds(weekly_hours["end_time_local"])[known]
        closes = resolve_closing_times(opens, closes, rules)

        has_weekly = np.zeros(self._stores, dtype=bool)
        has_weekly[code] = True
        self._always_open = ~has_weekly
        self._always_open[special.code] = False
        store_day = code * 7 + weekday
        # a store with special hours only is open on all other days, regardless of the rule
        fills = ~self._always_open
        if rules.missing_day is MissingDay.CLOSED:
            fills &= ~has_weekly
        if fills.any():
            missing = np.repeat(fills, 7)
            missing[store_day] = False
            whole_days = np.flatnonzero(missing)
            store_day = np.concatenate((store_day, whole_days))
            opens = np.concatenate((opens, np.zeros(len(whole_days), dtype=np.int64)))
            closes = np.concatenate((closes, np.full(len(whole_days), DAY)))
        order = np.argsort(store_day, kind="stable")
        self._opens, self._closes = opens[order], closes[order]
        self._count = np.bincount(store_day, minlength=self._stores * 7)
        self._first = np.cumsum(self._count) - self._count

    def _openings_on(self, clocks: UtcOffsets, code: Int, date: Int) -> tuple[Int, Int, Int]:
        """Return the openings of stores on local dates.

        Parameters
        ----------
        clocks : UtcOffsets
        code, date : int64 arrays, shape (n,)
            Stores, and days since 1970-01-01 in the store's calendar.

        Returns
        -------
        position, open, close : int64 arrays
            The position in the input that an opening belongs to, and its instants. An opening
            within the gap of a clock change is empty.
        """
        store_day = code * 7 + (date + _THURSDAY) % 7
        special = self._special.position(code, date)
        is_special = special >= 0
        of_input, member = enumerate_groups(np.where(is_special, 0, self._count[store_day]))
        opening = self._first[store_day][of_input] + member
        opens, closes = self._opens[opening], self._closes[opening]
        if is_special.any():
            which = np.flatnonzero(is_special)
            of_special, special_opens, special_closes = self._special.openings(special[which])
            of_input = np.concatenate((of_input, which[of_special]))
            opens = np.concatenate((opens, special_opens))
            closes = np.concatenate((closes, special_closes))
        zone, midnight = self._zone[code[of_input]], date[of_input] * DAY
        return (
            of_input,
            clocks.to_utc(zone, midnight + opens),
            clocks.to_utc(zone, midnight + closes),
        )

    def intervals(self, start: int, end: int) -> Intervals:
        """Return the open intervals within ``[start, end)``: sorted, disjoint, not touching.

        Parameters
        ----------
        start, end : int
            Microseconds since 1970.
        """
        always = np.flatnonzero(self._always_open)
        code = np.flatnonzero(~self._always_open)
        clocks = UtcOffsets(self._zones, start, end)
        zone = self._zone[code]
        # An opening ends at most one date after its own. Also, a clock that goes back over midnight
        # repeats a date after an opening of the next date has begun.
        first = clocks.to_local(zone, np.full(len(code), start)) // DAY - 1
        last = clocks.to_local(zone, np.full(len(code), end)) // DAY + 1
        store, member = enumerate_groups(last - first + 1)
        of_input, opens, closes = self._openings_on(clocks, code[store], first[store] + member)
        return (
            Intervals(
                np.concatenate((code[store][of_input], always)),
                np.concatenate((opens, np.full(len(always), start))),
                np.concatenate((closes, np.full(len(always), end))),
            )
            .clip(start, end)
            .union()
        )

    def is_open(self, code: Int, instant: Int) -> Bool:
        """Return whether each store is open at an instant, however far in the past.

        Only the openings around the date of the instant are built, whereas :meth:`intervals` would
        build those of all the years in between.

        Parameters
        ----------
        code, instant : int64 arrays, shape (n,)

        Returns
        -------
        bool array, shape (n,)
        """
        is_open = self._always_open[code]
        pending = np.flatnonzero(~is_open)
        if not len(pending):
            return is_open
        clocks = UtcOffsets(self._zones, int(instant[pending].min()), int(instant[pending].max()))
        date = clocks.to_local(self._zone[code[pending]], instant[pending]) // DAY
        for neighbour in (-1, 0, 1):
            of_input, opens, closes = self._openings_on(clocks, code[pending], date + neighbour)
            at = instant[pending][of_input]
            is_open[pending[of_input[(opens <= at) & (at < closes)]]] = True
        return is_open


class _SpecialDates:
    """Openings of single dates, by store and date."""

    def __init__(self, stores: pd.DataFrame, special: pd.DataFrame, rules: UptimeRules) -> None:
        code = store_codes(special["store_id"], stores["store_id"])
        known = code >= 0
        date = special["date"].to_numpy("datetime64[D]").astype(np.int64)[known]
        times = special[["start_time_local", "end_time_local"]][known]
        has_times = times["start_time_local"].notna().to_numpy()
        opens = _microseconds(times["start_time_local"])
        closes = resolve_closing_times(opens, _microseconds(times["end_time_local"]), rules)
        self.code = code[known]
        self._low = int(date.min()) if len(date) else 0
        self._days = int(date.max()) - self._low + 1 if len(date) else 1
        key = self._key(self.code, date)
        self._keys, of_key = np.unique(key, return_inverse=True)
        # a row without times: closed on that date
        of_opening = of_key[has_times]
        order = np.argsort(of_opening, kind="stable")
        self._opens, self._closes = opens[has_times][order], closes[has_times][order]
        self._count = np.bincount(of_opening, minlength=len(self._keys))
        self._first = np.cumsum(self._count) - self._count

    def _key(self, code: Int, date: Int) -> Int:
        return code * self._days + (date - self._low)

    def position(self, code: Int, date: Int) -> Int:
        """Return the position of each store and date among the special dates, or -1."""
        if not len(self._keys):
            return np.full(len(code), -1)
        key = self._key(code, date)
        at = np.minimum(np.searchsorted(self._keys, key), len(self._keys) - 1)
        within = (date >= self._low) & (date < self._low + self._days)
        return np.where(within & (self._keys[at] == key), at, -1)

    def openings(self, position: Int) -> tuple[Int, Int, Int]:
        """Return the group of each opening, and its local times in microseconds."""
        group, member = enumerate_groups(self._count[position])
        opening = self._first[position][group] + member
        return group, self._opens[opening], self._closes[opening]


def resolve_closing_times(opens: Int, closes: Int, rules: UptimeRules) -> Int:
    """Resolve closing times: at midnight (rule ``day_end``), or on the next date.

    Parameters
    ----------
    opens, closes : int64 arrays of one shape
        Microseconds since midnight.
    rules : UptimeRules

    Returns
    -------
    int64 array
        Microseconds since the midnight before the opening.
    """
    if rules.day_end is DayEnd.MIDNIGHT:
        closes = np.where(closes >= _LATEST_CLOSING, DAY, closes)
    return np.where(closes <= opens, closes + DAY, closes)


def _microseconds(times: pd.Series) -> Int:
    return times.to_numpy("timedelta64[us]").astype(np.int64)


def open_hours(
    stores: pd.DataFrame,
    hours: OpeningHours,
    start: pd.Timestamp,
    end: pd.Timestamp,
    rules: UptimeRules,
) -> pd.DataFrame:
    """Compute the open intervals of each store within ``[start, end)``, in UTC (rule 3).

    Parameters
    ----------
    stores : DataFrame
        ``store_id`` (text, sorted, unique) and ``timezone`` (a known IANA name).
    hours : OpeningHours
        A store without rows is always open.
    start, end : Timestamp
        UTC.
    rules : UptimeRules

    Returns
    -------
    DataFrame
        ``store_id`` (category), ``open_utc``, ``close_utc`` (``datetime64[us, UTC]``): half-open,
        sorted, disjoint, not touching.

    Examples
    --------
    >>> stores = pd.DataFrame({"store_id": ["s1"], "timezone": ["America/New_York"]})
    >>> weekly = pd.DataFrame(
    ...     {
    ...         "store_id": ["s1"],
    ...         "day_of_week": [0],
    ...         "start_time_local": pd.to_timedelta(["09:00:00"]),
    ...         "end_time_local": pd.to_timedelta(["12:00:00"]),
    ...     }
    ... )
    >>> special = pd.DataFrame(
    ...     {"store_id": [], "date": [], "start_time_local": [], "end_time_local": []}
    ... ).astype({"date": "datetime64[s]", "start_time_local": "timedelta64[us]"})
    >>> hours = OpeningHours(weekly, special)
    >>> monday = pd.Timestamp("2023-01-23 06:00Z"), pd.Timestamp("2023-01-24 05:00Z")
    >>> open_hours(stores, hours, *monday, UptimeRules())["open_utc"].iloc[0]
    Timestamp('2023-01-23 14:00:00+0000', tz='UTC')
    """
    openings = OpeningSchedule(stores, hours, rules)
    intervals = openings.intervals(*to_microseconds([start, end]).tolist())
    return intervals_to_frame(intervals, stores, "open_utc", "close_utc")
