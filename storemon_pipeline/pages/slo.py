"""Whether a store met its target, window by window, for people."""

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
    """A store's service level in a window.

    Attributes
    ----------
    window : str
        In words.
    target : float
        Percent.
    met : bool or None
        None where nothing was observed.
    budget, left : float
        Hours that it may be down, and what is left of them; less than nothing: overdrawn.
    outages : int
    recovery, longest : float or None
        Minutes; None where there is no outage to tell of.
    between : float or None
        Hours of uptime.
    """

    window: str
    target: float
    met: bool | None
    budget: float
    left: float
    outages: int
    recovery: float | None
    between: float | None
    longest: float | None

    @property
    def down(self) -> float:
        """Hours that it was down."""
        return self.budget - self.left


def slo_rows(levels: pd.DataFrame, exact: pd.DataFrame, request: ReportRequest) -> list[SloRow]:
    """The service levels of a store, a window each.

    Parameters
    ----------
    levels : DataFrame
        Of :func:`~storemon_pipeline.uptime.slo.service_levels`, for one store.
    exact : DataFrame
        Of :func:`~storemon_pipeline.uptime.metrics.compute_metrics`: of a short window, seconds of
        its budget count, which the rounded figures do not have.
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
    """A figure; None where there is none."""
    return None if pd.isna(value) else float(value)
