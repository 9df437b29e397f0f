"""Uptime, downtime and unobserved time of each store and window.

Only this module sums and rounds them. :mod:`.downtime` has the times at which a store was down.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from storemon_pipeline.uptime.interval_arithmetic import (
    CumulativeDuration,
    Int,
    Intervals,
    StoreTimeKey,
    intersect,
)
from storemon_pipeline.uptime.report_request import ReportRequest
from storemon_pipeline.uptime.status_intervals import StatusIntervals


@dataclass(frozen=True, slots=True)
class ObservedTime:
    """Open time of stores over the span of a request, and the observed part of it.

    Input of both the metrics and the outages.

    Attributes
    ----------
    key : StoreTimeKey
    open, up, down : Intervals
        ``up`` and ``down`` lie within ``open``; each of their intervals is within one open interval
        and maximal.
    """

    key: StoreTimeKey
    open: Intervals
    up: Intervals
    down: Intervals


def observe_open_time(
    is_open: Intervals, status: StatusIntervals, key: StoreTimeKey
) -> ObservedTime:
    """Intersect status intervals with open time.

    Parameters
    ----------
    is_open : Intervals
        As of :meth:`~storemon_pipeline.uptime.opening_hours.OpeningSchedule.intervals`.
    status : StatusIntervals
    key : StoreTimeKey
        Covers the span of both.
    """
    pieces, _, from_status = intersect(is_open, status.intervals, key)
    active = status.active[from_status]
    return ObservedTime(key, is_open, pieces.take(active), pieces.take(~active))


def round_to_hundredths(amount: Int, unit: Int | int) -> Int:
    """Divide ``amount`` by ``unit`` in hundredths, rounded half up, in exact integer arithmetic.

    Examples
    --------
    >>> round_to_hundredths(np.array([1_000_000, 3_600_000_000]), 3_600_000_000).tolist()
    [0, 100]
    """
    return (200 * amount + unit) // (2 * np.asarray(unit, dtype=np.int64))


def compute_metrics(
    time: ObservedTime, request: ReportRequest, stores: pd.DataFrame
) -> pd.DataFrame:
    """Compute uptime, downtime and open time of each store and window, in microseconds, unrounded.

    Returns
    -------
    DataFrame of int64, one row per store
        For each window ``uptime_…``, ``downtime_…``, ``unobserved_…`` and ``open_time_…`` + the
        suffix of the window; the first three add up to the fourth exactly.
    """
    code = np.arange(len(stores))
    measures = {
        "open_time": CumulativeDuration(time.open, time.key),
        "uptime": CumulativeDuration(time.up, time.key),
        "downtime": CumulativeDuration(time.down, time.key),
    }
    columns: dict[str, Int] = {}
    for window in request.windows:
        start, end = request.bounds(window, stores["timezone"])
        lengths = {name: of.between(code, start, end) for name, of in measures.items()}
        lengths["unobserved"] = lengths["open_time"] - lengths["uptime"] - lengths["downtime"]
        for name in ("uptime", "downtime", "unobserved", "open_time"):
            columns[f"{name}_{window.suffix}"] = lengths[name]
    return pd.DataFrame(columns, copy=False)


def round_metrics(
    stores: pd.DataFrame, exact: pd.DataFrame, request: ReportRequest
) -> pd.DataFrame:
    """Round the metrics of each store for ``report_full.csv`` (Figures).

    Parameters
    ----------
    stores : DataFrame
        ``store_id``, ``timezone``, ``last_poll_utc``, one row per store.
    exact : DataFrame
        Result of :func:`compute_metrics` for the same stores.
    request : ReportRequest

    Returns
    -------
    DataFrame
        ``store_id``; for each window ``uptime_``, ``downtime_``, ``unobserved_`` (float64, minutes
        for the hour, else hours, two decimals) and ``uptime_pct_`` (float64, NaN where nothing was
        observed) + the suffix of the window; ``last_poll_utc``; ``timezone``.
    """
    columns: dict[str, object] = {"store_id": stores["store_id"].to_numpy()}
    for window in request.windows:
        name = window.suffix
        for figure in ("uptime", "downtime", "unobserved"):
            amount = exact[f"{figure}_{name}"].to_numpy()
            columns[f"{figure}_{name}"] = round_to_hundredths(amount, window.unit) / 100
        columns[f"uptime_pct_{name}"] = percentage(
            exact[f"uptime_{name}"].to_numpy(),
            (exact[f"uptime_{name}"] + exact[f"downtime_{name}"]).to_numpy(),
        )
    columns["last_poll_utc"] = stores["last_poll_utc"].to_numpy()
    columns["timezone"] = stores["timezone"].to_numpy()
    report = pd.DataFrame(columns)
    report["last_poll_utc"] = stores["last_poll_utc"].reset_index(drop=True)
    return report


def percentage(part: Int, whole: Int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return ``100 * part / whole`` rounded to two decimals, NaN where ``whole`` is 0.

    Examples
    --------
    >>> century = 36_525 * 86_400_000_000
    >>> percentage(np.array([century - 1, 1, 0]), np.array([century, 3, 0])).tolist()
    [100.0, 33.33, nan]
    """
    some = whole > 0
    whole = np.where(some, whole, 1)
    # in two steps: ten thousand times more than fourteen years exceeds 64 bits
    percents, rest = np.divmod(100 * part, whole)
    return np.where(some, (100 * percents + round_to_hundredths(rest, whole)) / 100, np.nan)
