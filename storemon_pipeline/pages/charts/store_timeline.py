"""Timeline of a store: one row of bars per local day."""

from __future__ import annotations

from typing import Any

import pandas as pd

from storemon_pipeline.pages.charts.axes import HOUR_AXIS, ROW_HEIGHT
from storemon_pipeline.pages.formatting import format_duration, format_local_time
from storemon_pipeline.pages.timeline import CLOSED, DOWN, UNOBSERVED, UP
from storemon_pipeline.pages.vega import Chart, render_chart


def store_timeline(bars: pd.DataFrame, timezone: str) -> Chart:
    """Chart when a store was up, down, unobserved and closed, one row per local day.

    Parameters
    ----------
    bars : DataFrame
        Result of :func:`~storemon_pipeline.pages.timeline.timeline`.
    timezone : str
        Time zone of the store.
    """
    minutes = (bars["to_hour"] - bars["from_hour"]) * 60
    labelled = bars.assign(
        label=[
            f"{state}: {format_local_time(start, timezone)} to {format_local_time(end, timezone)}, "
            f"{format_duration(length)}"
            for state, start, end, length in zip(
                bars["state"], bars["start_utc"], bars["end_utc"], minutes, strict=True
            )
        ]
    )
    days = bars["day"].unique().tolist()
    rows = labelled[["day", "from_hour", "to_hour", "state", "label"]].to_dict("records")
    last = max(24.0, float(bars["to_hour"].max()))

    def layer(state: str, band: float) -> dict[str, Any]:
        # the height shows the state in addition to the colour
        return {
            "transform": [{"filter": {"field": "state", "equal": state}}],
            "mark": {"type": "bar", "color": f"var(--{state})", "height": {"band": band}},
        }

    spec = {
        "height": ROW_HEIGHT * len(days),
        "data": {"values": rows},
        "encoding": {
            "x": {
                "field": "from_hour",
                "type": "quantitative",
                "scale": {"domain": [0, last], "nice": False},
                "axis": HOUR_AXIS | {"title": None, "orient": "top", "grid": True},
            },
            "x2": {"field": "to_hour"},
            "y": {
                "field": "day",
                "type": "ordinal",
                "scale": {"domain": days, "padding": 0.2},
                "axis": {"title": None, "ticks": False, "domain": False},
            },
            "description": {"field": "label"},
        },
        "layer": [layer(CLOSED, 0.12), layer(UP, 0.7), layer(UNOBSERVED, 0.4), layer(DOWN, 1)],
    }
    hours = {state: minutes[bars["state"] == state].sum() for state in (UP, DOWN, UNOBSERVED)}
    summary = ", ".join(
        f"{state} for {format_duration(total) if total else 'no time'}"
        for state, total in hours.items()
    )
    return render_chart(
        "timeline", f"The last week ({timezone})", f"While open, the store was {summary}.", spec
    )
