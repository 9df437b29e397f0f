"""Texts and tables of the pages."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

from storemon_pipeline.uptime.opening_hours import OpeningHours

NO_HISTORY = pd.DataFrame({"as_of": [], "uptime_pct": []})


def text_of(page: str) -> str:
    body = re.sub(r"<(style|script)>.*?</\1>", "", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


def hours_of(
    *, weekly: Sequence[tuple[int, str, str]] = (), special: Sequence[tuple[str, str, str]] = ()
) -> OpeningHours:
    """Return the opening hours of a store; empty times mean closed."""
    tables = []
    for day, rows in (("day_of_week", weekly), ("date", special)):
        table = pd.DataFrame(rows, columns=[day, "start_time_local", "end_time_local"])
        for name in ("start_time_local", "end_time_local"):
            table[name] = pd.to_timedelta(table[name].replace("", None)).astype("timedelta64[us]")
        tables.append(table)
    of_week, of_dates = tables
    of_week["day_of_week"] = of_week["day_of_week"].astype("int64")
    of_dates["date"] = pd.to_datetime(of_dates["date"]).astype("datetime64[us]")
    return OpeningHours(of_week, of_dates)
