"""Axes that charts share, as Vega-Lite specifications."""

from __future__ import annotations

from datetime import timedelta
from math import ceil
from typing import Any

COUNT_TICKS = 4
ROW_HEIGHT = 24
HOUR_AXIS = {"values": list(range(0, 25, 3)), "labelExpr": "pad(datum.value, 2, '0', 'left')"}

_TICKS = 6
_MONTHS_FROM_DAYS = 100


def count_axis(highest: int, *, logarithmic: bool = False) -> dict[str, Any]:
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


def time_axis(field: str, span: timedelta) -> dict[str, Any]:
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
