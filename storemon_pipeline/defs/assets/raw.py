"""Assets of the group `raw`: the tables that are ingested from raw CSV files.

One step ingests them in one transaction, so that a rejected file leaves every table unchanged. Each
can also be materialized alone.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pandas as pd
from sqlalchemy import select

from storemon_pipeline.defs.failures import as_dagster_failure
from storemon_pipeline.defs.ingest_record import record_ingest
from storemon_pipeline.defs.metadata import (
    OWNERS,
    PREVIEW_ROWS,
    column_schema_from_table,
    preview,
    records_metadata,
)
from storemon_pipeline.defs.report_lifecycle import mark_report_started
from storemon_pipeline.defs.resources import StoremonResource
from storemon_pipeline.ingestion.bad_rows import MAX_LISTED_BAD_ROWS
from storemon_pipeline.ingestion.ingest import ingest_files
from storemon_pipeline.ingestion.results import TableResult
from storemon_pipeline.ingestion.sources import (
    BUSINESS_HOURS,
    SERVICE_LEVELS,
    SPECIAL_HOURS,
    STORE_STATUS,
    STORE_TIMEZONES,
    SourceFile,
)
from storemon_pipeline.storage.ingest_log import read_bad_rows
from storemon_pipeline.storage.schema import metadata as database_tables
from storemon_pipeline.uptime.messages import pluralize

RAW_ASSETS: dict[str, SourceFile] = {
    "store_status": STORE_STATUS,
    "business_hours": BUSINESS_HOURS,
    "store_timezones": STORE_TIMEZONES,
    "special_hours": SPECIAL_HOURS,
    "service_levels": SERVICE_LEVELS,
}
BAD_ROWS = "no_bad_rows"

_DESCRIPTIONS = {
    "store_status": (
        "Polls: whether a store was `active` or `inactive` at a timestamp. From `store_status.csv` "
        "and all `store_status_….csv`; a later row corrects an earlier one."
    ),
    "business_hours": (
        "Weekly opening hours in each store's local time, from `menu_hours.csv` or "
        "`business_hours.csv`. A new file replaces the whole table. A store without a row is "
        "always open."
    ),
    "store_timezones": (
        "Each store's IANA time zone, from `timezones.csv` or `store_timezones.csv`. A new file "
        "replaces the whole table. A store without a row is in America/Chicago."
    ),
    "special_hours": (
        "Opening hours of single dates, which replace those of the weekday: holidays, planned "
        "closures. From `special_hours.csv` (optional). A new file replaces the whole table."
    ),
    "service_levels": (
        "SLO target of each store that differs from `STOREMON_TARGET_PCT`. From "
        "`service_levels.csv` (optional). A new file replaces the whole table."
    ),
}


def _spec(name: str, kind: SourceFile) -> dg.AssetSpec:
    return dg.AssetSpec(
        name,
        description=_DESCRIPTIONS[name],
        group_name="raw",
        kinds={"csv", "pandera", "sqlalchemy"},
        owners=OWNERS,
        metadata={
            "dagster/column_schema": column_schema_from_table(
                database_tables.tables[kind.table_name]
            ),
            "dagster/table_name": kind.table_name,
        },
        skippable=True,
    )


def _check(name: str) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        BAD_ROWS,
        asset=name,
        description=(
            "All rows of the files are valid. Bad rows are quarantined in `quarantined_row` with "
            "the reason; above `STOREMON_MAX_BAD_SHARE` the run fails and no table changes."
        ),
    )


@dg.multi_asset(
    name="ingest",
    specs=[_spec(name, kind) for name, kind in RAW_ASSETS.items()],
    check_specs=[_check(name) for name in RAW_ASSETS],
    can_subset=True,
)
def ingest(
    context: dg.AssetExecutionContext, storemon: StoremonResource
) -> Iterator[dg.MaterializeResult[Any]]:
    """Ingest the raw files."""
    selected = {
        name: kind
        for name, kind in RAW_ASSETS.items()
        if dg.AssetKey(name) in context.selected_asset_keys
    }
    now = datetime.now(UTC)
    with (
        as_dagster_failure(),
        record_ingest(storemon, context.run.run_id, reads_all=selected.keys() == RAW_ASSETS.keys()),
    ):
        settings = storemon.settings
        mark_report_started(storemon, context.run, None)
        reports = ingest_files(
            storemon.database,
            settings.data_dir,
            max_bad_share=settings.max_bad_share,
            min_snapshot_share=settings.min_snapshot_share,
            max_expansion=settings.max_expansion,
            now=now,
            run_id=context.run.run_id,
            log=context.log,
            kinds=tuple(selected.values()),
        )
        results = []
        for name, kind in selected.items():
            report = reports[kind.table_name]
            result = dg.MaterializeResult[Any](
                asset_key=name,
                metadata=_metadata(report, _first_rows(storemon, report.table_name)),
                check_results=[_bad_rows_result(name, report, storemon)],
            )
            results.append(result)
    yield from results


def _first_rows(storemon: StoremonResource, table_name: str) -> pd.DataFrame:
    with storemon.database.read() as connection:
        if table_name == STORE_STATUS.table_name:
            return storemon.database.polls.head(connection, PREVIEW_ROWS)
        query = select(database_tables.tables[table_name]).limit(PREVIEW_ROWS)
        return pd.read_sql(query, connection)


def _metadata(report: TableResult, first_rows: pd.DataFrame) -> dict[str, Any]:
    return {
        "dagster/row_count": report.table_rows,
        "rows_read_now": sum(file.rows for file in report.files),
        "bad_rows_in_files": report.total_bad_rows,
        "files": records_metadata(_files(report)),
        "preview": preview(first_rows),
    }


def _files(report: TableResult) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "file": file.file,
                "reading": file.reading,
                "rows_read": file.rows,
                "bad_rows": file.bad_rows,
                "rows_in_file": file.total_rows,
                "bad_rows_in_file": file.total_bad_rows,
                "incomplete_last_line": file.partial_line or "",
            }
            for file in report.files
        ],
        columns=[
            "file",
            "reading",
            "rows_read",
            "bad_rows",
            "rows_in_file",
            "bad_rows_in_file",
            "incomplete_last_line",
        ],
    )


def _bad_rows_result(
    name: str, report: TableResult, storemon: StoremonResource
) -> dg.AssetCheckResult:
    """Check for bad rows in the current files, regardless of when they were read."""
    with storemon.database.read() as connection:
        first_rows = [
            read_bad_rows(connection, file.file, MAX_LISTED_BAD_ROWS) for file in report.files
        ]
    rows, bad = report.total_rows, report.total_bad_rows
    return dg.AssetCheckResult(
        check_name=BAD_ROWS,
        asset_key=name,
        passed=bad == 0,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{pluralize(bad, 'bad row')} of {rows:,}.",
        metadata={
            "bad_rows": bad,
            "bad_share": bad / rows if rows else 0.0,
            "accepted_share": storemon.settings.max_bad_share,
            "first_bad_rows": records_metadata(
                pd.concat(first_rows) if first_rows else pd.DataFrame()
            ),
        },
    )
