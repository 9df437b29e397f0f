"""/healthz, /readyz, /metrics: monitoring."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from storemon_pipeline.api import models
from storemon_pipeline.api.database_errors import DATABASE_ERRORS
from storemon_pipeline.api.dependencies import AppState, AppStateDep
from storemon_pipeline.api.problems import (
    NO_POLLS_YET,
    ErrorDetail,
    ProblemError,
    problem_responses,
)
from storemon_pipeline.clients.dagster_graphql import DagsterUnavailableError
from storemon_pipeline.storage.ingest_runs import (
    IngestFailures,
    IngestRun,
    ingest_failures,
    latest_success,
)
from storemon_pipeline.storage.polled_stores import newest_poll, oldest_poll
from storemon_pipeline.storage.reports import count_reports_by_status
from storemon_pipeline.storage.schema_version import NewerDatabaseError

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="Check liveness")
async def healthz() -> models.Health:
    """Return 200 while the process is alive. Needs no token, and no worker thread."""
    return models.Health(status="ok")


def _readiness_errors(app_state: AppState) -> Iterator[ErrorDetail]:
    try:
        with app_state.database.read() as connection:
            has_polls = oldest_poll(connection) is not None
    except NewerDatabaseError as error:
        yield ErrorDetail(where="database", message=str(error))
    except DATABASE_ERRORS:
        yield ErrorDetail(where="database", message="unavailable")
    else:
        if not has_polls:
            yield ErrorDetail(where="polls", message=NO_POLLS_YET)
    try:
        unhealthy = app_state.dagster.unhealthy_daemons()
    except DagsterUnavailableError as error:
        yield ErrorDetail(where="dagster", message=f"webserver unavailable: {error}")
    else:
        if unhealthy:
            names = ", ".join(unhealthy)
            message = f"no recent heartbeat of {names}: is dagster-daemon running?"
            yield ErrorDetail(where="daemon", message=message)


@router.get("/readyz", summary="Check readiness", responses=problem_responses())
def readyz(app_state: AppStateDep) -> models.Health:
    """Return 200 if reports can be made: polls are ingested, Dagster and its daemon are up."""
    errors = list(_readiness_errors(app_state))
    if errors:
        raise ProblemError(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "; ".join(f"{error.where}: {error.message}" for error in errors),
            type_slug="not-ready",
            errors=errors,
        )
    return models.Health(status="ok")


class _DatabaseCollector(Collector):
    """Metrics from the database, queried on each scrape."""

    def __init__(self, app_state: AppState) -> None:
        self._app_state = app_state

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("storemon_database_up", "Whether the database is available.")
        now = datetime.now(UTC)
        try:
            database = self._app_state.database
            with database.read() as connection:
                counts = count_reports_by_status(connection)
                newest = newest_poll(database.polls, connection, now)
                success, failures = latest_success(connection), ingest_failures(connection)
        except DATABASE_ERRORS:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        reports = GaugeMetricFamily("storemon_reports", "Reports by status.", labels=["status"])
        for status, count in counts.items():
            reports.add_metric([status], count)
        yield reports
        if newest is not None:
            age = GaugeMetricFamily("storemon_newest_poll_age_seconds", "Age of the newest poll.")
            age.add_metric([], (now - newest).total_seconds())
            yield age
        yield from _ingest_metrics(success, failures)


def _ingest_metrics(success: IngestRun | None, failures: IngestFailures | None) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "storemon_ingest_failures",
        "Failed ingests since the last successful one.",
        value=0 if failures is None else failures.runs,
    )
    if success is not None and success.finished_at is not None:
        yield GaugeMetricFamily(
            "storemon_ingest_last_success_timestamp_seconds",
            "Time of the last successful ingest.",
            value=success.finished_at.timestamp(),
        )


@router.get(
    "/metrics",
    summary="Get Prometheus metrics",
    response_class=Response,
    responses={
        HTTPStatus.OK.value: {
            "description": "Metrics in the Prometheus text format.",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        },
        **problem_responses(),
    },
)
def get_metrics(app_state: AppStateDep) -> Response:
    """Return metrics of requests, reports, polls and ingests."""
    database_registry = CollectorRegistry(auto_describe=False)
    database_registry.register(_DatabaseCollector(app_state))
    text = generate_latest(REGISTRY) + generate_latest(database_registry)
    return Response(text, media_type=CONTENT_TYPE_LATEST)
