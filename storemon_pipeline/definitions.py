"""Definitions for Dagster: ``dagster … -m storemon_pipeline.definitions``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from storemon_pipeline.defs.asset_checks import CHECKS
from storemon_pipeline.defs.assets.intervals import (
    current_status_asset,
    open_hours,
    status_intervals,
)
from storemon_pipeline.defs.assets.raw import ingest
from storemon_pipeline.defs.assets.report import report
from storemon_pipeline.defs.assets.request import (
    polled_stores,
    report_request,
    special_dates,
    weekly_hours,
)
from storemon_pipeline.defs.heartbeat import RunHeartbeat
from storemon_pipeline.defs.io_managers import ParquetIOManager, RequestIOManager
from storemon_pipeline.defs.jobs import JOBS
from storemon_pipeline.defs.removal import remove_polls_job
from storemon_pipeline.defs.report_lifecycle import mark_report_failed
from storemon_pipeline.defs.resources import StoremonResource
from storemon_pipeline.defs.retention import retention_job, retention_schedule
from storemon_pipeline.defs.schedules import SCHEDULES
from storemon_pipeline.defs.sensors.new_files import SENSORS
from storemon_pipeline.defs.sensors.outage_alerts import ALERT_SENSORS
from storemon_pipeline.defs.sensors.report_requests import REPORT_SENSORS


def build_defs(resource_overrides: Mapping[str, Any] | None = None) -> dg.Definitions:
    """Wire the assets, checks, jobs, schedules, sensors and resources.

    Parameters
    ----------
    resource_overrides : mapping, optional
        Resources to use instead of the project's, by key: ``storemon``, ``heartbeat``,
        ``request_io``, ``table_io``.
    """
    resources = {
        "storemon": StoremonResource(),
        "heartbeat": RunHeartbeat(),
        "request_io": RequestIOManager(),
        "table_io": ParquetIOManager(),
    }
    assets = [
        ingest,
        report_request,
        polled_stores,
        weekly_hours,
        special_dates,
        open_hours,
        status_intervals,
        current_status_asset,
        report,
    ]
    return dg.Definitions(
        # on the assets, not the jobs: runs of assets that are selected in the UI have no job
        assets=[asset.with_hooks({mark_report_failed}) for asset in assets],
        asset_checks=CHECKS,
        jobs=[*JOBS, retention_job, remove_polls_job],
        schedules=[*SCHEDULES, retention_schedule],
        sensors=[*SENSORS, *REPORT_SENSORS, *ALERT_SENSORS],
        resources={**resources, **(resource_overrides or {})},
        # a report takes seconds, less than starting one process per step
        executor=dg.in_process_executor,
    )


defs = build_defs()
