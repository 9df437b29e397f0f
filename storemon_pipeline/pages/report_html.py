"""``report.html``: the page of a report."""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property
from typing import Any

import pandas as pd

from storemon_pipeline.pages.charts.heat_map import heat_map
from storemon_pipeline.pages.charts.stores_down import stores_down
from storemon_pipeline.pages.charts.uptime_distribution import uptime_distribution
from storemon_pipeline.pages.formatting import format_utc, window_label
from storemon_pipeline.pages.quality_notices import DataQuality, quality_notices
from storemon_pipeline.pages.rendering import Notice, WindowFigures, render
from storemon_pipeline.pages.vega import Chart
from storemon_pipeline.uptime.current_status import CurrentStatus
from storemon_pipeline.uptime.fleet import FULL_UPTIME_PCT, FleetSummary
from storemon_pipeline.uptime.messages import pluralize
from storemon_pipeline.uptime.report_request import ReportRequest
from storemon_pipeline.uptime.windows import Window

MOST_STORES, MOST_DOWN = 200, 100
"""Maximum number of rows in the tables of the worst stores and of those down now."""

SILENT_AFTER = timedelta(days=1)
_MAX_NAMES = 10


class ReportCharts:
    """The charts of a report, each rendered on first use."""

    def __init__(self, fleet: FleetSummary) -> None:
        self._fleet = fleet

    @cached_property
    def uptime_distribution(self) -> Chart:
        """Return the distribution of uptime in the widest window."""
        widest = self._fleet.widest_window
        uptime_pct = pd.concat([table[f"uptime_pct_{widest}"] for table in self._fleet.metrics])
        return uptime_distribution(uptime_pct, window_label(widest))

    @cached_property
    def stores_down(self) -> Chart:
        """Return the number of stores that are down, over time."""
        events = pd.concat(self._fleet.events, ignore_index=True)
        return stores_down(events, self._fleet.span)

    @cached_property
    def heat_map(self) -> Chart:
        """Return the share of downtime by weekday and hour."""
        return heat_map(
            self._fleet.open_minutes, self._fleet.downtime_minutes, subject="by weekday and hour"
        )


def render_report_html(
    fleet: FleetSummary, report_charts: ReportCharts, report_id: str, *, quality: DataQuality
) -> str:
    """Return the page of a report.

    Parameters
    ----------
    report_charts : ReportCharts
        Charts of the same fleet.
    """
    request = fleet.request
    figures = pd.concat(fleet.metrics, ignore_index=True)
    widest = fleet.widest_window
    columns = [window.suffix for window in request.windows]
    windows = [
        WindowFigures(
            window_label(column),
            fleet.uptime_pct(column),
            *(fleet.total_hours(name, column) for name in ("uptime", "downtime", "unobserved")),
        )
        for column in columns
    ]
    selection = "" if request.store_ids is None else " (selected stores)"
    return render(
        "report.html",
        None,
        title=f"Report as of {format_utc(request.as_of)}",
        heading=f"Uptime as of {format_utc(request.as_of)}",
        lead=f"{pluralize(fleet.store_count, 'store')}{selection}, within "
        f"{_possessive(fleet.store_count)} opening hours{_range(request)}",
        report_id=report_id,
        as_of=request.as_of,
        stores=fleet.store_count,
        windows=windows,
        levels=[_slo_text(fleet, column) for column in columns],
        widest=window_label(widest),
        stores_down=fleet.stores_down,
        without_data=fleet.stores_now[CurrentStatus.NO_DATA],
        notices=notices(fleet, figures, widest, quality),
        charts=report_charts,
        down_now=_ongoing_rows(pd.concat(fleet.down_now, ignore_index=True)),
        worst=_worst_rows(figures, pd.concat(fleet.slo, ignore_index=True), columns, widest),
        below_full=int((figures[f"uptime_pct_{widest}"] < FULL_UPTIME_PCT).sum()),
        observed=bool(figures[f"uptime_pct_{widest}"].notna().any()),
    )


def _range(request: ReportRequest) -> str:
    if Window.RANGE not in request.windows or request.start is None:
        return ""
    return f"; range from {format_utc(request.start)} to {format_utc(request.as_of)}"


