"""Summary of a report for the log."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from upath import UPath

from storemon_pipeline.pages.quality_notices import DataQuality, quality_lines
from storemon_pipeline.uptime.current_status import CurrentStatus
from storemon_pipeline.uptime.fleet import FULL_UPTIME_PCT, FleetSummary
from storemon_pipeline.uptime.messages import pluralize

WORST = 5


def worst_stores(figures: pd.DataFrame, window: str) -> pd.DataFrame:
    """Return the stores with the lowest uptime in a window, below 100 %, lowest first."""
    uptime_pct = f"uptime_pct_{window}"
    return figures[figures[uptime_pct] < FULL_UPTIME_PCT].nsmallest(WORST, uptime_pct)


def report_summary(
    fleet: FleetSummary, directory: UPath, files: Sequence[str], quality: DataQuality
) -> str:
    """Summarize a report in a few lines of text.

    Parameters
    ----------
    fleet : FleetSummary
    directory : UPath
        Directory of the report's files.
    files : sequence of str
        File names.
    quality : DataQuality

    Returns
    -------
    str
        Number of stores, fleet uptime in each window, the worst stores in the widest window, notes
        on data quality, and the files.
    """
    as_of, stores_down = fleet.request.as_of.isoformat(), fleet.stores_down
    now = ""
    if stores_down is not None:  # None if no window ends at as_of
        now = f", {stores_down:,} of them down while open"
        if no_data := fleet.stores_now[CurrentStatus.NO_DATA]:
            now += f", {no_data:,} open without a recent poll"
    lines = [f"{pluralize(fleet.store_count, 'store')} as of {as_of}{now}"]
    for window in (window.suffix for window in fleet.request.windows):
        pct = fleet.uptime_pct(window)
        share = "nothing observed" if pct is None else f"{pct:.2f} % up"
        lengths = ", ".join(
            f"{fleet.total_hours(figure, window):,.2f} h {figure}"
            for figure in ("uptime", "downtime", "unobserved")
        )
        lines.append(f"{window}: {share} ({lengths})")
    window = fleet.widest_window
    figures = pd.concat(fleet.metrics, ignore_index=True)
    worst = worst_stores(figures, window)
    worst_texts = [
        f"{store} {pct:.2f} %"
        for store, pct in zip(worst["store_id"], worst[f"uptime_pct_{window}"], strict=True)
    ]
    if worst_texts:
        lines.append(f"worst in {window}: {', '.join(worst_texts)}")
    elif figures[f"uptime_pct_{window}"].notna().any():
        lines.append(f"worst in {window}: no store is below 100 %")
    lines += quality_lines(quality)
    lines.append(f"files in {directory}: {', '.join(files)}")
    return "\n".join(lines)
