"""Rows of a store's service level table: SLO target, error budget, MTTR and MTBF per window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from storemon_pipeline.pages.formatting import window_label
from storemon_pipeline.uptime.report_request import ReportRequest
from storemon_pipeline.uptime.rules import HOUR
from storemon_pipeline.uptime.slo import downtime_budget
from storemon_pipeline.uptime.windows import Window


@dataclass(frozen=True, slots=True)
class SloRow:
    """The service level of a store in one window.

    Attributes
    ----------
    window : str
        Label of the window.
    target : float
        Percent.
    met : bool or None
        None without observed open time.
    budget, left : float
        Error budget and its remainder, in hours; the remainder is negative when over budget.
    outages : int
    mttr, longest : float or None
        Mean time to recovery and longest outage, in minutes; None without an outage.
    mtbf : float or None
        Mean uptime between outages, in hours.
    """

    window: str
    target: float
    met: bool | None
    budget: float
    left: float
    outages: int
    mttr: float | None
    mtbf: float | None
    longest: float | None

    @property
    def down(self) -> float:
        """Return the downtime in hours."""
        return self.budget - self.left


def slo_rows(levels: pd.DataFrame, exact: pd.DataFrame, request: ReportRequest) -> list[SloRow]:
    """Return the service level of a store in each window.

    Parameters
    ----------
    levels : DataFrame
        Result of :func:`~storemon_pipeline.uptime.slo.service_levels` for one store.
    exact : DataFrame
        Result of :func:`~storemon_pipeline.uptime.metrics.compute_metrics`: rounded figures lack
        the seconds that matter in the error budget of a short window.
    request : ReportRequest
    """
    return [_level(window, levels, exact) for window in request.windows]


def _level(window: Window, levels: pd.DataFrame, exact: pd.DataFrame) -> SloRow:
    name, row = window.suffix, levels.iloc[0]
    up, down = (exact[f"{figure}_{name}"].to_numpy()[:1] for figure in ("uptime", "downtime"))
    budget = downtime_budget(up + down, levels["target_pct"].head(1))
    met = row[f"met_{name}"]
    return SloRow(
        window_label(name),
        row["target_pct"],
        None if pd.isna(met) else bool(met),
        int(budget[0]) / HOUR,
        int(budget[0] - down[0]) / HOUR,
        int(row[f"outages_{name}"]),
        none_if_nan(row[f"mean_minutes_to_recovery_{name}"]),
        none_if_nan(row[f"mean_hours_between_outages_{name}"]),
        none_if_nan(row[f"longest_outage_minutes_{name}"]),
    )


def none_if_nan(value: Any) -> float | None:
    """Return a number, or None for a missing value."""
    return None if pd.isna(value) else float(value)
