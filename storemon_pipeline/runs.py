"""Names of jobs, and tags and run config of the runs that make reports.

The API launches such runs through Dagster's GraphQL endpoint; a sensor launches those that the API
could not launch.
"""

from __future__ import annotations

from typing import Any

from storemon_pipeline.uptime.report_request import ReportSpec

INGEST_JOB = "ingest_job"
REPORT_JOB = "report_job"
INGEST_AND_REPORT_JOB = "ingest_and_report_job"

REQUEST_TAG = "storemon/request_id"
"""Tag of a run: id of the request whose report it makes."""

HTTP_REQUEST_TAG = "storemon/http_request_id"
"""Tag of a run: id of the HTTP request that submitted it, as in the API's log."""

FILES_TAG = "storemon/files"
"""Tag of a run: digest of the raw files that it was started for."""


def report_run_config(spec: ReportSpec) -> dict[str, Any]:
    """Return the run config of ``report_job``, without the spec's default values.

    Examples
    --------
    >>> report_run_config(ReportSpec(windows=("day",)))
    {'ops': {'report_request': {'config': {'windows': ['day']}}}}
    """
    return {
        "ops": {"report_request": {"config": spec.model_dump(mode="json", exclude_defaults=True)}}
    }


def report_run_tags(request_id: str, http_request_id: str | None) -> dict[str, str]:
    """Return the tags of a run that makes the report of a request."""
    tags = {REQUEST_TAG: request_id}
    return tags if http_request_id is None else tags | {HTTP_REQUEST_TAG: http_request_id}
