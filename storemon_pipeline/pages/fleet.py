"""``report.html``: what a report says of all stores together, as one page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from typing import Any

import pandas as pd

from storemon_pipeline.pages import charts
from storemon_pipeline.pages.drawing import Chart
from storemon_pipeline.pages.layout import Notice, WindowFigures, in_words, render, utc_text
from storemon_pipeline.uptime.fleet import Fleet

MOST_STORES, MOST_EVENTS = 200, 100
"""How many stores and events are on the page; the files have all."""

SILENT_AFTER = timedelta(days=1)
_NAMED = 10


class FleetCharts:
    """The charts of all stores together, each drawn once, when it is first asked for.

    Parameters
    ----------
    fleet : Fleet
    """

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    @cached_property
    def uptime_distribution(self) -> Chart:
        """How many stores have which uptime in the widest window."""
        widest = self._fleet.widest_window
        uptime_pct = pd.concat([each[f"uptime_pct_{widest}"] for each in self._fleet.figures])
        return charts.uptime_distribution(uptime_pct, in_words(widest))

    @cached_property
    def stores_down(self) -> Chart:
        """How many stores were down at once."""
        events = pd.concat(self._fleet.events, ignore_index=True)
        return charts.stores_down(events, self._fleet.request.span)

    @cached_property
    def heat_map(self) -> Chart:
        """On which weekday, at which hour they were down."""
        return charts.heat_map(
            self._fleet.open_minutes, self._fleet.downtime_minutes, of="by weekday and hour"
        )


def report_page(
    fleet: Fleet, drawn: FleetCharts, report_id: str, *, bad_rows: Mapping[str, int]
) -> str:
    """The page of a report.

    Parameters
    ----------
    fleet : Fleet
    drawn : FleetCharts
        Of that fleet.
    report_id : str
    bad_rows : mapping
        Raw file -> how many of its rows were set aside.
    """
    request = fleet.request
    figures = pd.concat(fleet.figures, ignore_index=True)
    events = pd.concat(fleet.events, ignore_index=True)
    widest = fleet.widest_window
    windows = [
        WindowFigures(
            in_words(window.column),
            fleet.uptime_pct(window.column),
            *(fleet.hours(name, window.column) for name in ("uptime", "downtime", "unobserved")),
        )
        for window in request.windows
    ]
    whose = "all stores" if request.store_ids is None else f"{fleet.stores:,} chosen stores"
    return render(
        "report.html",
        None,
        title=f"Report as of {utc_text(request.as_of)}",
        heading=f"Uptime as of {utc_text(request.as_of)}",
        lead=f"{fleet.stores:,} stores within their opening hours; report {report_id} of {whose}",
        as_of=request.as_of,
        stores=fleet.stores,
        windows=windows,
        widest=in_words(widest),
        ongoing=fleet.ongoing_events,
        notices=notices(fleet, figures, widest, bad_rows),
        charts=drawn,
        events=_ongoing(events),
        worst=_worst(figures, [window.column for window in request.windows], widest),
    )


def notices(
    fleet: Fleet, figures: pd.DataFrame, window: str, bad_rows: Mapping[str, int]
) -> list[Notice]:
    """What a reader of the figures should know of the data they were made from.

    Parameters
    ----------
    fleet : Fleet
    figures : DataFrame
        All of the fleet's.
    window : str
        The column name of the window that is told of.
    bad_rows : mapping
        As for :func:`report_page`.
    """
    met, known = fleet.targets_met[window], fleet.targets_known[window]
    text = f"{met:,} of {known:,} stores met their target, {in_words(window)}"
    found = [Notice("good" if met == known else "warn", "Service levels", text)]
    silent = figures[figures["last_poll_utc"] < fleet.request.as_of - SILENT_AFTER]
    found.append(
        _about(silent, "Silent", "not polled in the last day, whose last status is kept")
        or Notice("good", "Polled", "Every store was polled within a day")
    )
    unknown = figures[figures[f"uptime_pct_{window}"].isna()]
    text = f"without observed open time, {in_words(window)}"
    if (notice := _about(unknown, "Unobserved", text)) is not None:
        found.append(notice)
    for file, rows in bad_rows.items():
        said = "1 row was" if rows == 1 else f"{rows:,} rows were"
        text = f"In {file}, {said} set aside; the table quarantined_row has the reasons"
        found.append(Notice("warn", "Bad rows", text))
    if not bad_rows:
        found.append(Notice("good", "Files", "No row was set aside"))
    return found


def _about(stores: pd.DataFrame, label: str, text: str) -> Notice | None:
    if stores.empty:
        return None
    named = stores["store_id"].head(_NAMED).tolist()
    said = f"{len(stores):,} {'store' if len(stores) == 1 else 'stores'} {text}"
    return Notice("warn", label, said, named, more=len(stores) > _NAMED)


def _ongoing(events: pd.DataFrame) -> list[dict[str, Any]]:
    """Who is down now, the one that has been for longest first, closing time left out."""
    shown = events[events["ongoing"]].nlargest(MOST_EVENTS, "down_minutes")
    local = shown["down_since_utc"].dt.tz_localize(None) + shown["down_since_offset"]
    return [
        {
            "store_id": store_id,
            "start": f"{start:%Y-%m-%dT%H:%M:%S}",
            "since": f"{clock:%a %-d %b %H:%M}",
            "minutes": minutes,
        }
        for store_id, start, clock, minutes in zip(
            shown["store_id"], shown["down_since_utc"], local, shown["down_minutes"], strict=True
        )
    ]


def _worst(figures: pd.DataFrame, windows: list[str], widest: str) -> list[dict[str, Any]]:
    known = figures[figures[f"uptime_pct_{widest}"].notna()]
    worst = known.sort_values(
        [f"uptime_pct_{widest}", f"downtime_{widest}"], ascending=[True, False], kind="stable"
    ).head(MOST_STORES)
    shares = worst[[f"uptime_pct_{window}" for window in windows]].to_numpy()
    per_hour = 60 if widest == "last_hour" else 1
    return [
        {
            "store_id": store_id,
            "shares": [None if share != share else share for share in of_windows],  # noqa: PLR0124 - NaN
            "downtime": downtime / per_hour,
            "unobserved": unobserved / per_hour,
            "last_poll": f"{last_poll:%Y-%m-%d %H:%M}",
            "timezone": timezone,
        }
        for store_id, of_windows, downtime, unobserved, last_poll, timezone in zip(
            worst["store_id"],
            shares.tolist(),
            worst[f"downtime_{widest}"],
            worst[f"unobserved_{widest}"],
            worst["last_poll_utc"],
            worst["timezone"],
            strict=True,
        )
    ]
