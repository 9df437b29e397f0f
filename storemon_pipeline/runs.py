"""How a run is asked to make a report: its job, its tags, its run config.

Known to both sides: to the API, which launches runs through Dagster's GraphQL endpoint, and to the
sensor, which launches those that could not be launched so.
"""

from __future__ import annotations

from typing import Any

from storemon_pipeline.uptime.report_request import ReportSpec

REPORT_JOB, INGEST_JOB = "report_job", "ingest_job"
INGEST_AND_REPORT_JOB = "ingest_and_report_job"

REQUEST_TAG = "storemon/request_id"
"""The tag of a run that names the request it makes the report of."""

HTTP_REQUEST_TAG = "storemon/http_request_id"
"""The tag of a run that names the HTTP request, as its log does, that asked for it."""


def report_run_config(spec: ReportSpec) -> dict[str, Any]:
    """Run config of ``report_job``; what is not asked for is left to its defaults.

    Examples
    --------
    >>> report_run_config(ReportSpec(windows=("day",)))
    {'ops': {'report_request': {'config': {'windows': ['day']}}}}
    """
    return {
        "ops": {"report_request": {"config": spec.model_dump(mode="json", exclude_defaults=True)}}
    }


def report_run_tags(request_id: str, http_request_id: str | None) -> dict[str, str]:
    """Tags of a run that makes the report of a request."""
    tags = {REQUEST_TAG: request_id}
    return tags if http_request_id is None else tags | {HTTP_REQUEST_TAG: http_request_id}
