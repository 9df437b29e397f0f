"""Asset jobs."""

from __future__ import annotations

import dagster as dg

from storemon_pipeline.defs.assets.raw import RAW_ASSETS
from storemon_pipeline.runs import INGEST_AND_REPORT_JOB, INGEST_JOB, REPORT_JOB

CONSOLE_CONFIG = {"loggers": {"console": {"config": {"log_level": "INFO"}}}}
"""Default run config of every job: without it, and without a ``python_log_level`` in dagster.yaml,
Dagster logs each of its events to the console at DEBUG level. Explicit run config replaces it."""

_RAW = dg.AssetSelection.assets(*RAW_ASSETS)
_REPORT = dg.AssetSelection.groups("request", "intervals", "report")

ingest_job = dg.define_asset_job(
    INGEST_JOB,
    selection=_RAW | dg.AssetSelection.checks_for_assets(*RAW_ASSETS),
    description="Ingests the raw CSV files into the database.",
    config=CONSOLE_CONFIG,
)
report_job = dg.define_asset_job(
    REPORT_JOB,
    selection=_REPORT,
    description="Makes a report from the data in the database.",
    config=CONSOLE_CONFIG,
)
ingest_and_report_job = dg.define_asset_job(
    INGEST_AND_REPORT_JOB,
    selection=_RAW | _REPORT,
    description="Ingests the raw CSV files, then makes a report.",
    config=CONSOLE_CONFIG,
)

JOBS = [ingest_job, report_job, ingest_and_report_job]
