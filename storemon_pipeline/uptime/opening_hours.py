"""Opening hours and time zones -> when each store is open, as UTC intervals (rule 3).

Opening hours are wall times: weekly ones, and special ones of single dates in their place.
:class:`OpeningSchedule` knows them for all stores of a computation and puts them on real dates.
Whether a store was *up* while open is the business of :mod:`.status`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from storemon_pipeline.uptime.conversions import intervals_to_frame, store_codes, to_microseconds
from storemon_pipeline.uptime.intervals import Bool, Int, Intervals, enumerate_groups
from storemon_pipeline.uptime.rules import DAY, DayEnd, MissingDay, UptimeRules
from storemon_pipeline.uptime.utc_offsets import UtcOffsets

_LATEST_CLOSING = 23 * 3_600_000_000 + 59 * 60_000_000  # 23:59:00
_THURSDAY = 3  # 1970-01-01's weekday, counted from Monday


@dataclass(frozen=True, slots=True)
class OpeningHours:
    """The opening hours of some stores, as they are written: wall times.

    Attributes
    ----------
    weekly : DataFrame
        ``store_id``, ``day_of_week`` (0 = Monday), ``start_time_local`` and ``end_time_local``
        (``timedelta64``, since midnight; up to 24 hours), a row an opening.
    special : DataFrame
        ``store_id``, ``date`` (``datetime64``, a local date), ``start_time_local`` and
        ``end_time_local`` (as above, or both NaT: closed on that date), a row an opening in place
        of the weekday's.
    """

    weekly: pd.DataFrame
    special: pd.DataFrame


class OpeningSchedule:
    """The openings of the stores of a computation, and their clocks.

    Parameters
    ----------
    stores : DataFrame
        ``store_id`` and ``timezone`` (a known IANA name), a row a store.
    hours : OpeningHours
        Rows of other stores are passed over.
    rules : UptimeRules
        ``missing_day`` and ``day_end`` are carried out here.
    """

    def __init__(self, stores: pd.DataFrame, hours: OpeningHours, rules: UptimeRules) -> None:
        self._stores = len(stores)
        self._zone, zones = pd.factorize(stores["timezone"])
        self._zones = [str(zone) for zone in zones]
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
        # the other days of a store that has nothing but special hours are open, whatever the rule
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

    @property
    def zone(self) -> Int:
        """The code of each store's time zone; int64 array, shape (stores,)."""
        return self._zone

    def clocks(self, start: int, end: int) -> UtcOffsets:
        """The clocks of the stores' zones over a span, for :attr:`zone`."""
        return UtcOffsets(self._zones, start, end)

    def _openings_on(self, clocks: UtcOffsets, code: Int, date: Int) -> tuple[Int, Int, Int]:
        """The openings of stores on local dates.

        Parameters
        ----------
        clocks : WallClocks
        code, date : int64 arrays, shape (n,)
            Stores, and days since 1970-01-01 in the store's calendar.

        Returns
        -------
        asked, open, close : int64 arrays
            Which of the ``n`` an opening belongs to, and its instants; an opening that a change
            of clocks swallows is empty.
        """
        store_day = code * 7 + (date + _THURSDAY) % 7
        special = self._special.position(code, date)
        is_special = special >= 0
        asked, member = enumerate_groups(np.where(is_special, 0, self._count[store_day]))
        opening = self._first[store_day][asked] + member
        opens, closes = self._opens[opening], self._closes[opening]
        if is_special.any():
            which = np.flatnonzero(is_special)
            of_special, special_opens, special_closes = self._special.openings(special[which])
            asked = np.concatenate((asked, which[of_special]))
            opens = np.concatenate((opens, special_opens))
            closes = np.concatenate((closes, special_closes))
        zone, midnight = self._zone[code[asked]], date[asked] * DAY
        return (
            asked,
            clocks.to_utc(zone, midnight + opens),
            clocks.to_utc(zone, midnight + closes),
        )

    def intervals(self, start: int, end: int) -> Intervals:
        """When each store is open within ``[start, end)``: sorted, disjoint, none touching.

        Parameters
        ----------
        start, end : int
            Microseconds since 1970.
        """
        always = np.flatnonzero(self._always_open)
        code = np.flatnonzero(~self._always_open)
        clocks = self.clocks(start, end)
        zone = self._zone[code]
        # an opening ends at most a date after the one it belongs to; and clocks that go back over
        # midnight show a date again that an opening of the next has already begun on
        first = clocks.to_local(zone, np.full(len(code), start)) // DAY - 1
        last = clocks.to_local(zone, np.full(len(code), end)) // DAY + 1
        store, member = enumerate_groups(last - first + 1)
        asked, opens, closes = self._openings_on(clocks, code[store], first[store] + member)
        return (
            Intervals(
                np.concatenate((code[store][asked], always)),
                np.concatenate((opens, np.full(len(always), start))),
                np.concatenate((closes, np.full(len(always), end))),
            )
            .clip(start, end)
            .union()
        )

    def is_open(self, code: Int, instant: Int) -> Bool:
        """Whether each store is open at an instant, however far in the past.

        Looks at the openings of the instant's own dates only, where :meth:`between` would build
        the openings of all the years between.

        Parameters
        ----------
        code, instant : int64 arrays, shape (n,)

        Returns
        -------
        bool array, shape (n,)
        """
        is_open = self._always_open[code]
        ask = np.flatnonzero(~is_open)
        if not len(ask):
            return is_open
        clocks = self.clocks(int(instant[ask].min()), int(instant[ask].max()))
        date = clocks.to_local(self._zone[code[ask]], instant[ask]) // DAY
        for neighbour in (-1, 0, 1):
            asked, opens, closes = self._openings_on(clocks, code[ask], date + neighbour)
            at = instant[ask][asked]
            is_open[ask[asked[(opens <= at) & (at < closes)]]] = True
        return is_open


