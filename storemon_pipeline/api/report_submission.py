"""Submits a report: the request is stored first, then launched in Dagster.

An accepted request survives a crash of either process: ``report_request_sensor`` launches requests
that are still pending.
"""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from uuid import uuid4

import structlog
from sqlalchemy import Connection

from storemon_pipeline.api.dependencies import AppState
from storemon_pipeline.api.problems import ErrorDetail, ProblemError, no_polls_yet
from storemon_pipeline.clients.bulkhead import BulkheadFullError
from storemon_pipeline.clients.dagster_graphql import DagsterUnavailableError, LaunchRejectedError
from storemon_pipeline.evaluation.stale_runs import expire_stale_reports
from storemon_pipeline.runs import REPORT_JOB, report_run_config, report_run_tags
from storemon_pipeline.storage.polled_stores import filter_unknown_stores, oldest_poll
from storemon_pipeline.storage.report_requests import (
    IdempotencyKeyReusedError,
    StoredRequest,
    TooManyQueuedError,
    create_or_get_request,
    find_request,
    mark_failed,
    mark_launched,
    release_request,
)
from storemon_pipeline.storage.reports import PENDING, ReportRecord, find_report
from storemon_pipeline.uptime.messages import summarize_ids
from storemon_pipeline.uptime.report_request import ReportSpec, UnanswerableError, check_times

_RETRY_SECONDS = 10
# how long to wait while an equal request is being launched
_WAIT_SECONDS, _WAIT_STEP_SECONDS = 5.0, 0.05

_log = structlog.get_logger()


def submit_report(
    app_state: AppState, spec: ReportSpec, *, http_request_id: str, key: str | None = None
) -> ReportRecord:
    """Submit a request for a report; return the report, or an equal one in progress.

    Parameters
    ----------
    app_state : AppState
    spec : ReportSpec
    http_request_id : str
        Becomes a tag of the run.
    key : str, optional
        The client's idempotency key.

    Raises
    ------
    ProblemError
        If the request is rejected; nothing is stored then.
    """
    try:
        check_times(spec, datetime.now(UTC))
    except UnanswerableError as error:
        raise unanswerable(error, "body") from error
    database = app_state.database
    with database.read() as connection:
        require_polls(connection)
        unknown = filter_unknown_stores(connection, spec.store_ids or ())
    if unknown:
        raise _unknown_stores_problem(unknown)
    with database.registry_transaction(lock="requests") as connection:
        # do not return the report of a dead process
        expire_stale_reports(connection, datetime.now(UTC))
        try:
            stored = create_or_get_request(
                connection,
                spec,
                str(uuid4()),
                datetime.now(UTC),
                max_queued=app_state.settings.max_queued_reports,
                key=key,
                http_request_id=http_request_id,
            )
        except IdempotencyKeyReusedError as error:
            detail = f"{error}: use another Idempotency-Key for another request"
            raise ProblemError(
                HTTPStatus.UNPROCESSABLE_ENTITY, detail, type_slug="idempotency-key-reused"
            ) from error
        except TooManyQueuedError as error:
            raise ProblemError(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"{error}: try again in {_RETRY_SECONDS} seconds",
                type_slug="too-many-queued",
                headers={"Retry-After": str(_RETRY_SECONDS)},
            ) from error
    if stored.is_new:
        _launch(app_state, stored)
    elif stored.status == PENDING:
        # if too many requests are waiting already, return the current record instead of waiting
        with suppress(BulkheadFullError), app_state.waiting_for_launch.entered():
            _wait_for_launch(app_state, stored)
    with database.read() as connection:
        record = find_report(connection, stored.request_id)
    if record is None:
        raise ProblemError(HTTPStatus.NOT_FOUND, "the report was deleted meanwhile")
    return record


def require_polls(connection: Connection) -> None:
    """Reject requests before the first ingest has finished.

    Raises
    ------
    ProblemError
        503, with ``Retry-After``.
    """
    if oldest_poll(connection) is None:
        raise no_polls_yet()


def unanswerable(error: UnanswerableError, within: str) -> ProblemError:
    """Return the 422 problem for a request whose times cannot be reported on.

    Parameters
    ----------
    error : UnanswerableError
    within : str
        The part of the request with the field: ``body`` or ``query``.
    """
    return ProblemError(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        str(error),
        errors=[ErrorDetail(where=f"{within}.{error.field}", message=str(error))],
    )


def _unknown_stores_problem(store_ids: list[str]) -> ProblemError:
    detail = f"never polled: {summarize_ids(store_ids)}"
    return ProblemError(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        detail,
        type_slug="unknown-store",
        errors=[ErrorDetail(where="body.store_ids", message=detail)],
    )


def _launch(app_state: AppState, stored: StoredRequest) -> None:
    tags = report_run_tags(stored.request_id, stored.http_request_id)
    try:
        run_id = app_state.dagster.launch(REPORT_JOB, report_run_config(stored.spec), tags)
    except DagsterUnavailableError as error:
        _log.warning(
            "Dagster is unavailable, the report request stays pending",
            report_request=stored.request_id,
            reason=str(error),
        )
        if not error.may_have_run:  # else it may be launched: the sensor checks later
            with app_state.database.registry_transaction() as connection:
                release_request(connection, stored.request_id)
    except LaunchRejectedError as error:
        with app_state.database.registry_transaction() as connection:
            mark_failed(connection, stored.request_id, str(error))
    else:
        with app_state.database.registry_transaction() as connection:
            mark_launched(connection, stored, run_id)


def _wait_for_launch(app_state: AppState, stored: StoredRequest) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < deadline:
        with app_state.database.read() as connection:
            request = find_request(connection, stored.request_id)
        if request is None or request.status != PENDING or request.launch_attempted_at is None:
            return
        time.sleep(_WAIT_STEP_SECONDS)
