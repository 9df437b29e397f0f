"""Aggregated results of all stores of a report, and violations of its invariants."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

from storemon_pipeline.uptime.conversions import to_microsecond, to_timestamps
from storemon_pipeline.uptime.current_status import CurrentStatus
from storemon_pipeline.uptime.evaluate import StoreResults
from storemon_pipeline.uptime.interval_arithmetic import Int
from storemon_pipeline.uptime.report_request import ReportRequest
from storemon_pipeline.uptime.rules import HOUR

FULL_UPTIME_PCT = 100
"""Rounded uptime in percent at which a store is not listed among the worst."""

_PREVIEW_ROWS = 24
# per-store service levels that pages and previews show
_SLO_COLUMNS = "^(target_pct$|met_|budget_left_|outages_)"


@dataclass(slots=True)
class FleetSummary:
    """Aggregated results of all stores of a report.

    Attributes
    ----------
    request : ReportRequest
    metrics, metrics_us, events : list of DataFrame
        One per batch.
    slo : list of DataFrame
        One per batch: the targets, and for each window whether they were met, the remaining error
        budgets and the outages.
    down_now : list of DataFrame
        One per batch: the stores that are down at as_of.
    by_hour_rows : int
        Number of rows of downtime by hour; ``first_by_hour`` has the first of them.
    open_minutes, downtime_minutes : float64 arrays, shape (7, 24)
        By local weekday (0 = Monday) and hour.
    stores_exceeding_open_time : int
        Number of stores with figures that exceed their open time; always 0 unless there is a bug.
    targets_met, targets_known : Counter
        Number of stores that met their target, and of stores with observed time, by window suffix.
    stores_now : Counter
        Number of stores that are closed, up, down or without data at as_of, by the values of
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
        """Add a batch of stores, sorted after those added before."""
        self.metrics.append(results.metrics)
        self.metrics_us.append(results.metrics_us)
        self.events.append(results.events)
        self.slo.append(results.slo.filter(regex=_SLO_COLUMNS))
        self.down_now.append(results.down_now)
        self.stores_now.update(results.current["status"])
        self.by_hour_rows += len(results.by_hour)
        if self.first_by_hour.empty:
            self.first_by_hour = results.by_hour.head(_PREVIEW_ROWS)
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
            _exceeds_open_time(results.metrics_us, self.request).sum()
        )
        batch_totals = results.metrics_us.sum()
        self._totals = batch_totals if self._totals is None else self._totals + batch_totals

    def merge(self, other: FleetSummary) -> None:
        """Add the summary of later stores. The sums do not depend on who adds them up."""
        self.metrics += other.metrics
        self.metrics_us += other.metrics_us
        self.events += other.events
        self.slo += other.slo
        self.down_now += other.down_now
        self.by_hour_rows += other.by_hour_rows
        if self.first_by_hour.empty:
            self.first_by_hour = other.first_by_hour
        self.open_minutes += other.open_minutes
        self.downtime_minutes += other.downtime_minutes
        self.stores_exceeding_open_time += other.stores_exceeding_open_time
        self.targets_met += other.targets_met
        self.targets_known += other.targets_known
        self.stores_now += other.stores_now
        if self._totals is None:
            self._totals = other._totals
        elif other._totals is not None:
            self._totals = self._totals + other._totals

    @property
    def store_count(self) -> int:
        """Return the number of stores in the report."""
        return sum(map(len, self.metrics))

    @property
    def widest_window(self) -> str:
        """Return the suffix of the window with the most open time."""
        return max(
            (window.suffix for window in self.request.windows),
            key=lambda window: self.total_us("open_time", window),
        )

    @property
    def span(self) -> tuple[datetime, datetime]:
        """Return the span of the windows of all stores; calendar windows may end before as_of."""
        if not self.store_count:
            return self.request.span
        start, end = self._spans()
        first, last = to_timestamps(np.array([start.min(), end.max()]))
        return first.to_pydatetime(), last.to_pydatetime()

    @property
    def reaches_as_of(self) -> bool:
        """Return whether the windows of every store reach as_of, as the current status requires."""
        as_of = to_microsecond(self.request.as_of)
        return not (self.store_count and (self._spans()[1] < as_of).any())

    @property
    def ongoing_events(self) -> int | None:
        """Return the number of ongoing events; None if the windows end before as_of."""
        if not self.reaches_as_of:
            return None
        return sum(int(events["ongoing"].sum()) for events in self.events)

    @property
    def stores_down(self) -> int | None:
        """Return the number of open stores that are down at as_of; None if windows end earlier."""
        return self.stores_now[CurrentStatus.DOWN] if self.reaches_as_of else None

    def _spans(self) -> tuple[Int, Int]:
        """Return the start and end of the windows in each time zone of the stores."""
        zones = pd.concat([metrics["timezone"] for metrics in self.metrics]).unique()
        return self.request.per_store_spans(pd.Series(zones))

    @property
    def duplicate_rows(self) -> int:
        """Return the number of rows that are duplicate or out of order."""
        ids = pd.concat([metrics["store_id"] for metrics in self.metrics], ignore_index=True)
        return int((ids.iloc[1:].to_numpy() <= ids.iloc[:-1].to_numpy()).sum())

    def total_us(self, figure: str, window: str) -> int:
        """Return a figure of all stores together, in microseconds.

        Parameters
        ----------
        figure : str
            ``uptime``, ``downtime``, ``unobserved`` or ``open_time``.
        window : str
            The suffix of the window.
        """
        return 0 if self._totals is None else int(self._totals[f"{figure}_{window}"])

    def total_hours(self, figure: str, window: str) -> float:
        """Return a figure of all stores together, in hours."""
        return self.total_us(figure, window) / HOUR

    def uptime_pct(self, window: str) -> float | None:
        """Return the total uptime as a percentage of the total observed open time, or None."""
        observed = self.total_hours("uptime", window) + self.total_hours("downtime", window)
        return round(100 * self.total_hours("uptime", window) / observed, 2) if observed else None


def _exceeds_open_time(exact: pd.DataFrame, request: ReportRequest) -> npt.NDArray[np.bool_]:
    """Return which stores have a negative figure, or uptime and downtime above open time."""
    wrong = np.zeros(len(exact), dtype=bool)
    for window in request.windows:
        for figure in ("uptime", "downtime", "unobserved"):
            wrong |= (exact[f"{figure}_{window.suffix}"] < 0).to_numpy()
    return wrong
