"""Whether a store met its target, window by window, for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from storemon_pipeline.pages.layout import hours_text, in_words
from storemon_pipeline.uptime.request import ReportRequest
from storemon_pipeline.uptime.rules import HOUR

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


def levels_of(levels: pd.DataFrame, request: ReportRequest) -> list[Level]:
    """The service levels of a store, a window each.

    Parameters
    ----------
    levels : DataFrame
        Of :func:`~storemon_pipeline.uptime.service_levels.service_levels`, for one store.
    request : ReportRequest
    """
    row = levels.iloc[0]
    return [
        Level(
            in_words(window.column),
            row["target_pct"],
            None if pd.isna(met := row[f"met_{window.column}"]) else bool(met),
            # the last hour's figures are minutes
            row[f"downtime_budget_{window.column}"] * window.unit / HOUR,
            row[f"budget_left_{window.column}"] * window.unit / HOUR,
            int(row[f"outages_{window.column}"]),
            known(row[f"mean_minutes_to_recovery_{window.column}"]),
            known(row[f"mean_hours_between_outages_{window.column}"]),
            known(row[f"longest_outage_minutes_{window.column}"]),
        )
        for window in request.windows
    ]


def known(value: Any) -> float | None:
    """A figure; None where there is none."""
    return None if pd.isna(value) else float(value)


def budget_text(hours: float) -> str:
    """A part of a downtime budget: of few minutes a tenth counts.

    Examples
    --------
    >>> [budget_text(hours) for hours in (0.0, 0.01, 0.24, 28.6)]
    ['0 min', '0.6 min', '14 min', '28.6 h']
    """
    sign, length = _MINUS if hours < 0 else "", abs(hours)
    minutes = round(60 * length, 1)
    if minutes < _FEW_MINUTES:
        return f"{sign}{minutes:g} min" if minutes else "0 min"
    return f"{sign}{hours_text(length)}"
