"""Checks and metadata of the assets of a report."""

from collections.abc import Callable
from typing import Any

import dagster as dg
import pandas as pd

from storemon_pipeline.defs.metadata import chart_metadata, metric_columns, preview
from storemon_pipeline.defs.report_summary import WORST, worst_stores
from storemon_pipeline.pages.report_html import ReportCharts
from storemon_pipeline.storage.report_writer import short_report
from storemon_pipeline.uptime.current_status import CurrentStatus
from storemon_pipeline.uptime.fleet import FleetSummary
from storemon_pipeline.uptime.messages import pluralize

UPTIME_WITHIN_OPEN_TIME = "uptime_and_downtime_within_open_time"
ONE_ROW_PER_STORE = "one_row_per_store"
EVENT_PREVIEW_COLUMNS = ["store_id", "start_utc", "end_utc", "minutes", "ongoing"]


def check_report(fleet: FleetSummary, polled_stores: int) -> list[dg.AssetCheckResult]:
    """Check the invariants of every report."""
    exceeding, duplicates = fleet.stores_exceeding_open_time, fleet.duplicate_rows
    return [
        dg.AssetCheckResult(
            check_name=UPTIME_WITHIN_OPEN_TIME,
            asset_key="uptime_report",
            passed=exceeding == 0,
            description=(
                f"{exceeding:,} of {pluralize(fleet.store_count, 'store')} exceed their open time."
            ),
            metadata={"stores": fleet.store_count, "stores_exceeding_open_time": exceeding},
        ),
        dg.AssetCheckResult(
            check_name=ONE_ROW_PER_STORE,
            asset_key="uptime_report",
            passed=duplicates == 0 and fleet.store_count == polled_stores,
            description=(
                f"{pluralize(fleet.store_count, 'row')} for "
                f"{pluralize(polled_stores, 'polled store')}, "
                f"{duplicates:,} duplicate or out of order."
            ),
            metadata={
                "rows": fleet.store_count,
                "polled_stores": polled_stores,
                "duplicates": duplicates,
            },
        ),
    ]


def _report_metadata(fleet: FleetSummary, charts: ReportCharts) -> dict[str, Any]:
    figures = pd.concat(fleet.metrics, ignore_index=True)
    widest = fleet.widest_window
    pct_columns = [f"uptime_pct_{window.suffix}" for window in fleet.request.windows]
    worst = worst_stores(figures, widest)[["store_id", *pct_columns]]
    metadata: dict[str, Any] = {
        "dagster/row_count": fleet.store_count,
        "dagster/column_schema": metric_columns(fleet.request.windows),
        "as_of": dg.MetadataValue.timestamp(fleet.request.as_of),
        "preview": preview(short_report(figures)),
        f"worst_stores_{widest}": dg.MetadataValue.text("No store is below 100 %.")
        if worst.empty
        else preview(worst, WORST),
        "plot": chart_metadata(charts.uptime_distribution),
    }
    if fleet.stores_down is not None:
        metadata["stores_down_now"] = fleet.stores_down
        metadata["stores_without_data_now"] = fleet.stores_now[CurrentStatus.NO_DATA]
    for window in fleet.request.windows:
        uptime_pct = fleet.uptime_pct(window.suffix)
        if uptime_pct is not None:
            metadata[f"fleet_uptime_pct_{window.suffix}"] = uptime_pct
        for figure in ("uptime", "downtime", "unobserved"):
            hours = round(fleet.total_hours(figure, window.suffix), 2)
            metadata[f"fleet_{figure}_hours_{window.suffix}"] = hours
    return metadata


def _events_metadata(fleet: FleetSummary, charts: ReportCharts) -> dict[str, Any]:
    events = pd.concat(fleet.events, ignore_index=True)
    longest = events.nlargest(WORST, "minutes")
    ongoing = fleet.ongoing_events
    return {
        "dagster/row_count": len(events),
        **({} if ongoing is None else {"ongoing_events": ongoing}),
        "preview": preview(events[EVENT_PREVIEW_COLUMNS]),
        "longest_events": preview(longest[EVENT_PREVIEW_COLUMNS], WORST),
        "plot": chart_metadata(charts.stores_down),
    }


def _by_hour_metadata(fleet: FleetSummary, charts: ReportCharts) -> dict[str, Any]:
    return {
        "dagster/row_count": fleet.by_hour_rows,
        "preview": preview(fleet.first_by_hour),
        "plot": chart_metadata(charts.heat_map),
    }


METADATA: dict[str, Callable[[FleetSummary, ReportCharts], dict[str, Any]]] = {
    "uptime_report": _report_metadata,
    "downtime_events": _events_metadata,
    "downtime_by_hour": _by_hour_metadata,
}
"""The metadata of each asset, from the summary of all stores."""
