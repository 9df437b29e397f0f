"""The page of a store, and the store search page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from storemon_pipeline.pages.charts.heat_map import heat_map
from storemon_pipeline.pages.charts.store_timeline import store_timeline
from storemon_pipeline.pages.charts.uptime_trend import uptime_trend
from storemon_pipeline.pages.formatting import (
    format_budget,
    format_duration,
    format_local_time,
    window_label,
)
from storemon_pipeline.pages.opening_hours_text import special_dates, weekly_hours
from storemon_pipeline.pages.rendering import PageContext, WindowFigures, link_stores, render
from storemon_pipeline.pages.slo_table import none_if_nan, slo_rows
from storemon_pipeline.pages.timeline import (
    CLOSED,
    UP,
    local_days,
    store_states_over_time,
    timeline,
)
from storemon_pipeline.uptime.alert_record import AlertRecord
from storemon_pipeline.uptime.current_status import CurrentStatus
from storemon_pipeline.uptime.evaluate import StoreResults
from storemon_pipeline.uptime.metrics import ObservedTime
from storemon_pipeline.uptime.opening_hours import OpeningHours
from storemon_pipeline.uptime.report_request import ReportRequest
from storemon_pipeline.uptime.rules import HOUR

MOST_EVENTS = 100
MOST_DATES = 10

_MICROSECONDS_A_MINUTE = HOUR // 60
_HOURS_A_DAY = 24


@dataclass(frozen=True, slots=True)
class StoreView:
    """Facts about a store other than its figures.

    Attributes
    ----------
    timezone_known : bool
        Whether the store has a known zone; otherwise the default is assumed.
    hours : OpeningHours
    alerts : sequence of AlertRecord
        The newest alerts, newest first.
    """

    store_id: str
    timezone: str
    timezone_known: bool
    polls: int
    first_poll_utc: datetime
    last_poll_utc: datetime
    hours: OpeningHours
    alerts: Sequence[AlertRecord]


@dataclass(frozen=True, slots=True)
class StoreWeek:
    """The last week of a store.

    Attributes
    ----------
    request : ReportRequest
        Its widest window is the week.
    results : StoreResults
        Includes the current status, at the end of the week.
    """

    request: ReportRequest
    time: ObservedTime
    results: StoreResults


def store_page(
    store: StoreView, week: StoreWeek, history: pd.DataFrame, *, frame: PageContext
) -> str:
    """Return the page of a store.

    Parameters
    ----------
    history : DataFrame
        ``as_of``, ``uptime_pct`` of past reports, oldest first.
    """
    days = local_days(week.time.key.start, week.time.key.end, store.timezone)
    first_day = pd.Timestamp(week.time.key.start, unit="us", tz="UTC").tz_convert(store.timezone)
    special, more_dates = special_dates(store.hours, first_day.date(), MOST_DATES)
    by_hour = week.results.by_hour
    open_minutes, downtime_minutes = np.zeros((7, 24)), np.zeros((7, 24))
    for name, grid in (("open_minutes", open_minutes), ("downtime_minutes", downtime_minutes)):
        grid[by_hour["day_of_week"], by_hour["hour"]] = by_hour[name]
    return render(
        "store.html",
        frame,
        active="Stores",
        title=store.store_id,
        store=store,
        as_of=week.request.as_of,
        now=_current_state(week, store.timezone),
        first_polled=store.first_poll_utc if store.first_poll_utc > first_day else None,
        windows=_windows(week),
        levels=slo_rows(week.results.slo, week.results.metrics_us, week.request),
        budget_text=format_budget,
        weekly_hours=weekly_hours(store.hours),
        special_dates=special,
        more_dates=more_dates,
        alerts=[
            (alert, format_local_time(alert.down_since, store.timezone)) for alert in store.alerts
        ],
        timeline=store_timeline(timeline(week.time, store.timezone), store.timezone),
        clock_change_days=days[days["hours"] != _HOURS_A_DAY].to_dict("records"),
        events=_events(week.results.events),
        event_count=len(week.results.events),
        heat_map=heat_map(open_minutes, downtime_minutes, subject="last week"),
        trend=uptime_trend(history),
    )


_BADGES = {
    CurrentStatus.UP: ("good", "Up"),
    CurrentStatus.DOWN: ("bad", "Down"),
    CurrentStatus.CLOSED: ("", "Closed"),
    CurrentStatus.NO_DATA: ("warn", "No data"),
}
_TIMELINE_STATES = {CurrentStatus.UP: UP, CurrentStatus.CLOSED: CLOSED}


def _current_state(week: StoreWeek, timezone: str) -> dict[str, str]:
    """Return the status of the store at as_of (rule 7), and since when."""
    current = week.results.current.iloc[0]
    now = CurrentStatus(current["status"])
    kind, label = _BADGES[now]
    return {"kind": kind, "label": label, "text": _since_text(week, now, timezone)}


def _since_text(week: StoreWeek, now: CurrentStatus, timezone: str) -> str:
    if now is CurrentStatus.NO_DATA:
        return "open, but the latest poll in open time is too old to determine the status"
    if now is CurrentStatus.DOWN:
        # an outage continues across closing time
        outage = week.results.down_now.iloc[0]
        before, over = ("before ", "over ") if outage["down_before"] else ("", "")
        return (
            f"since {before}{format_local_time(outage['down_since_utc'], timezone)} local time, "
            f"for {over}{format_duration(outage['down_minutes'])} of open time"
        )
    last = store_states_over_time(week.time).iloc[-1]
    if last["state"] != _TIMELINE_STATES[now]:
        # it opened, closed or recovered exactly at as_of
        return f"since {format_local_time(week.request.as_of, timezone)} local time"
    if last["start"] == week.time.key.start:
        return "for the whole last week"
    since = pd.Timestamp(last["start"], unit="us", tz="UTC")
    minutes = (last["end"] - last["start"]) / _MICROSECONDS_A_MINUTE
    return f"since {format_local_time(since, timezone)} local time, for {format_duration(minutes)}"


def _windows(week: StoreWeek) -> list[WindowFigures]:
    exact, figures = week.results.metrics_us.iloc[0], week.results.metrics.iloc[0]
    return [
        WindowFigures(
            window_label(window.suffix),
            none_if_nan(figures[f"uptime_pct_{window.suffix}"]),
            *(
                float(exact[f"{name}_{window.suffix}"]) / HOUR
                for name in ("uptime", "downtime", "unobserved")
            ),
        )
        for window in week.request.windows
    ]


def _events(events: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the newest outages, newest first."""
    newest = events.iloc[::-1].head(MOST_EVENTS)
    local = {
        name: newest[f"{name}_utc"].dt.tz_localize(None) + newest[f"{name}_offset"]
        for name in ("start", "end")
    }
    return [
        {
            "start": f"{row.start_utc:%Y-%m-%dT%H:%M:%S}",
            "end": f"{row.end_utc:%Y-%m-%dT%H:%M:%S}",
            "since": f"{since:%a %-d %b %H:%M}",
            # a narrow screen has no room for the same day twice
            "until": f"{until:%H:%M}"
            if since.date() == until.date()
            else f"{until:%a %-d %b %H:%M}",
            "minutes": row.minutes,
            "ongoing": row.ongoing,
        }
        for row, since, until in zip(newest.itertuples(), local["start"], local["end"], strict=True)
    ]


def stores_page(
    stores: list[tuple[str, datetime]],
    *,
    total: int,
    next_query: str,
    query: str,
    frame: PageContext,
) -> str:
    """Return the store search page.

    Parameters
    ----------
    stores : list of (store_id, last poll)
        Matching stores on this page.
    total : int
        Number of matching stores.
    next_query : str
        Query string of the next page; empty on the last page.
    query : str
        Search text.
    """
    page = render(
        "stores.html",
        frame,
        active="Stores",
        title="Stores",
        stores=stores,
        total=total,
        next_query=next_query,
        query=query,
    )
    return link_stores(page, frame.root)
