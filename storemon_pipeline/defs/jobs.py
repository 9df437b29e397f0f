"""The jobs of the assets and their schedule."""

from __future__ import annotations

import dagster as dg

from storemon_pipeline.defs.ingested import RAW_ASSETS

_RAW = dg.AssetSelection.assets(*RAW_ASSETS)
_REPORT = dg.AssetSelection.groups("request", "intervals", "report")

ingest_job = dg.define_asset_job(
    "ingest_job",
    selection=_RAW | dg.AssetSelection.checks_for_assets(*RAW_ASSETS),
    description="Files -> tables: brings the tables up to date with the raw CSV files.",
)
report_job = dg.define_asset_job(
    "report_job",
    selection=_REPORT,
    description="Tables -> report: makes a report from what the tables hold.",
)
ingest_and_report_job = dg.define_asset_job(
    "ingest_and_report_job",
    selection=_RAW | _REPORT,
    description="Files -> tables -> report, in one run.",
)

hourly_report_schedule = dg.ScheduleDefinition(
    name="hourly_report_schedule",
    job=ingest_and_report_job,
    cron_schedule="5 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Ingests and reports five minutes past every hour. Off until it is switched on.",
)
"""Off by default: it is for data directories that are filled by the hour."""

JOBS = [ingest_job, report_job, ingest_and_report_job]
SCHEDULES = [hourly_report_schedule]
