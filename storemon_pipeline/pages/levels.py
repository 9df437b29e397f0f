"""Whether a store met its target, window by window, for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from storemon_pipeline.pages.layout import hours_text, in_words
from storemon_pipeline.uptime.request import ReportRequest
from storemon_pipeline.uptime.rules import HOUR
from storemon_pipeline.uptime.service_levels import downtime_budget
from storemon_pipeline.uptime.windows import Window

_A_MINUTE = 60
_FEW_MINUTES = 10
_MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True, slots=True)
class Level:
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


def levels_of(levels: pd.DataFrame, exact: pd.DataFrame, request: ReportRequest) -> list[Level]:
    """The service levels of a store, a window each.

    Parameters
    ----------
    levels : DataFrame
        Of :func:`~storemon_pipeline.uptime.service_levels.service_levels`, for one store.
    exact : DataFrame
        Of :func:`~storemon_pipeline.uptime.report.exact_figures`: of a short window, seconds of its
        budget count, which the rounded figures do not have.
    request : ReportRequest
    """
    return [_level(window, levels, exact) for window in request.windows]


def _level(window: Window, levels: pd.DataFrame, exact: pd.DataFrame) -> Level:
    name, row = window.column, levels.iloc[0]
    up, down = (exact[f"{figure}_{name}"].to_numpy()[:1] for figure in ("uptime", "downtime"))
    budget = downtime_budget(up + down, levels["target_pct"].head(1))
    met = row[f"met_{name}"]
    return Level(
        in_words(name),
        row["target_pct"],
        None if pd.isna(met) else bool(met),
        int(budget[0]) / HOUR,
        int(budget[0] - down[0]) / HOUR,
        int(row[f"outages_{name}"]),
        known(row[f"mean_minutes_to_recovery_{name}"]),
        known(row[f"mean_hours_between_outages_{name}"]),
        known(row[f"longest_outage_minutes_{name}"]),
    )


def known(value: Any) -> float | None:
    """A figure; None where there is none."""
    return None if pd.isna(value) else float(value)


def budget_text(hours: float) -> str:
    """A part of a downtime budget: of less than a minute the seconds count.

    Examples
    --------
    >>> [budget_text(hours) for hours in (0.0, 0.0001, 0.004, 0.01, 0.24, 28.6)]
    ['0 min', 'under 1 s', '14 s', '36 s', '14 min', '28.6 h']
    """
    sign, length = _MINUS if hours < 0 else "", abs(hours)
    seconds = 3600 * length
    if 0 < seconds < 1:
        return f"{sign}under 1 s"
    if 0 < seconds < _A_MINUTE:
        return f"{sign}{seconds:.0f} s"
    if seconds < _FEW_MINUTES * _A_MINUTE:
        return f"{sign}{round(seconds / _A_MINUTE, 1):g} min"
    return f"{sign}{hours_text(length)}"
