"""POST /ingest: start ``ingest_job``, or return its run that is already queued.

A legacy endpoint; its response has the shape of the previous systems.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus

from anyio import to_thread
from fastapi import APIRouter, Request

from storemon_pipeline.api import models
from storemon_pipeline.api.dependencies import AppStateDep
from storemon_pipeline.api.problems import ProblemError, dagster_unavailable, problem_responses
from storemon_pipeline.clients.dagster_graphql import (
    DagsterGraphQLClient,
    DagsterUnavailableError,
    LaunchRejectedError,
)
from storemon_pipeline.runs import HTTP_REQUEST_TAG, INGEST_JOB

router = APIRouter(tags=["legacy"])

_MAX_PENDING = 200
_RETRY_SECONDS = 5


class IngestQueue:
    """Serializes the requests that look for a queued run and launch one.

    Attributes
    ----------
    lock : asyncio.Lock
        An asyncio lock: waiting requests hold no thread.
    pending : int
        Number of requests that hold the lock or wait for it.
    """

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.pending = 0


_queue = IngestQueue()


@router.post(
    "/ingest",
    summary="Ingest the raw files",
    responses=problem_responses(HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS),
)
async def start_ingest(app_state: AppStateDep, request: Request) -> models.Launched:
    """Start `ingest_job`, or return its run that is already queued."""
    if _queue.pending >= _MAX_PENDING:
        raise ProblemError(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"{_MAX_PENDING} requests for {INGEST_JOB} are pending: try again in "
            f"{_RETRY_SECONDS} seconds",
            type_slug="too-many-queued",
            headers={"Retry-After": str(_RETRY_SECONDS)},
        )
    _queue.pending += 1
    try:
        async with _queue.lock:
            launch = partial(_launch_or_join, app_state.dagster, request.state.id)
            return await to_thread.run_sync(launch, limiter=app_state.writers)
    finally:
        _queue.pending -= 1


def _launch_or_join(dagster: DagsterGraphQLClient, http_request_id: str) -> models.Launched:
    try:
        run_id = dagster.waiting_run(INGEST_JOB)
        if run_id is not None:
            message = f"{INGEST_JOB} is already queued: its run will read the current files"
            return models.Launched(run_id=run_id, message=message)
        run_id = dagster.launch(INGEST_JOB, {}, {HTTP_REQUEST_TAG: http_request_id})
    except DagsterUnavailableError as error:
        detail = f"Dagster is unavailable, nothing was started: {error}"
        raise dagster_unavailable(detail) from error
    except LaunchRejectedError as error:
        raise ProblemError(
            HTTPStatus.SERVICE_UNAVAILABLE,
            f"Dagster rejected the launch of {INGEST_JOB}: {error}",
            type_slug="launch-refused",
        ) from error
    started = datetime.now(UTC).isoformat(timespec="seconds")
    return models.Launched(run_id=run_id, message=f"{INGEST_JOB} was started at {started}")
