"""Figures of past reports, from their stored metrics: histories, comparisons, downtime by hour."""

from __future__ import annotations

import numpy as np
import pandas as pd

from storemon_pipeline.uptime.metrics import percentage, round_to_hundredths
from storemon_pipeline.uptime.rules import HOUR

METRICS = ("uptime", "downtime", "unobserved")
"""Metrics that are stored of each report, in microseconds."""


def history_figures(metrics: pd.DataFrame) -> pd.DataFrame:
    """Derive the figures of a history, one row per report.

    Parameters
    ----------
    metrics : DataFrame
        ``report_id``, ``as_of``, ``start``, and the :data:`METRICS` (int64, microseconds).

    Returns
    -------
    DataFrame
        ``report_id``, ``as_of``, ``start``; ``uptime_pct`` (float64, two decimals, NaN where
        nothing was observed); ``uptime_hours``, ``downtime_hours``, ``unobserved_hours`` (float64,
        two decimals). In the order of the input.
    """
    hours = {
        f"{figure}_hours": round_to_hundredths(metrics[figure].to_numpy(), HOUR) / 100
        for figure in METRICS
    }
    return metrics[["report_id", "as_of", "start"]].assign(uptime_pct=_uptime_pct(metrics), **hours)


def compare_uptime(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """Compare the uptime of each store in two reports.

    Parameters
    ----------
    a, b : DataFrame
        ``store_id``, ``uptime``, ``downtime`` (int64, microseconds), one row per store.

    Returns
    -------
    DataFrame
        ``store_id``, ``uptime_pct_a``, ``uptime_pct_b``, ``change`` (b - a, percentage points, two
        decimals): one row per store of either report, the largest decrease first. NaN, and last,
        if a report lacks the store or observed nothing.
    """
    of_a, of_b = (
        metrics[["store_id"]].assign(uptime_pct=_uptime_pct(metrics)) for metrics in (a, b)
    )
    both = of_a.merge(of_b, on="store_id", how="outer", suffixes=("_a", "_b"))
    both["change"] = (both["uptime_pct_b"] - both["uptime_pct_a"]).round(2)
    return both.sort_values(["change", "store_id"], ignore_index=True)


def hour_figures(hours: pd.DataFrame) -> pd.DataFrame:
    """Add the share of downtime to open time and downtime by local hour.

    Parameters
    ----------
    hours : DataFrame
        ``open_minutes`` (above 0), ``downtime_minutes`` (float64).

    Returns
    -------
    DataFrame
        With ``downtime_pct`` (float64); all of them with two decimals.
    """
    share = 100 * hours["downtime_minutes"] / hours["open_minutes"]
    return hours.assign(downtime_pct=share).round(2)


def _uptime_pct(metrics: pd.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    up, down = (metrics[figure].to_numpy(np.int64) for figure in ("uptime", "downtime"))
    return percentage(up, up + down)
