"""Number of stores down at once, over time."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd

from storemon_pipeline.pages.charts.axes import count_axis, time_axis
from storemon_pipeline.pages.vega import Chart, render_chart

TIMELINE_POINTS = 300


def stores_down(events: pd.DataFrame, span: tuple[datetime, datetime]) -> Chart:
    """Chart the number of stores that are down, over time.

    Parameters
    ----------
    events : DataFrame
        ``start_utc``, ``end_utc`` of each downtime event; may be empty.
    span : tuple of datetime
        Start and end of the time axis.
    """
    # an ongoing event ends at the end of the span, so the last point is just before it; the number
    # of points does not depend on the number of events
    last = span[1] - timedelta(microseconds=1)
    points = pd.date_range(span[0], last, periods=TIMELINE_POINTS, unit="us")
    moments = points.tz_localize(None).to_numpy()
    starts, ends = _sorted_utc(events["start_utc"]), _sorted_utc(events["end_utc"])

    def down_at(instants: npt.NDArray[np.datetime64]) -> npt.NDArray[np.int64]:
        begin, end = (np.searchsorted(times, instants, side="right") for times in (starts, ends))
        return begin - end

    # the count peaks at the start of an event; each point shows the peak until the next point
    down, at_starts = down_at(moments), down_at(starts)
    at_end = int(down[-1])
    np.maximum.at(down, np.searchsorted(moments, starts, side="right") - 1, at_starts)
    rows = [
        {"at": int(at), "stores": int(stores)}
        for at, stores in zip(moments.astype("datetime64[ms]").astype(int), down, strict=True)
    ]
    spec = {
        "data": {"values": rows},
        "mark": {
            "type": "area",
            "interpolate": "step-after",
            "color": "var(--down)",
            "fillOpacity": 0.55,
            "line": {"color": "var(--down)", "strokeWidth": 1},
        },
        "encoding": {
            "x": time_axis("at", span[1] - span[0]),
            "y": count_axis(int(down.max())),
        },
    }
    description = "No store was down."
    if len(starts):
        peak = int(at_starts.argmax())
        when = pd.Timestamp(starts[peak])
        description = (
            f"Peak: {at_starts[peak]:,} on {when:%a %-d %b %H:%M} UTC; {at_end:,} at the end."
        )
    return render_chart("stores-down", "Stores down while open (UTC)", description, spec)


def _sorted_utc(instants: pd.Series) -> npt.NDArray[np.datetime64]:
    naive = pd.DatetimeIndex(instants).tz_convert("UTC").tz_localize(None)
    return np.sort(naive.to_numpy())
