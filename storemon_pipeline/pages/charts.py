"""Vega-Lite specifications of the charts on the pages and in Dagster's UI."""

from __future__ import annotations

from datetime import datetime, timedelta
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from storemon_pipeline.pages.formatting import format_duration, format_local_time
from storemon_pipeline.pages.timeline import CLOSED, DOWN, UNOBSERVED, UP, WEEKDAYS
from storemon_pipeline.pages.vega import Chart, render_chart
from storemon_pipeline.uptime.messages import pluralize

HEAT_CLASSES = 6

_ROW = 24
TIMELINE_POINTS = 300
LOG_SCALE_ABOVE = 100
_TICKS = 6
_MONTHS_FROM_DAYS = 100
COUNT_TICKS = 4
_HOUR_AXIS = {"values": list(range(0, 25, 3)), "labelExpr": "pad(datum.value, 2, '0', 'left')"}


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
            "y": _count_axis(int(counts.max()), logarithmic=logarithmic),
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
        "height": 7 * _ROW,
        "data": {"values": rows},
        "mark": {"type": "rect", "stroke": "var(--card)", "strokeWidth": 1},
        "encoding": {
            "x": {
                "field": "hour",
                "type": "quantitative",
                "scale": {"domain": [0, 24], "nice": False},
                "axis": _HOUR_AXIS | {"title": "local hour", "grid": False},
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
            "x": _time_axis("at", span[1] - span[0]),
            "y": _count_axis(int(down.max())),
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


def _count_axis(highest: int, *, logarithmic: bool = False) -> dict[str, Any]:
    """Return an axis of whole numbers from 0, without duplicate labels."""
    size = 10 ** (len(str(highest // COUNT_TICKS)) - 1)
    step = next(size * digit for digit in (1, 2, 5, 10) if size * digit * COUNT_TICKS >= highest)
    values = list(range(0, max(highest, 1) + step, step))
    scale: dict[str, Any] = {"domain": [0, values[-1]]}
    title = "stores"
    if logarithmic:
        scale, values = {"type": "symlog", "constant": 5}, [0, 10, 100, 1000, 10_000]
        title = "stores (logarithmic scale)"
    axis = {"title": title, "format": ",d", "values": values}
    return {"field": "stores", "type": "quantitative", "scale": scale, "axis": axis}


def _sorted_utc(instants: pd.Series) -> npt.NDArray[np.datetime64]:
    naive = pd.DatetimeIndex(instants).tz_convert("UTC").tz_localize(None)
    return np.sort(naive.to_numpy())


def _time_axis(field: str, span: timedelta) -> dict[str, Any]:
    """Return a UTC time axis whose labels all have one format."""
    days = span / timedelta(days=1)
    ticks: object = _TICKS
    if days < _TICKS:
        form = "%a %H:%M"
    elif days < _MONTHS_FROM_DAYS:
        ticks, form = {"interval": "day", "step": ceil(days / _TICKS)}, "%-d %b"
    else:
        form = "%b %Y"
    return {
        "field": field,
        "type": "temporal",
        "scale": {"type": "utc"},
        "axis": {
            "title": None,
            "tickCount": ticks,
            "format": form,
            "grid": False,
            "labelOverlap": True,
            "labelSeparation": 8,
        },
    }


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
        "height": _ROW * len(days),
        "data": {"values": rows},
        "encoding": {
            "x": {
                "field": "from_hour",
                "type": "quantitative",
                "scale": {"domain": [0, last], "nice": False},
                "axis": _HOUR_AXIS | {"title": None, "orient": "top", "grid": True},
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


def trend(history: pd.DataFrame) -> Chart | None:
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
            "x": _time_axis("at", points["as_of"].max() - points["as_of"].min()),
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
