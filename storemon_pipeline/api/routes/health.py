"""/healthz, /readyz, /metrics: for those who watch over the API."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from storemon_pipeline.api import models
from storemon_pipeline.api.dependencies import AppState, AppStateDep
from storemon_pipeline.api.errors import (
    DATABASE_ERRORS,
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
from storemon_pipeline.storage.polls import newest_poll, oldest_poll
from storemon_pipeline.storage.reports import count_reports_by_status
from storemon_pipeline.storage.schema_version import NewerDatabaseError

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="Alive")
async def healthz() -> models.Health:
    """It answers. Needs no token, and, unlike all others, no thread."""
    return models.Health(status="ok")


def _readiness_errors(services: AppState) -> Iterator[ErrorDetail]:
    try:
        with services.database.read() as connection:
            has_polls = oldest_poll(connection) is not None
    except NewerDatabaseError as error:
        yield ErrorDetail(where="database", message=str(error))
    except DATABASE_ERRORS:
        yield ErrorDetail(where="database", message="it cannot be reached")
    else:
        if not has_polls:
            yield ErrorDetail(where="polls", message=NO_POLLS_YET)
    try:
        silent = services.dagster.unhealthy_daemons()
    except DagsterUnavailableError as error:
        yield ErrorDetail(where="dagster", message=f"its webserver cannot be reached: {error}")
    else:
        if silent:
            named = ", ".join(silent)
            yield ErrorDetail(
                where="daemon",
                message=f"no fresh heartbeat of {named}: is dagster-daemon running?",
            )


@router.get("/readyz", summary="Ready", responses=problem_responses())
def readyz(services: AppStateDep) -> models.Health:
    """A report can be made: the database has polls, Dagster answers, its daemon is alive."""
    trouble = list(_readiness_errors(services))
    if trouble:
        raise ProblemError(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "; ".join(f"{each.where}: {each.message}" for each in trouble),
            type_slug="not-ready",
            errors=trouble,
        )
    return models.Health(status="ok")


class _DatabaseCollector(Collector):
    """Metrics of what the tables hold, read when they are asked for."""

    def __init__(self, services: AppState) -> None:
        self._services = services

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("storemon_database_up", "Whether the database can be reached.")
        now = datetime.now(UTC)
        try:
            with self._services.database.read() as connection:
                counts, newest = count_reports_by_status(connection), newest_poll(connection, now)
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
            age = GaugeMetricFamily(
                "storemon_newest_poll_age_seconds", "How long ago the newest poll was made."
            )
            age.add_metric([], (now - newest).total_seconds())
            yield age
        yield from _ingest_metrics(success, failures)


def _ingest_metrics(success: IngestRun | None, failures: IngestFailures | None) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "storemon_ingest_failures",
        "Ingests that failed since the last one that succeeded; 0: the last one succeeded.",
        value=0 if failures is None else failures.runs,
    )
    if success is not None and success.finished_at is not None:
        yield GaugeMetricFamily(
            "storemon_ingest_last_success_timestamp_seconds",
            "When all files were last ingested.",
            value=success.finished_at.timestamp(),
        )


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={
        HTTPStatus.OK.value: {
            "description": "In Prometheus' text format.",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        },
        **problem_responses(),
    },
)
def metrics(services: AppStateDep) -> Response:
    """Requests and their latencies, reports by status, the age of the newest poll."""
    of_tables = CollectorRegistry(auto_describe=False)
    of_tables.register(_DatabaseCollector(services))
    text = generate_latest(REGISTRY) + generate_latest(of_tables)
    return Response(text, media_type=CONTENT_TYPE_LATEST)
