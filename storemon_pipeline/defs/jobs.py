"""The jobs of the assets and their schedule."""

from __future__ import annotations

import dagster as dg

from storemon_pipeline.defs.assets.raw import RAW_ASSETS
from storemon_pipeline.runs import INGEST_AND_REPORT_JOB, INGEST_JOB, REPORT_JOB

CONSOLE_CONFIG = {"loggers": {"console": {"config": {"log_level": "INFO"}}}}
"""Default run config of every job: without it, the console of a run whose DAGSTER_HOME sets no
``python_log_level`` shows each of Dagster's events as DEBUG lines. Run config replaces it."""

_RAW = dg.AssetSelection.assets(*RAW_ASSETS)
_REPORT = dg.AssetSelection.groups("request", "intervals", "report")

ingest_job = dg.define_asset_job(
    INGEST_JOB,
    selection=_RAW | dg.AssetSelection.checks_for_assets(*RAW_ASSETS),
    description="Files -> tables: brings the tables up to date with the raw CSV files.",
    config=CONSOLE_CONFIG,
)
report_job = dg.define_asset_job(
    REPORT_JOB,
    selection=_REPORT,
    description="Tables -> report: makes a report from what the tables hold.",
    config=CONSOLE_CONFIG,
)
ingest_and_report_job = dg.define_asset_job(
    INGEST_AND_REPORT_JOB,
    selection=_RAW | _REPORT,
    description="Files -> tables -> report, in one run.",
    config=CONSOLE_CONFIG,
)

JOBS = [ingest_job, report_job, ingest_and_report_job]
