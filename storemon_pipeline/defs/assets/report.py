"""Assets of the groups `intervals` and `report`.

One step computes all of them in one pass over the stores, slice by slice. It marks the report as
Complete once its checks have passed and its files are written. Each asset can also be materialized
alone; the report's then start from the tables of an earlier run.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import dagster as dg
from upath import UPath

from storemon_pipeline.defs.failures import as_dagster_failure
from storemon_pipeline.defs.metadata import (
    OWNERS,
    PREVIEW_ROWS,
    column_schema,
    metric_columns,
    preview,
)
from storemon_pipeline.defs.report_lifecycle import mark_report_started
from storemon_pipeline.defs.report_metadata import (
    METADATA,
    ONE_ROW_PER_STORE,
    UPTIME_WITHIN_OPEN_TIME,
    check_report,
)
from storemon_pipeline.defs.report_summary import report_summary
from storemon_pipeline.defs.resources import StoremonResource
from storemon_pipeline.defs.run_storage import RunStorage
from storemon_pipeline.evaluation.data_quality import read_data_quality
from storemon_pipeline.evaluation.engine import engine_of, evaluate_slices
from storemon_pipeline.evaluation.slices import TABLES, SliceJob
from storemon_pipeline.pages.report_html import ReportCharts, render_report_html
from storemon_pipeline.storage.latest_report import publish_latest
from storemon_pipeline.storage.report_history import save_metrics
from storemon_pipeline.storage.report_writer import (
    ReportFile,
    ReportWriter,
    csv_files,
    join_report_parts,
)
from storemon_pipeline.storage.reports import complete_report
from storemon_pipeline.storage.run_tables import LazyTable
from storemon_pipeline.uptime.assumptions import summarize_assumptions
from storemon_pipeline.uptime.messages import pluralize
from storemon_pipeline.uptime.report_request import DEFAULT_WINDOWS, ReportRequest

REPORT_ASSETS: dict[str, list[str]] = {
    "uptime_report": [ReportFile.REPORT, ReportFile.REPORT_FULL, ReportFile.PAGE],
    "downtime_events": [ReportFile.EVENTS],
    "downtime_by_hour": [ReportFile.BY_HOUR],
}
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
_INTERVAL_DESCRIPTIONS = {
    "open_hours": (
        "Opening windows of each store within the report's windows, in UTC: opening hours placed "
        "on dates in the store's time zone, overlaps merged (rule 3)."
    ),
    "status_intervals": (
        "Status of each store over time, interpolated from its polls (rules 4 to 7). Not limited "
        "to opening hours; time that no interval covers is unobserved."
    ),
    "current_status": (
        "Status of each store at as_of, polls at as_of included: closed, up, down, or no data if "
        "its newest poll is too old (rule 7)."
    ),
}
_INTERVAL_COLUMNS = {
    "open_hours": column_schema(
        store_id="text", open_utc="timestamp", close_utc="timestamp: exclusive"
    ),
    "status_intervals": column_schema(
        store_id="text",
        start_utc="timestamp",
        end_utc="timestamp: exclusive",
        status="text: active or inactive",
    ),
    "current_status": column_schema(
        store_id="text",
        status="text: closed, up, down or no data",
        poll_utc="timestamp: the poll that determines the status",
    ),
}
_INPUTS = ("report_request", "polled_stores", "weekly_hours", "special_dates")


def _interval_specs() -> Iterator[dg.AssetSpec]:
    for name in TABLES:
        yield dg.AssetSpec(
            name,
            deps=[*_INPUTS, *(["store_status"] if name != "open_hours" else [])],
            description=_INTERVAL_DESCRIPTIONS[name],
            group_name="intervals",
            kinds={"pandas", "parquet"},
            owners=OWNERS,
            metadata={"dagster/column_schema": _INTERVAL_COLUMNS[name]},
            skippable=True,
        )


def _report_specs() -> Iterator[dg.AssetSpec]:
    for name in REPORT_ASSETS:
        yield dg.AssetSpec(
            name,
            deps=["report_request", "polled_stores", "weekly_hours", *TABLES],
            description=_DESCRIPTIONS[name],
            group_name="report",
            kinds={"pandas", "csv"},
            owners=OWNERS,
            metadata={"dagster/column_schema": _COLUMNS[name]},
            skippable=True,
        )


@dg.multi_asset(
    name="report",
    specs=[*_interval_specs(), *_report_specs()],
    ins={name: dg.AssetIn(name) for name in _INPUTS},
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
    special_dates: LazyTable,
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    """Compute the tables and the metrics, write the files, and mark the report as Complete."""
    selected = {key.path[-1] for key in context.selected_asset_keys}
    names = [file for name in REPORT_ASSETS if name in selected for file in REPORT_ASSETS[name]]
    tables = tuple(name for name in TABLES if name in selected)
    settings, run_id = storemon.settings, context.run.run_id
    files = ReportWriter(settings.reports_path, run_id)
    run = RunStorage(settings.reports_path, run_id)
    stores = polled_stores.all()
    with as_dagster_failure():
        mark_report_started(storemon, context.run, report_request)
        with files.open(names) as open_files, files.open_parts() as parts:
            job = SliceJob(
                request=report_request,
                no_data_after=settings.no_data_after,
                polls=storemon.database.polls.reader(),
                stores=polled_stores.path,
                weekly_hours=weekly_hours.path,
                special_dates=special_dates.path,
                parts=parts,
                tables=tables,
                # in one pass, unless a table of an earlier run is an input
                files=csv_files(names) if len(tables) == len(TABLES) else (),
            )
            evaluate = partial(evaluate_slices, engine_of(settings), stores=stores, log=context.log)
            if tables:
                evaluated = evaluate(job)
                for name in tables:
                    path = run.add_table(parts / name, name)
                    rows = evaluated.table_rows[name]
                    yield dg.MaterializeResult(asset_key=name, metadata=_table_metadata(path, rows))
                run.publish()
            if not names:
                return
            if not job.files:
                retried = context.run.parent_run_id
                inputs = {name: run.locate(f"{name}.parquet", retried) for name in TABLES}
                files_only = replace(job, tables=(), files=csv_files(names), from_tables=inputs)
                evaluated = evaluate(files_only)
            fleet = evaluated.fleet
            charts = ReportCharts(fleet)
            join_report_parts(parts, open_files, evaluated.slices)
            checks = check_report(fleet, len(stores)) if "uptime_report" in selected else []
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
                page = render_report_html(fleet, charts, run_id, quality=quality)
                open_files[ReportFile.PAGE].write(page.encode())
            metadata = {
                name: build(fleet, charts) | _paths(files, name)
                for name, build in METADATA.items()
                if name in selected
            }
        if "uptime_report" in selected:
            page_url = f"{settings.api_url}/reports/{run_id}"
            metadata["uptime_report"]["page"] = dg.MetadataValue.url(page_url)
            with storemon.database.registry_transaction() as connection:
                complete_report(
                    connection, run_id, stores=fleet.store_count, finished_at=datetime.now(UTC)
                )
                if report_request.store_ids is None:
                    save_metrics(connection, run_id, fleet)
            context.log.info(
                "The report of %s as of %s is in %s%s",
                pluralize(fleet.store_count, "store"),
                report_request.as_of.isoformat(),
                files.directory / ReportFile.REPORT,
                _publish_latest(storemon, run_id, report_request),
            )
            context.log.info("%s", report_summary(fleet, files.directory, names, quality))
    for name, values in metadata.items():
        yield dg.MaterializeResult(
            asset_key=name,
            metadata=values,
            check_results=checks if name == "uptime_report" else [],
        )


def _table_metadata(path: UPath, rows: int) -> dict[str, Any]:
    return {"dagster/row_count": rows, "preview": preview(LazyTable(path).head(PREVIEW_ROWS))}


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
        return f"; {target} remains the newer one, as of {latest.as_of.isoformat()}"
    return ""


def _paths(files: ReportWriter, name: str) -> dict[str, Any]:
    return {
        str(file): dg.MetadataValue.path(str(files.directory / file))
        for file in REPORT_ASSETS[name]
    }
