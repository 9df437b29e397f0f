"""Service levels: SLO targets, error budgets, MTTR, MTBF and outages of each store and window.

A target (SLO) is the minimum uptime, as a percentage of observed open time. The error budget is the
downtime that the target allows. An outage is downtime without uptime in between. Closing time does
not end it, so an outage may consist of several downtime events.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from storemon_pipeline.uptime.downtime import label_outages
from storemon_pipeline.uptime.interval_arithmetic import Int
from storemon_pipeline.uptime.metrics import ObservedTime, round_to_hundredths
from storemon_pipeline.uptime.report_request import ReportRequest
from storemon_pipeline.uptime.rules import HOUR

_SCALE = 100_000  # a target has three decimals of a percent
_MINUTE = HOUR // 60
_Float = npt.NDArray[np.float64]


def service_levels(
    stores: pd.DataFrame, time: ObservedTime, exact: pd.DataFrame, request: ReportRequest
) -> pd.DataFrame:
    """Compute the service levels of each store and window.

    Parameters
    ----------
    stores : DataFrame
        ``store_id``, ``timezone``, ``target_pct`` (float64, 0 to 100, at most three decimals).
    time : ObservedTime
        For the same stores and request.
    exact : DataFrame
        Result of :func:`~storemon_pipeline.uptime.metrics.compute_metrics` for the same.
    request : ReportRequest

    Returns
    -------
    DataFrame
        ``target_pct``; then for each window, with its suffix: ``met_`` (boolean, NA where nothing
        was observed), ``downtime_budget_`` and ``budget_left_`` (error budget and its remainder,
        float64, in the unit of the window's figures; negative if over budget), ``outages_``
        (int64), ``mean_minutes_to_recovery_`` (MTTR, of outages with uptime after them in the
        window), ``mean_hours_between_outages_`` (MTBF, uptime per outage) and
        ``longest_outage_minutes_`` (float64, NaN without outages). The length of an outage is its
        downtime.
    """
    number, up_again = label_outages(time.down, time.up, time.key)
    columns: dict[str, object] = {"target_pct": stores["target_pct"].to_numpy()}
    for window in request.windows:
        name = window.suffix
        up, downtime = (exact[f"{figure}_{name}"].to_numpy() for figure in ("uptime", "downtime"))
        budget = downtime_budget(up + downtime, stores["target_pct"])
        columns[f"met_{name}"] = pd.arrays.BooleanArray(downtime <= budget, mask=up + downtime == 0)
        columns[f"downtime_budget_{name}"] = round_to_hundredths(budget, window.unit) / 100
        remaining = budget - downtime
        columns[f"budget_left_{name}"] = round_to_hundredths(remaining, window.unit) / 100

        start, end = request.bounds(window, stores["timezone"])
        down = time.down
        within = (down.start < end[down.code]) & (down.end > start[down.code])
        cut = down.take(within).clip(start[down.code[within]], end[down.code[within]])
        _, first, outage = np.unique(number[within], return_index=True, return_inverse=True)
        code = cut.code[first]
        # sums stay far below 2**53 microseconds (285 years), so float weights are exact
        length = np.bincount(outage, weights=cut.end - cut.start).astype(np.int64)
        # all intervals of an outage are followed by the same uptime
        recovers = up_again[within][first] < end[code]
        count = np.bincount(code, minlength=len(stores))
        recovered = np.bincount(code[recovers], minlength=len(stores))
        recovery_time = np.bincount(
            code[recovers], weights=length[recovers], minlength=len(stores)
        ).astype(np.int64)
        longest = np.zeros(len(stores), dtype=np.int64)
        np.maximum.at(longest, code, length)
        columns[f"outages_{name}"] = count
        columns[f"mean_minutes_to_recovery_{name}"] = _mean_in_unit(
            recovery_time, recovered, _MINUTE
        )
        columns[f"mean_hours_between_outages_{name}"] = _mean_in_unit(up, count, HOUR)
        columns[f"longest_outage_minutes_{name}"] = _mean_in_unit(
            longest, np.minimum(count, 1), _MINUTE
        )
    return pd.DataFrame(columns)


def downtime_budget(observed: Int, target_pct: pd.Series) -> Int:
    """Compute the error budget of each store in microseconds, rounded down.

    Parameters
    ----------
    observed : int64 array, shape (stores,)
        Observed open time in microseconds.
    target_pct : Series of float64, shape (stores,)
        0 to 100, at most three decimals.
    """
    target = np.rint(target_pct.to_numpy(np.float64) * (_SCALE // 100)).astype(np.int64)
    return _mul_div(observed, _SCALE - target)


def _mul_div(whole: Int, part: Int) -> Int:
    """Return ``whole * part / _SCALE``, rounded down; the product may exceed 64 bits.

    Examples
    --------
    >>> _mul_div(np.array([1_000_001]), np.array([500])).tolist()
    [5000]
    """
    times, rest = np.divmod(whole, _SCALE)
    return times * part + rest * part // _SCALE


def _mean_in_unit(total: Int, count: Int, unit: int) -> _Float:
    """Return ``total / count`` in a unit, to two decimals; NaN where ``count`` is 0."""
    some = count > 0
    return np.where(some, round_to_hundredths(total, np.where(some, count, 1) * unit) / 100, np.nan)
