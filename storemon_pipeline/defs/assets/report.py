"""The assets that people came for: uptime_report, downtime_events, downtime_by_hour.

One step makes all three from one pass over the stores, and then, when its files are whole and its
figures have passed their checks, marks the report Complete. Any of the three can still be
materialized alone.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pandas as pd

from storemon_pipeline.defs.assets.intervals import describe_stores
from storemon_pipeline.defs.errors import as_dagster_failure
from storemon_pipeline.defs.io_managers import LazyTable
from storemon_pipeline.defs.metadata import (
    OWNERS,
    chart_metadata,
    column_schema,
    metric_columns,
    preview,
)
from storemon_pipeline.defs.report_lifecycle import mark_report_failed, mark_report_started
from storemon_pipeline.defs.report_summary import WORST, report_summary, worst_stores
from storemon_pipeline.defs.resources import StoremonResource
from storemon_pipeline.evaluation.data_quality import read_data_quality
from storemon_pipeline.pages.report import ReportCharts, render_report_html
from storemon_pipeline.storage.latest_report import publish_latest
from storemon_pipeline.storage.report_history import save_metrics
from storemon_pipeline.storage.report_writer import (
    BY_HOUR,
    EVENTS,
    PAGE,
    REPORT,
    REPORT_FULL,
    ReportWriter,
    csv_appender,
    short_report,
)
from storemon_pipeline.storage.reports import complete_report
from storemon_pipeline.uptime.assumptions import summarize_assumptions
from storemon_pipeline.uptime.batches import batch_stores
from storemon_pipeline.uptime.current_status import CurrentStatus
from storemon_pipeline.uptime.fleet import FleetSummary, store_results
from storemon_pipeline.uptime.messages import pluralize
from storemon_pipeline.uptime.report_request import DEFAULT_WINDOWS, ReportRequest

REPORT_ASSETS: dict[str, list[str]] = {
    "uptime_report": [REPORT, REPORT_FULL, PAGE],
    "downtime_events": [EVENTS],
    "downtime_by_hour": [BY_HOUR],
}
UPTIME_WITHIN_OPEN_TIME = "uptime_and_downtime_within_open_time"
ONE_ROW_PER_STORE = "one_row_per_store"

_DESCRIPTIONS = {
    "uptime_report": (
        "For how long each store was up and down within its opening hours: `report.csv` with the "
        "figures of each window, `report_full.csv` with unobserved time, percentages, last poll "
        "and time zone as well. Minutes for the last hour, hours for all else. `report.html` is "
        "the page to look at: the figures of all stores together, plots, the worst stores."
    ),
    "downtime_events": (
        "Every stretch of downtime within one opening of a store, with its beginning and end in "
        "UTC and local time: `downtime_events.csv`."
    ),
    "downtime_by_hour": (
        "When it happens: open time and downtime of each store by local weekday and hour: "
        "`downtime_by_hour.csv`."
    ),
}
_COLUMNS = {
    "uptime_report": metric_columns(DEFAULT_WINDOWS),
    "downtime_events": column_schema(
        store_id="text",
        start_utc="timestamp",
        end_utc="timestamp: not included",
        start_local="timestamp: with its offset from UTC",
        end_local="timestamp: with its offset from UTC",
        minutes="float: its length",
        ongoing="bool: it reaches as_of, and the store is down then",
    ),
    "downtime_by_hour": column_schema(
        store_id="text",
        day_of_week="int: 0 = Monday, local",
        hour="int: 0 to 23, local",
        open_minutes="float: open time",
        downtime_minutes="float: downtime",
        downtime_pct="float: downtime, % of open time",
    ),
}
EVENT_PREVIEW_COLUMNS = ["store_id", "start_utc", "end_utc", "minutes", "ongoing"]


@dg.multi_asset(
    name="report",
    specs=[
        dg.AssetSpec(
            name,
            deps=[
                "report_request",
                "polled_stores",
                "weekly_hours",
                "open_hours",
                "status_intervals",
                "current_status",
            ],
            description=_DESCRIPTIONS[name],
            group_name="report",
            kinds={"pandas", "csv"},
            owners=OWNERS,
            metadata={"dagster/column_schema": _COLUMNS[name]},
            skippable=True,
        )
        for name in REPORT_ASSETS
    ],
    ins={
        "report_request": dg.AssetIn("report_request"),
        "polled_stores": dg.AssetIn("polled_stores"),
        "weekly_hours": dg.AssetIn("weekly_hours"),
        "open_hours": dg.AssetIn("open_hours"),
        "status_intervals": dg.AssetIn("status_intervals"),
        "current_status": dg.AssetIn("current_status"),
    },
    check_specs=[
        dg.AssetCheckSpec(
            UPTIME_WITHIN_OPEN_TIME,
            asset="uptime_report",
            blocking=True,
            description="Uptime and downtime of a store are never more than its open time.",
        ),
        dg.AssetCheckSpec(
            ONE_ROW_PER_STORE,
            asset="uptime_report",
            blocking=True,
            description="Every polled store has exactly one row, sorted by its id.",
        ),
    ],
    can_subset=True,
    hooks={mark_report_failed},
)
def report(
    context: dg.AssetExecutionContext,
    storemon: StoremonResource,
    report_request: ReportRequest,
    polled_stores: LazyTable,
    weekly_hours: LazyTable,
    open_hours: LazyTable,
    status_intervals: LazyTable,
    current_status: LazyTable,
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    """Make the figures, write their files, and mark the report Complete."""
    selected = {key.path[-1] for key in context.selected_asset_keys}
    names = [file for name in REPORT_ASSETS if name in selected for file in REPORT_ASSETS[name]]
    stores = polled_stores.all()
    fleet = FleetSummary(report_request)
    charts = ReportCharts(fleet)
    files = ReportWriter(storemon.settings.reports_path, context.run.run_id)
    with as_dagster_failure():
        mark_report_started(storemon, context.run, report_request)
        with files.open(names) as opened, csv_appender(opened) as append:
            for part in batch_stores(stores, report_request.span):
                results = store_results(
                    part,
                    open_hours.of_stores(part),
                    status_intervals.of_stores(part),
                    current_status.of_stores(part),
                    report_request,
                )
                append(results)
                fleet.add(results)
                context.log.info("Figures of %s", describe_stores(part))
            checks = _checks(fleet, len(stores)) if "uptime_report" in selected else []
            if any(not check.passed for check in checks):
                # before the files appear, so that nobody ever reads a wrong report
                yield from checks
                raise dg.Failure("; ".join(str(check.description) for check in checks))
            assumed = summarize_assumptions(
                stores, weekly_hours.all(), report_request.rules.missing_day
            )
            with storemon.database.read() as connection:
                quality = read_data_quality(connection, assumed)
            if PAGE in opened:
                page = render_report_html(fleet, charts, context.run.run_id, quality=quality)
                opened[PAGE].write(page.encode())
            metadata = {
                name: make(fleet, charts) | _paths(files, name)
                for name, make in _METADATA.items()
                if name in selected
            }
        if "uptime_report" in selected:
            shown_at = f"{storemon.settings.api_url}/reports/{context.run.run_id}"
            metadata["uptime_report"]["page"] = dg.MetadataValue.url(shown_at)
            with storemon.database.registry_transaction() as connection:
                complete_report(
                    connection,
                    context.run.run_id,
                    stores=fleet.store_count,
                    finished_at=datetime.now(UTC),
                )
                if report_request.store_ids is None:
                    save_metrics(connection, context.run.run_id, fleet)
            context.log.info(
                "The report of %s as of %s is in %s%s",
                pluralize(fleet.store_count, "store"),
                report_request.as_of.isoformat(),
                files.directory / REPORT,
                _published(storemon, context.run.run_id, report_request),
            )
            context.log.info("%s", report_summary(fleet, files.directory, names, quality))
    for name, shown in metadata.items():
        yield dg.MaterializeResult(
            asset_key=name,
            metadata=shown,
            check_results=checks if name == "uptime_report" else [],
        )


def _published(storemon: StoremonResource, run_id: str, request: ReportRequest) -> str:
    """Publish the newest standard report, and say whether that is this one."""
    settings = storemon.settings
    target = settings.latest_report_path
    latest = publish_latest(storemon.database, settings.reports_path, target)
    if latest is not None and latest.run_id == run_id:
        return f", and as the newest in {target}"
    if not request.is_standard:
        return f"; {target} is kept for reports of all stores with default windows and rules"
    if latest is not None and latest.as_of is not None:
        return f"; {target} stays the newer one as of {latest.as_of.isoformat()}"
    return ""


def _paths(files: ReportWriter, name: str) -> dict[str, Any]:
    return {
        str(file): dg.MetadataValue.path(str(files.directory / file))
        for file in REPORT_ASSETS[name]
    }


def _checks(fleet: FleetSummary, polled_stores: int) -> list[dg.AssetCheckResult]:
    """What must hold of every report."""
    beyond, twice = fleet.stores_exceeding_open_time, fleet.duplicate_rows
    return [
        dg.AssetCheckResult(
            check_name=UPTIME_WITHIN_OPEN_TIME,
            asset_key="uptime_report",
            passed=beyond == 0,
            description=f"Beyond open time: {beyond:,} of {pluralize(fleet.store_count, 'store')}.",
            metadata={"stores": fleet.store_count, "stores_beyond_open_time": beyond},
        ),
        dg.AssetCheckResult(
            check_name=ONE_ROW_PER_STORE,
            asset_key="uptime_report",
            passed=twice == 0 and fleet.store_count == polled_stores,
            description=(
                f"{pluralize(fleet.store_count, 'row')} for "
                f"{pluralize(polled_stores, 'polled store')}, "
                f"{twice:,} of them twice or out of order."
            ),
            metadata={
                "rows": fleet.store_count,
                "polled_stores": polled_stores,
                "stores_twice": twice,
            },
        ),
    ]


def _report_metadata(fleet: FleetSummary, charts: ReportCharts) -> dict[str, Any]:
    figures = pd.concat(fleet.metrics, ignore_index=True)
    widest = fleet.widest_window
    shares = [f"uptime_pct_{window.suffix}" for window in fleet.request.windows]
    worst = worst_stores(figures, widest)[["store_id", *shares]]
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


_METADATA: dict[str, Callable[[FleetSummary, ReportCharts], dict[str, Any]]] = {
    "uptime_report": _report_metadata,
    "downtime_events": _events_metadata,
    "downtime_by_hour": _by_hour_metadata,
}