def _slo_text(fleet: FleetSummary, window: str) -> str:
    rated = fleet.targets_known[window]
    met = f"{fleet.targets_met[window]:,} of {pluralize(rated, 'store')}"
    return f"{met} met {_possessive(rated)} SLO target" if rated else ""


def _possessive(stores: int) -> str:
    return "its" if stores == 1 else "their"


def notices(
    fleet: FleetSummary, figures: pd.DataFrame, window: str, quality: DataQuality
) -> list[Notice]:
    """Return the notices about the data behind a report.

    Parameters
    ----------
    figures : DataFrame
        Metrics of all stores.
    window : str
        Column suffix of the window to check for unobserved stores.
    """
    if figures.empty:
        return [Notice("warn", "Empty", "The report contains no stores")]
    silent = figures[figures["last_poll_utc"] < fleet.request.as_of - SILENT_AFTER]
    result = [
        _store_notice(
            silent, "Silent", "not polled in the last day; the last status is carried forward"
        )
        or Notice("good", "Polled", "Every store was polled in the last day")
    ]
    unobserved = figures[figures[f"uptime_pct_{window}"].isna()]
    text = f"without observed open time, {window_label(window)}"
    if (notice := _store_notice(unobserved, "Unobserved", text)) is not None:
        result.append(notice)
    result += quality_notices(quality)
    for file, rows in quality.bad_rows.items():
        result.append(Notice("warn", "Rejected rows", f"{file}: {pluralize(rows, 'row')} rejected"))
    if not quality.bad_rows:
        result.append(Notice("good", "Rows", "No rows rejected"))
    return result


def _store_notice(stores: pd.DataFrame, label: str, text: str) -> Notice | None:
    if stores.empty:
        return None
    names = stores["store_id"].head(_MAX_NAMES).tolist()
    return Notice(
        "warn",
        label,
        f"{pluralize(len(stores), 'store')} {text}",
        names,
        more=len(stores) > _MAX_NAMES,
    )


def _ongoing_rows(stores: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the stores that are down now, longest outage (in open time) first."""
    longest = stores.nlargest(MOST_DOWN, "down_minutes")
    local = longest["down_since_utc"].dt.tz_localize(None) + longest["down_since_offset"]
    return [
        {
            "store_id": store_id,
            "start": f"{start:%Y-%m-%dT%H:%M:%S}",
            "since": f"{'before ' if before else ''}{clock:%a %-d %b %H:%M}",
            "before": before,
            "minutes": minutes,
        }
        for store_id, start, clock, before, minutes in zip(
            longest["store_id"],
            longest["down_since_utc"],
            local,
            longest["down_before"],
            longest["down_minutes"],
            strict=True,
        )
    ]


def _worst_rows(
    figures: pd.DataFrame, levels: pd.DataFrame, windows: list[str], widest: str
) -> list[dict[str, Any]]:
    """Return the rows of the worst stores: those below 100 %, lowest uptime first."""
    below = figures[figures[f"uptime_pct_{widest}"] < FULL_UPTIME_PCT]
    worst = below.sort_values(
        [f"uptime_pct_{widest}", f"downtime_{widest}"], ascending=[True, False], kind="stable"
    ).head(MOST_STORES)
    level = levels.loc[worst.index]
    shares = worst[[f"uptime_pct_{window}" for window in windows]].to_numpy()
    per_hour = 60 if widest == Window.HOUR.suffix else 1
    columns = {
        "store_id": worst["store_id"],
        "shares": [[None if share != share else share for share in row] for row in shares],  # noqa: PLR0124 - NaN
        "downtime": worst[f"downtime_{widest}"] / per_hour,
        "unobserved": worst[f"unobserved_{widest}"] / per_hour,
        "target": level["target_pct"],
        # with observed open time, the SLO target is either met or missed
        "met": level[f"met_{widest}"].astype(bool),
        "left": level[f"budget_left_{widest}"] / per_hour,
        "outages": level[f"outages_{widest}"],
        "last_poll": worst["last_poll_utc"].dt.strftime("%Y-%m-%d %H:%M").str.split(),
        "timezone": worst["timezone"],
    }
    rows = zip(*columns.values(), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]
