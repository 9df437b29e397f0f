"""All results of a report: of some stores, and of all stores together.

:class:`StoreResults` is what a slice of stores comes to; :class:`FleetSummary` adds slices up, for
those who look at the whole, and checks what must hold of any report.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

from storemon_pipeline.uptime.conversions import to_microseconds, to_timestamps
from storemon_pipeline.uptime.current_status import CurrentStatus
from storemon_pipeline.uptime.downtime import downtime_by_hour, downtime_events, stores_down_now
from storemon_pipeline.uptime.intervals import Int
from storemon_pipeline.uptime.metrics import compute_metrics, observe_open_time, round_metrics
from storemon_pipeline.uptime.report_request import ReportRequest
from storemon_pipeline.uptime.rules import HOUR
from storemon_pipeline.uptime.slo import service_levels

FULL_UPTIME_PCT = 100
"""Uptime, in percent, at which a store is not among the worst: its rounded figure counts."""

_SHOWN_HOURS = 24
# of service levels, what is told of single stores
_LEVELS = "^(target_pct$|met_|budget_left_|outages_)"


@dataclass(frozen=True, slots=True)
class StoreResults:
    """What a report says of some stores.

    Attributes
    ----------
    metrics : DataFrame
        Of :func:`~storemon_pipeline.uptime.metrics.round_metrics`.
    metrics_us : DataFrame
        The same unrounded, of :func:`~storemon_pipeline.uptime.metrics.compute_metrics`.
    slo : DataFrame
        Of :func:`~storemon_pipeline.uptime.slo.service_levels`, a row for each of
        ``figures``.
    events : DataFrame
        Of :func:`~storemon_pipeline.uptime.downtime.downtime_events`.
    by_hour : DataFrame
        Of :func:`~storemon_pipeline.uptime.downtime.downtime_by_hour`.
    current : DataFrame
        Of :func:`~storemon_pipeline.uptime.current_status.current_status`, a row for each of
        ``figures``.
    down_now : DataFrame
        Of :func:`~storemon_pipeline.uptime.downtime.stores_down_now`.
    """

    metrics: pd.DataFrame
    metrics_us: pd.DataFrame
    slo: pd.DataFrame
    events: pd.DataFrame
    by_hour: pd.DataFrame
    current: pd.DataFrame
    down_now: pd.DataFrame


def store_results(
    stores: pd.DataFrame,
    open_hours: pd.DataFrame,
    status_intervals: pd.DataFrame,
    current: pd.DataFrame,
    request: ReportRequest,
) -> StoreResults:
    """Everything that a report says of some stores.

    Parameters
    ----------
    stores : DataFrame
        ``store_id`` (text, sorted, no store twice), ``timezone``, ``last_poll_utc``,
        ``target_pct``.
    open_hours, status_intervals : DataFrame
        Of these stores and the request's span.
    current : DataFrame
        Of :func:`~storemon_pipeline.uptime.current_status.current_status`, of these stores at the
        request's as_of.
    request : ReportRequest
    """
    time = observe_open_time(stores, open_hours, status_intervals, request)
    exact = compute_metrics(time, request, stores)
    events = downtime_events(stores, time, request, current)
    return StoreResults(
        round_metrics(stores, exact, request),
        exact,
        service_levels(stores, time, exact, request),
        events,
        downtime_by_hour(stores, time, request),
        current,
        stores_down_now(stores, time, request, current, events),
    )


@dataclass(slots=True)
class FleetSummary:
    """All stores of a report together, added up slice by slice.

    Attributes
    ----------
    request : ReportRequest
    metrics, metrics_us, events : list of DataFrame
        Each slice's.
    slo : list of DataFrame
        Each slice's target, and in each window whether it was met, the budget left, the outages.
    down_now : list of DataFrame
        Each slice's stores that are down at as_of.
    by_hour_rows : int
        How many rows downtime by hour has; ``first_by_hour`` are the first of them.
    open_minutes, downtime_minutes : float64 arrays, shape (7, 24)
        By local weekday (0 = Monday) and hour.
    stores_exceeding_open_time : int
        How many stores' figures exceed their open time: 0, or something is wrong.
    targets_met, targets_known : Counter
        How many stores met their target, and of how many it is known, by the window's column name.
    stores_now : Counter
        How many stores are closed, up, down or without data at as_of, by the values of
        :class:`~storemon_pipeline.uptime.current_status.CurrentStatus`.
    """

    request: ReportRequest
    metrics: list[pd.DataFrame] = field(default_factory=list)
    metrics_us: list[pd.DataFrame] = field(default_factory=list)
    events: list[pd.DataFrame] = field(default_factory=list)
    slo: list[pd.DataFrame] = field(default_factory=list)
    down_now: list[pd.DataFrame] = field(default_factory=list)
    by_hour_rows: int = 0
    first_by_hour: pd.DataFrame = field(default_factory=pd.DataFrame)
    open_minutes: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros((7, 24)))
    downtime_minutes: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros((7, 24)))
    stores_exceeding_open_time: int = 0
    targets_met: Counter[str] = field(default_factory=Counter)
    targets_known: Counter[str] = field(default_factory=Counter)
    stores_now: Counter[str] = field(default_factory=Counter)
    _totals: pd.Series | None = None

    def add(self, results: StoreResults) -> None:
        """Add a slice of stores, which come after those added before."""
        self.metrics.append(results.metrics)
        self.metrics_us.append(results.metrics_us)
        self.events.append(results.events)
        self.slo.append(results.slo.filter(regex=_LEVELS))
        self.down_now.append(results.down_now)
        self.stores_now.update(results.current["status"])
        self.by_hour_rows += len(results.by_hour)
        if self.first_by_hour.empty:
            self.first_by_hour = results.by_hour.head(_SHOWN_HOURS)
        hour = results.by_hour["day_of_week"] * 24 + results.by_hour["hour"]
        for name, total in (
            ("open_minutes", self.open_minutes),
            ("downtime_minutes", self.downtime_minutes),
        ):
            sums = np.bincount(hour, weights=results.by_hour[name], minlength=168)
            np.add(total, sums.reshape(7, 24), out=total)
        for window in self.request.windows:
            met = results.slo[f"met_{window.suffix}"]
            self.targets_met[window.suffix] += int(met.sum())
            self.targets_known[window.suffix] += int(met.count())
        self.stores_exceeding_open_time += int(
            _beyond_open_time(results.metrics_us, self.request).sum()
        )
        sums_of_slice = results.metrics_us.sum()
        self._totals = sums_of_slice if self._totals is None else self._totals + sums_of_slice

    @property
    def store_count(self) -> int:
        """How many stores the report has."""
        return sum(map(len, self.metrics))

    @property
    def widest_window(self) -> str:
        """The window that says most, by its column name: the one with the most open time."""
        return max(
            (window.suffix for window in self.request.windows),
            key=lambda window: self.total_us("open_time", window),
        )

    @property
    def span(self) -> tuple[datetime, datetime]:
        """From when to when any store was looked at: calendar windows may end before as_of."""
        if not self.store_count:
            return self.request.span
        start, end = self._spans()
        first, last = to_timestamps(np.array([start.min(), end.max()]))
        return first.to_pydatetime(), last.to_pydatetime()

    @property
    def reaches_as_of(self) -> bool:
        """Whether the windows of every store reach as_of, or else say nothing of *now*."""
        (as_of,) = to_microseconds([self.request.as_of]).tolist()
        return not (self.store_count and (self._spans()[1] < as_of).any())

    @property
    def ongoing_events(self) -> int | None:
        """How many events are ongoing; None where the windows end before as_of."""
        if not self.reaches_as_of:
            return None
        return sum(int(events["ongoing"].sum()) for events in self.events)

    @property
    def stores_down(self) -> int | None:
        """How many stores are down at as_of, while open; None where the windows end before it."""
        return self.stores_now[CurrentStatus.DOWN] if self.reaches_as_of else None

    def _spans(self) -> tuple[Int, Int]:
        """Where the windows begin and end, in each zone that the stores have."""
        zones = pd.concat([figures["timezone"] for figures in self.metrics]).unique()
        return self.request.per_store_spans(pd.Series(zones))

    @property
    def duplicate_rows(self) -> int:
        """Rows that are not after the row before them: every store has one, in order."""
        ids = pd.concat([figures["store_id"] for figures in self.metrics], ignore_index=True)
        return int((ids.iloc[1:].to_numpy() <= ids.iloc[:-1].to_numpy()).sum())

    def total_us(self, figure: str, window: str) -> int:
        """A figure of all stores together, in microseconds.

        Parameters
        ----------
        figure : str
            ``uptime``, ``downtime``, ``unobserved`` or ``open_time``.
        window : str
            The window's column name.
        """
        return 0 if self._totals is None else int(self._totals[f"{figure}_{window}"])

    def total_hours(self, figure: str, window: str) -> float:
        """As :meth:`total`, in hours."""
        return self.total_us(figure, window) / HOUR

    def uptime_pct(self, window: str) -> float | None:
        """Uptime of all stores together: 100 x all uptime / all observed open time.

        None where nothing was observed.
        """
        observed = self.total_hours("uptime", window) + self.total_hours("downtime", window)
        return round(100 * self.total_hours("uptime", window) / observed, 2) if observed else None


def _beyond_open_time(exact: pd.DataFrame, request: ReportRequest) -> npt.NDArray[np.bool_]:
    """Stores of which some figure is negative, or uptime and downtime exceed open time."""
    wrong = np.zeros(len(exact), dtype=bool)
    for window in request.windows:
        for figure in ("uptime", "downtime", "unobserved"):
            wrong |= (exact[f"{figure}_{window.suffix}"] < 0).to_numpy()
    return wrong
