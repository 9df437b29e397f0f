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
    description="Ingests and reports five minutes past every hour. Off until it is switched on.",
)
"""Off by default: it is for data directories that are filled by the hour."""


SCHEDULES = [hourly_report_schedule]