class _SpecialDates:
    """The openings of single dates, by store and date."""

    def __init__(self, stores: pd.DataFrame, special: pd.DataFrame, rules: UptimeRules) -> None:
        code = store_codes(special["store_id"], stores["store_id"])
        known = code >= 0
        date = special["date"].to_numpy("datetime64[D]").astype(np.int64)[known]
        times = special[["start_time_local", "end_time_local"]][known]
        opens_at_all = times["start_time_local"].notna().to_numpy()
        opens = _microseconds(times["start_time_local"])
        closes = resolve_closing_times(opens, _microseconds(times["end_time_local"]), rules)
        self.code = code[known]
        self._low = int(date.min()) if len(date) else 0
        self._days = int(date.max()) - self._low + 1 if len(date) else 1
        key = self._key(self.code, date)
        self._keys, of_key = np.unique(key, return_inverse=True)
        # a row without times is a date without an opening
        of_opening = of_key[opens_at_all]
        order = np.argsort(of_opening, kind="stable")
        self._opens, self._closes = opens[opens_at_all][order], closes[opens_at_all][order]
        self._count = np.bincount(of_opening, minlength=len(self._keys))
        self._first = np.cumsum(self._count) - self._count

    def _key(self, code: Int, date: Int) -> Int:
        return code * self._days + (date - self._low)

    def position(self, code: Int, date: Int) -> Int:
        """Which special date each store's date is; -1 for those that are none."""
        if not len(self._keys):
            return np.full(len(code), -1)
        key = self._key(code, date)
        at = np.minimum(np.searchsorted(self._keys, key), len(self._keys) - 1)
        within = (date >= self._low) & (date < self._low + self._days)
        return np.where(within & (self._keys[at] == key), at, -1)

    def openings(self, position: Int) -> tuple[Int, Int, Int]:
        """Which of the dates an opening belongs to, and its wall times in microseconds."""
        asked, member = enumerate_groups(self._count[position])
        opening = self._first[position][asked] + member
        return asked, self._opens[opening], self._closes[opening]


def resolve_closing_times(opens: Int, closes: Int, rules: UptimeRules) -> Int:
    """When openings end that are written so: at midnight (``day_end``), or on the next date.

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
    """Open intervals of each store within ``[start, end)``, in UTC (rule 3).

    Parameters
    ----------
    stores : DataFrame
        ``store_id`` (text, sorted, no store twice) and ``timezone`` (a known IANA name).
    hours : OpeningHours
        A store without a row is always open.
    start, end : Timestamp
        UTC.
    rules : UptimeRules

    Returns
    -------
    DataFrame
        ``store_id`` (category), ``open_utc``, ``close_utc`` (``datetime64[us, UTC]``): half-open,
        sorted, disjoint, none touching.

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
