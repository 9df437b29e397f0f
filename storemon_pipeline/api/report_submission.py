"""Asking for a report: the request is put on record first and then offered to Dagster.

What happens to either process, what was accepted is not lost: a request that could not be launched
waits for ``report_request_sensor``.
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
from storemon_pipeline.api.errors import ErrorDetail, ProblemError, no_polls_yet
from storemon_pipeline.clients.bulkhead import BulkheadFullError
from storemon_pipeline.clients.dagster_graphql import DagsterUnavailableError, LaunchRejectedError
from storemon_pipeline.runs import REPORT_JOB, report_run_config, report_run_tags
from storemon_pipeline.storage.heartbeats import expire_stale_reports
from storemon_pipeline.storage.polls import filter_unknown_stores, oldest_poll
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
# an equal request that is being launched by another one is waited for
_WAIT_SECONDS, _WAIT_STEP_SECONDS = 5.0, 0.05

_log = structlog.get_logger()


def submit_report(
    services: AppState, spec: ReportSpec, *, http_request_id: str, key: str | None = None
) -> ReportRecord:
    """Ask for a report, and give what is known of it: of an equal one, if one is in progress.

    Parameters
    ----------
    services : AppState
    spec : ReportSpec
    http_request_id : str
        Becomes a tag of the run.
    key : str, optional
        The client's idempotency key.

    Raises
    ------
    ProblemError
        Where it is refused; then nothing is on record.
    """
    try:
        check_times(spec, datetime.now(UTC))
    except UnanswerableError as error:
        raise unanswerable(error, "body") from error
    database = services.database
    with database.read() as connection:
        require_polls(connection)
        unknown = filter_unknown_stores(connection, spec.store_ids or ())
    if unknown:
        raise _unknown_stores_problem(unknown)
    with database.registry_transaction(lock="requests") as connection:
        # the report of a process that has died must not be handed out
        expire_stale_reports(connection, datetime.now(UTC))
        try:
            kept = create_or_get_request(
                connection,
                spec,
                str(uuid4()),
                datetime.now(UTC),
                max_queued=services.settings.max_queued_reports,
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
    if kept.is_new:
        _launch(services, kept)
    elif kept.status == PENDING:
        # when too many requests wait already, return the current state instead of waiting
        with suppress(BulkheadFullError), services.waiting_for_launch.entered():
            _wait_for_launch(services, kept)
    with database.read() as connection:
        state = find_report(connection, kept.request_id)
    if state is None:
        raise ProblemError(HTTPStatus.NOT_FOUND, "the report was removed meanwhile")
    return state


def require_polls(connection: Connection) -> None:
    """Refuse to make a report before the first ingest has finished.

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
        The part of the request that the field is in: ``body`` or ``query``.
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


def _launch(services: AppState, kept: StoredRequest) -> None:
    tags = report_run_tags(kept.request_id, kept.http_request_id)
    try:
        run_id = services.dagster.launch(REPORT_JOB, report_run_config(kept.spec), tags)
    except DagsterUnavailableError as error:
        _log.warning(
            "the report waits for Dagster", report_request=kept.request_id, reason=str(error)
        )
        if not error.may_have_run:  # or else it may be launched already: the sensor looks, later
            with services.database.registry_transaction() as connection:
                release_request(connection, kept.request_id)
    except LaunchRejectedError as error:
        with services.database.registry_transaction() as connection:
            mark_failed(connection, kept.request_id, str(error))
    else:
        with services.database.registry_transaction() as connection:
            mark_launched(connection, kept, run_id)


def _wait_for_launch(services: AppState, kept: StoredRequest) -> None:
    give_up_at = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < give_up_at:
        with services.database.read() as connection:
            request = find_request(connection, kept.request_id)
        if request is None or request.status != PENDING or request.launch_attempted_at is None:
            return
        time.sleep(_WAIT_STEP_SECONDS)
