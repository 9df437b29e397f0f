"""Opening hours and time zones -> when each store is open, as UTC intervals (rule 3).

Weekly opening hours are wall times; :class:`Openings` knows them for all stores of a computation
and places them on real dates. Whether a store was *up* while open is the business of
:mod:`.status`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from storemon_pipeline.uptime.intervals import Bool, Int, Intervals, expand
from storemon_pipeline.uptime.rules import DAY, DayEnd, MissingDay, UptimeRules
from storemon_pipeline.uptime.tables import codes_of, instants_of, table_of
from storemon_pipeline.uptime.wall_clock import WallClocks

_LATEST_CLOSING = 23 * 3_600_000_000 + 59 * 60_000_000  # 23:59:00
_THURSDAY = 3  # 1970-01-01's weekday, counted from Monday


class Openings:
    """The weekly openings of the stores of a computation, and their clocks.

    Parameters
    ----------
    stores : DataFrame
        ``store_id`` and ``timezone`` (a known IANA name), a row a store.
    weekly_hours : DataFrame
        ``store_id``, ``day_of_week`` (0 = Monday), ``start_time_local`` and ``end_time_local``
        (``timedelta64``, since midnight; up to 24 hours), a row an opening. Rows of other stores
        are passed over.
    rules : UptimeRules
        ``missing_day`` and ``day_end`` are carried out here.
    """

    def __init__(
        self, stores: pd.DataFrame, weekly_hours: pd.DataFrame, rules: UptimeRules
    ) -> None:
        self._stores = len(stores)
        self._zone, zones = pd.factorize(stores["timezone"])
        self._zones = [str(zone) for zone in zones]
        code = codes_of(weekly_hours["store_id"], stores["store_id"])
        known = code >= 0
        code = code[known]
        weekday = weekly_hours["day_of_week"].to_numpy(np.int64)[known]
        opens = _microseconds(weekly_hours["start_time_local"])[known]
        closes = _microseconds(weekly_hours["end_time_local"])[known]
        if rules.day_end is DayEnd.MIDNIGHT:
            closes = np.where(closes >= _LATEST_CLOSING, DAY, closes)
        closes = np.where(closes <= opens, closes + DAY, closes)

        self._always_open = np.ones(self._stores, dtype=bool)
        self._always_open[code] = False
        store_day = code * 7 + weekday
        if rules.missing_day is MissingDay.OPEN:
            missing = np.ones(self._stores * 7, dtype=bool)
            missing[store_day] = False
            missing &= np.repeat(~self._always_open, 7)
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

    def clocks(self, start: int, end: int) -> WallClocks:
        """The clocks of the stores' zones over a span, for :attr:`zone`."""
        return WallClocks(self._zones, start, end)

    def _on_dates(self, clocks: WallClocks, code: Int, date: Int) -> tuple[Int, Int, Int]:
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
        asked, member = expand(self._count[store_day])
        opening = self._first[store_day][asked] + member
        zone, midnight = self._zone[code[asked]], date[asked] * DAY
        return (
            asked,
            clocks.to_instant(zone, midnight + self._opens[opening]),
            clocks.to_instant(zone, midnight + self._closes[opening]),
        )

    def between(self, start: int, end: int) -> Intervals:
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
        store, member = expand(last - first + 1)
        asked, opens, closes = self._on_dates(clocks, code[store], first[store] + member)
        return (
            Intervals(
                np.concatenate((code[store][asked], always)),
                np.concatenate((opens, np.full(len(always), start))),
                np.concatenate((closes, np.full(len(always), end))),
            )
            .clip(start, end)
            .union()
        )

    def contain(self, code: Int, instant: Int) -> Bool:
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
            asked, opens, closes = self._on_dates(clocks, code[ask], date + neighbour)
            at = instant[ask][asked]
            is_open[ask[asked[(opens <= at) & (at < closes)]]] = True
        return is_open


def _microseconds(times: pd.Series) -> Int:
    return times.to_numpy("timedelta64[us]").astype(np.int64)


def open_hours(
    stores: pd.DataFrame,
    weekly_hours: pd.DataFrame,
    start: pd.Timestamp,
    end: pd.Timestamp,
    rules: UptimeRules,
) -> pd.DataFrame:
    """Open intervals of each store within ``[start, end)``, in UTC (rule 3).

    Parameters
    ----------
    stores : DataFrame
        ``store_id`` (text, sorted, no store twice) and ``timezone`` (a known IANA name).
    weekly_hours : DataFrame
        ``store_id``, ``day_of_week`` (0 = Monday), ``start_time_local``, ``end_time_local``
        (``timedelta64``, up to 24 hours). A store without a row is always open.
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
    >>> hours = pd.DataFrame(
    ...     {
    ...         "store_id": ["s1"],
    ...         "day_of_week": [0],
    ...         "start_time_local": pd.to_timedelta(["09:00:00"]),
    ...         "end_time_local": pd.to_timedelta(["12:00:00"]),
    ...     }
    ... )
    >>> monday = pd.Timestamp("2023-01-23 06:00Z"), pd.Timestamp("2023-01-24 05:00Z")
    >>> open_hours(stores, hours, *monday, UptimeRules())["open_utc"].iloc[0]
    Timestamp('2023-01-23 14:00:00+0000', tz='UTC')
    """
    openings = Openings(stores, weekly_hours, rules)
    intervals = openings.between(*instants_of([start, end]).tolist())
    return table_of(intervals, stores, "open_utc", "close_utc")
