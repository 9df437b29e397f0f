"""Histogram of stores by uptime."""

from __future__ import annotations

import numpy as np
import pandas as pd

from storemon_pipeline.pages.charts.axes import count_axis
from storemon_pipeline.pages.vega import Chart, render_chart
from storemon_pipeline.uptime.messages import pluralize

LOG_SCALE_ABOVE = 100


def uptime_distribution(uptime_pct: pd.Series, window: str) -> Chart:
    """Chart the number of stores by uptime.

    Parameters
    ----------
    uptime_pct : Series of float64
        One value per store; NaN without observed open time.
    window : str
        Label of the window.
    """
    observed = uptime_pct.dropna()
    counts, edges = np.histogram(observed, bins=np.linspace(0, 100, 21))
    rows = [
        {
            "from": low,
            "to": low + 5,
            "stores": int(count),
            "label": f"{low:g} to {low + 5:g} %: {pluralize(int(count), 'store')}",
        }
        for low, count in zip(edges, counts, strict=False)
    ]
    logarithmic = bool(counts.max() > LOG_SCALE_ABOVE)
    x = {
        "field": "from",
        "type": "quantitative",
        "scale": {"domain": [0, 100]},
        "axis": {"title": "uptime, % of observed open time", "grid": False},
    }
    bars = {
        "mark": {"type": "bar", "color": "var(--up)", "binSpacing": 2},
        "encoding": {
            "x": x | {"bin": "binned"},
            "x2": {"field": "to"},
            # most stores are nearly always up; a linear scale would hide the others
            "y": count_axis(int(counts.max()), logarithmic=logarithmic),
            "description": {"field": "label"},
        },
    }
    total = pluralize(len(observed), "store")
    high = f"{(observed >= 95).sum():,} of {total} were up for 95 % or more"  # noqa: PLR2004 - as in the text
    low = f"{(observed < 50).sum():,} for less than half of their observed open time"  # noqa: PLR2004 - as in the text
    scale = " The store axis is logarithmic." if logarithmic else ""
    return render_chart(
        "distribution",
        f"Stores by uptime, {window}",
        f"{high}, {low}.{scale}",
        {"data": {"values": rows}, **bars},
    )
