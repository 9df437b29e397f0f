"""Uptime from report to report."""

from __future__ import annotations

import numpy as np
import pandas as pd

from storemon_pipeline.pages.charts.axes import time_axis
from storemon_pipeline.pages.vega import Chart, render_chart


def uptime_trend(history: pd.DataFrame) -> Chart | None:
    """Chart uptime from report to report.

    Parameters
    ----------
    history : DataFrame
        ``as_of``, ``uptime_pct`` (NaN without observed open time), oldest first.

    Returns
    -------
    Chart or None
        One point per as_of, from its newest report; None with fewer than two points.
    """
    points = history.drop_duplicates("as_of", keep="last").dropna(subset=["uptime_pct"])
    if len(points) < 2:  # noqa: PLR2004 - one point makes no trend
        return None
    rows = [
        {
            "at": int(at.timestamp() * 1000),
            "uptime": float(uptime),
            "label": f"{at:%-d %b %Y %H:%M} UTC: {uptime:.2f} %",
        }
        for at, uptime in zip(points["as_of"], points["uptime_pct"], strict=True)
    ]
    lowest = float(points["uptime_pct"].min())
    spec = {
        "height": 140,
        "data": {"values": rows},
        "encoding": {
            "x": time_axis("at", points["as_of"].max() - points["as_of"].min()),
            "y": {
                "field": "uptime",
                "type": "quantitative",
                "scale": {"domain": [max(0, np.floor(lowest - 1)), 100]},
                "axis": {"title": "uptime, %", "tickCount": 4},
            },
        },
        "layer": [
            {"mark": {"type": "line", "color": "var(--up)", "strokeWidth": 2}},
            {
                "mark": {"type": "point", "filled": True, "color": "var(--up)", "size": 40},
                "encoding": {"description": {"field": "label"}},
            },
        ],
    }
    description = f"From {rows[0]['label']} to {rows[-1]['label']}."
    return render_chart("trend", f"Last-week uptime in {len(rows):,} reports", description, spec)
