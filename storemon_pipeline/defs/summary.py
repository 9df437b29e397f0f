"""A report in a few lines, for the log: what a person at a terminal wants to know first."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from upath import UPath

from storemon_pipeline.pages.data_quality import DataQuality, quality_lines
from storemon_pipeline.uptime.fleet import Fleet
from storemon_pipeline.wording import counted

WORST = 5


def worst_stores(figures: pd.DataFrame, window: str) -> pd.DataFrame:
    """The rows of the stores with the least uptime in a window, the worst first."""
    return figures.nsmallest(WORST, f"uptime_pct_{window}")


def report_summary(
    fleet: Fleet, directory: UPath, files: Sequence[str], quality: DataQuality
) -> str:
    """What a report says, in lines of text.

    Parameters
    ----------
    fleet : Fleet
    directory : UPath
        Of the report's files.
    files : sequence of str
        Their names.
    quality : DataQuality

    Returns
    -------
    str
        How many stores, uptime of all together in each window, the worst stores in the widest one,
        what was assumed about the data, and where the files are.
    """
    as_of, ongoing = fleet.request.as_of.isoformat(), fleet.ongoing_events
    # windows that ended before as_of do not tell how it is then
    down = "" if ongoing is None else f", {ongoing:,} of them down while open"
    lines = [f"{counted(fleet.stores, 'store')} as of {as_of}{down}"]
    for window in (window.column for window in fleet.request.windows):
        pct = fleet.uptime_pct(window)
        share = "nothing observed" if pct is None else f"{pct:.2f} % up"
        lengths = ", ".join(
            f"{fleet.hours(figure, window):,.2f} h {figure}"
            for figure in ("uptime", "downtime", "unobserved")
        )
        lines.append(f"{window}: {share} ({lengths})")
    window = fleet.widest_window
    figures = pd.concat(fleet.figures, ignore_index=True)
    worst = worst_stores(figures[figures[f"uptime_pct_{window}"].notna()], window)
    shown = [
        f"{store} {pct:.2f} %"
        for store, pct in zip(worst["store_id"], worst[f"uptime_pct_{window}"], strict=True)
    ]
    if shown:
        lines.append(f"worst in {window}: {', '.join(shown)}")
    lines += quality_lines(quality)
    lines.append(f"files in {directory}: {', '.join(files)}")
    return "\n".join(lines)
