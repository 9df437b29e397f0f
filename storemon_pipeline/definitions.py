"""Definitions for Dagster: ``dagster … -m storemon_pipeline.definitions``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from storemon_pipeline.defs import asset_checks, assets
from storemon_pipeline.defs.compaction import compaction_job, compaction_schedule
from storemon_pipeline.defs.heartbeat import RunHeartbeat
from storemon_pipeline.defs.io_managers import ParquetIOManager, RequestIOManager
from storemon_pipeline.defs.jobs import JOBS
from storemon_pipeline.defs.remove_polls_job import remove_polls_job
from storemon_pipeline.defs.report_lifecycle import mark_report_failed
from storemon_pipeline.defs.resources import StoremonResource
from storemon_pipeline.defs.retention_job import retention_job, retention_schedule
from storemon_pipeline.defs.schedules import hourly_report_schedule
from storemon_pipeline.defs.sensors.new_files import new_files_sensor
from storemon_pipeline.defs.sensors.outage_alerts import outage_alert_sensor
from storemon_pipeline.defs.sensors.report_requests import (
    report_request_sensor,
    report_status_sensor,
)


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
    return dg.Definitions(
        # on the assets, not the jobs: runs of assets that are selected in the UI have no job
        assets=[
            asset.with_hooks({mark_report_failed})
            for asset in dg.load_assets_from_package_module(assets)
            if isinstance(asset, dg.AssetsDefinition)
        ],
        asset_checks=dg.load_asset_checks_from_modules([asset_checks]),
        jobs=[*JOBS, compaction_job, retention_job, remove_polls_job],
        schedules=[compaction_schedule, hourly_report_schedule, retention_schedule],
        sensors=[
            new_files_sensor,
            report_request_sensor,
            report_status_sensor,
            outage_alert_sensor,
        ],
        resources={**resources, **(resource_overrides or {})},
        # a report takes seconds, less than starting one process per step
        executor=dg.in_process_executor,
    )


defs = build_defs()
