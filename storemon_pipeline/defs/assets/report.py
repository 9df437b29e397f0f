"""Assets of the group `report`: uptime_report, downtime_events and downtime_by_hour.

One step computes all three in one pass over the stores. It marks the report as Complete once its
checks have passed and its files are written. Each asset can also be materialized alone.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pandas as pd

from storemon_pipeline.defs.assets.intervals import describe_stores
from storemon_pipeline.defs.failures import as_dagster_failure
from storemon_pipeline.defs.io_managers import LazyTable
from storemon_pipeline.defs.metadata import (
    OWNERS,
    chart_metadata,
    column_schema,
    metric_columns,
    preview,
)
from storemon_pipeline.defs.report_lifecycle import mark_report_started
from storemon_pipeline.defs.report_summary import WORST, report_summary, worst_stores
from storemon_pipeline.defs.resources import StoremonResource
from storemon_pipeline.evaluation.data_quality import read_data_quality
from storemon_pipeline.pages.report_html import ReportCharts, render_report_html
from storemon_pipeline.storage.latest_report import publish_latest
from storemon_pipeline.storage.report_history import save_metrics
from storemon_pipeline.storage.report_writer import (
    ReportFile,
    ReportWriter,
    csv_appender,
    short_report,
)
from storemon_pipeline.storage.reports import complete_report
from storemon_pipeline.uptime.assumptions import summarize_assumptions
from storemon_pipeline.uptime.batches import batch_stores
from storemon_pipeline.uptime.current_status import CurrentStatus
from storemon_pipeline.uptime.evaluate import store_results
from storemon_pipeline.uptime.fleet import FleetSummary
from storemon_pipeline.uptime.messages import pluralize
from storemon_pipeline.uptime.report_request import DEFAULT_WINDOWS, ReportRequest

REPORT_ASSETS: dict[str, list[str]] = {
    "uptime_report": [ReportFile.REPORT, ReportFile.REPORT_FULL, ReportFile.PAGE],
    "downtime_events": [ReportFile.EVENTS],
    "downtime_by_hour": [ReportFile.BY_HOUR],
}
UPTIME_WITHIN_OPEN_TIME = "uptime_and_downtime_within_open_time"
ONE_ROW_PER_STORE = "one_row_per_store"

_DESCRIPTIONS = {
    "uptime_report": (
        "Uptime and downtime of each store within its opening hours: `report.csv` with both for "
        "each window; `report_full.csv` also with unobserved time, percentages, last poll and time "
        "zone. Minutes for the last hour, hours for all other windows. `report.html` shows fleet "
        "totals, charts and the worst stores."
    ),
    "downtime_events": (
        "Each period of downtime within one opening of a store, with start and end in UTC and "
        "local time: `downtime_events.csv`."
    ),
    "downtime_by_hour": (
        "Open time and downtime of each store by local weekday and hour: `downtime_by_hour.csv`."
    ),
}
_COLUMNS = {
    "uptime_report": metric_columns(DEFAULT_WINDOWS),
    "downtime_events": column_schema(
        store_id="text",
        start_utc="timestamp",
        end_utc="timestamp: exclusive",
        start_local="timestamp: with UTC offset",
        end_local="timestamp: with UTC offset",
        minutes="float: duration",
        ongoing="bool: reaches as_of, and the store is down then",
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
            description="Uptime plus downtime of a store never exceeds its open time.",
        ),
        dg.AssetCheckSpec(
            ONE_ROW_PER_STORE,
            asset="uptime_report",
            blocking=True,
            description="Every polled store has exactly one row, sorted by store id.",
        ),
    ],
    can_subset=True,
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
    """Compute the metrics, write the files, and mark the report as Complete."""
    selected = {key.path[-1] for key in context.selected_asset_keys}
    names = [file for name in REPORT_ASSETS if name in selected for file in REPORT_ASSETS[name]]
    stores = polled_stores.all()
    fleet = FleetSummary(report_request)
    charts = ReportCharts(fleet)
    files = ReportWriter(storemon.settings.reports_path, context.run.run_id)
    with as_dagster_failure():
        mark_report_started(storemon, context.run, report_request)
        with files.open(names) as open_files, csv_appender(open_files) as append:
            for batch in batch_stores(stores, report_request.span):
                results = store_results(
                    batch,
                    open_hours.of_stores(batch),
                    status_intervals.of_stores(batch),
                    current_status.of_stores(batch),
                    report_request,
                )
                append(results)
                fleet.add(results)
                context.log.info("Metrics of %s", describe_stores(batch))
            checks = _checks(fleet, len(stores)) if "uptime_report" in selected else []
            if any(not check.passed for check in checks):
                # before the files appear, so that a wrong report is never read
                yield from checks
                raise dg.Failure("; ".join(str(check.description) for check in checks))
            assumptions = summarize_assumptions(
                stores, weekly_hours.all(), report_request.rules.missing_day
            )
            with storemon.database.read() as connection:
                quality = read_data_quality(connection, assumptions)
            if ReportFile.PAGE in open_files:
                page = render_report_html(fleet, charts, context.run.run_id, quality=quality)
                open_files[ReportFile.PAGE].write(page.encode())
            metadata = {
                name: build(fleet, charts) | _paths(files, name)
                for name, build in _METADATA.items()
                if name in selected
            }
        if "uptime_report" in selected:
            page_url = f"{storemon.settings.api_url}/reports/{context.run.run_id}"
            metadata["uptime_report"]["page"] = dg.MetadataValue.url(page_url)
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
                files.directory / ReportFile.REPORT,
                _publish_latest(storemon, context.run.run_id, report_request),
            )
            context.log.info("%s", report_summary(fleet, files.directory, names, quality))
    for name, values in metadata.items():
        yield dg.MaterializeResult(
            asset_key=name,
            metadata=values,
            check_results=checks if name == "uptime_report" else [],
        )


def _publish_latest(storemon: StoremonResource, run_id: str, request: ReportRequest) -> str:
    """Publish the newest standard report; return the end of the log line about it."""
    settings = storemon.settings
    target = settings.latest_report_path
    latest = publish_latest(storemon.database, settings.reports_path, target)
    if latest is not None and latest.run_id == run_id:
        return f", and as the newest in {target}"
    if not request.is_standard:
        return f"; {target} is only for reports of all stores with default windows and rules"
    if latest is not None and latest.as_of is not None:
        return f"; {target} stays the newer one as of {latest.as_of.isoformat()}"
    return ""


def _paths(files: ReportWriter, name: str) -> dict[str, Any]:
    return {
        str(file): dg.MetadataValue.path(str(files.directory / file))
        for file in REPORT_ASSETS[name]
    }


def _checks(fleet: FleetSummary, polled_stores: int) -> list[dg.AssetCheckResult]:
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


_METADATA: dict[str, Callable[[FleetSummary, ReportCharts], dict[str, Any]]] = {
    "uptime_report": _report_metadata,
    "downtime_events": _events_metadata,
    "downtime_by_hour": _by_hour_metadata,
}
