"""Schedules of the jobs."""

from __future__ import annotations

import dagster as dg

from storemon_pipeline.defs.jobs import ingest_and_report_job

hourly_report_schedule = dg.ScheduleDefinition(
    name="hourly_report_schedule",
    job=ingest_and_report_job,
    cron_schedule="5 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Ingests and reports five minutes past every hour. Stopped by default.",
)
"""Stopped by default: for data directories that receive files every hour."""
