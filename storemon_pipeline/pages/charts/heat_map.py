"""Heat map of downtime by local weekday and hour."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from storemon_pipeline.pages.charts.axes import HOUR_AXIS, ROW_HEIGHT
from storemon_pipeline.pages.formatting import format_duration
from storemon_pipeline.pages.timeline import WEEKDAYS
from storemon_pipeline.pages.vega import Chart, render_chart

HEAT_CLASSES = 6


def heat_map(
    open_minutes: npt.NDArray[np.float64],
    downtime_minutes: npt.NDArray[np.float64],
    *,
    subject: str,
) -> Chart:
    """Chart the share of open time that was downtime, by local weekday and hour.

    Parameters
    ----------
    open_minutes, downtime_minutes : float64 arrays, shape (7, 24)
        One row per weekday, from Monday.
    subject : str
        End of the title.
    """
    share = np.full((7, 24), np.nan)
    np.divide(100 * downtime_minutes, open_minutes, out=share, where=open_minutes > 0)
    cells = np.argwhere(~np.isnan(share))
    limits = heat_map_bins(float(np.nanmax(share)) if len(cells) else 0.0)
    names = ["none", *(f"≤ {limit:g} %" for limit in limits[1:]), f"> {limits[-1]:g} %"]
    rows = [
        {
            "day": WEEKDAYS[day],
            "hour": int(hour),
            "to": int(hour) + 1,
            "class": names[int(np.searchsorted(limits, share[day, hour]))],
            "label": f"{WEEKDAYS[day]} {hour:02}-{hour + 1:02}: {share[day, hour]:.1f} % of "
            f"{format_duration(float(open_minutes[day, hour]))} open",
        }
        for day, hour in cells
    ]
    colour = {
        "field": "class",
        "type": "ordinal",
        "scale": {
            "domain": names,
            "range": [f"var(--heat-{step})" for step in range(HEAT_CLASSES)],
        },
        "legend": {
            "title": None,
            "orient": "bottom",
            "columns": HEAT_CLASSES,
            "columnPadding": 12,
            "symbolType": "square",
            "symbolStrokeWidth": 0,
        },
    }
    spec = {
        "height": 7 * ROW_HEIGHT,
        "data": {"values": rows},
        "mark": {"type": "rect", "stroke": "var(--card)", "strokeWidth": 1},
        "encoding": {
            "x": {
                "field": "hour",
                "type": "quantitative",
                "scale": {"domain": [0, 24], "nice": False},
                "axis": HOUR_AXIS | {"title": "local hour", "grid": False},
            },
            "x2": {"field": "to"},
            "y": {
                "field": "day",
                "type": "ordinal",
                "scale": {"domain": WEEKDAYS},
                "axis": {"title": None, "ticks": False, "domain": False},
            },
            "color": colour,
            "description": {"field": "label"},
        },
    }
    description = "No downtime."
    if len(cells) and np.nanmax(share) > 0:
        day, hour = np.unravel_index(np.nanargmax(share), share.shape)
        description = (
            f"Worst: {WEEKDAYS[int(day)]} from {hour:02}:00 to {hour + 1:02}:00, "
            f"{share[day, hour]:.1f} % of open time."
        )
    return render_chart("heat-map", f"Downtime, % of open time, {subject}", description, spec)


def heat_map_bins(highest: float) -> list[float]:
    """Return the upper limits of the heat map's colours, as round percentages.

    The first colour is for hours with practically no downtime.

    Examples
    --------
    >>> heat_map_bins(22.0), heat_map_bins(0.0)
    ([0.01, 5.0, 10.0, 15.0, 20.0], [0.01, 0.1, 0.2, 0.3, 0.4])
    """
    steps = HEAT_CLASSES - 2
    for step in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0):
        if highest <= step * (steps + 1):
            break
    return [0.01, *(round(step * number, 2) for number in range(1, steps + 1))]
