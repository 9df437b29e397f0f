"""/v1/reports: create, list, get, cancel and delete reports."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Body, Header, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field, TypeAdapter

from storemon_pipeline.api import models
from storemon_pipeline.api.dependencies import AppState, AppStateDep
from storemon_pipeline.api.file_responses import REPORT_MEDIA_TYPES
from storemon_pipeline.api.pagination import CursorQuery, Paginator
from storemon_pipeline.api.problems import dagster_unavailable, problem_responses
from storemon_pipeline.api.report_lookup import (
    ReportId,
    get_report_by_id_or_404,
    get_report_or_404,
)
from storemon_pipeline.api.report_submission import submit_report
from storemon_pipeline.api.threads import run_in_writer_thread
from storemon_pipeline.clients.dagster_graphql import DagsterUnavailableError, RunNotFoundError
from storemon_pipeline.evaluation.stale_runs import read_stale_runs
from storemon_pipeline.storage.report_requests import cancel_request
from storemon_pipeline.storage.report_writer import delete_report_files, is_valid_report_id
from storemon_pipeline.storage.reports import (
    COMPLETE,
    IN_PROGRESS,
    RUNNING,
    ReportRecord,
    cancel_report,
    read_reports,
)
from storemon_pipeline.storage.retention import drop_report_row
from storemon_pipeline.uptime.report_request import Instant, ReportSpec

router = APIRouter(prefix="/v1/reports", tags=["reports"])

ROWS = "report.json"
REPORT_PAGINATOR = Paginator[tuple[datetime, str]](
    TypeAdapter(tuple[Instant, Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,255}$")]])
)
_EXAMPLES = {
    "default": {
        "summary": "The last hour, day and week of all stores",
        "value": {},
    },
    "range": {
        "summary": "A range, for two stores",
        "value": {
            "start": "2023-01-20T00:00:00Z",
            "end": "2023-01-23T00:00:00Z",
            "windows": ["range"],
            "store_ids": ["1481966498820158979", "2626836190376142542"],
        },
    },
    "calendar": {
        "summary": "Complete days and weeks of each store's own calendar",
        "value": {"windows": ["yesterday", "last_calendar_week"]},
    },
    "rules": {
        "summary": "Other rules",
        "value": {"windows": ["month"], "rules": {"interpolation": "nearest"}},
    },
}


def to_report_model(app_state: AppState, record: ReportRecord) -> models.Report:
    """Return the response model of a report."""
    home = f"/v1/reports/{record.report_id}"
    names = (*REPORT_MEDIA_TYPES, ROWS) if record.status == COMPLETE else ()
    files = {name: f"{home}/{name}" for name in names}
    run = f"{app_state.ui_url}/runs/{record.run_id}" if record.run_id else None
    return models.Report(
        id=record.report_id,
        status=record.status,
        run_id=record.run_id,
        request=record.request,
        as_of=record.as_of,
        requested_at=record.requested_at,
        finished_at=record.finished_at,
        stores=record.stores,
        error=record.error,
        links=models.Links(self=home, page=f"/reports/{record.report_id}", run=run, files=files),
    )


def report_key(record: ReportRecord) -> tuple[datetime, str]:
    """Return the sort key of a report in lists."""
    return record.requested_at, record.report_id


@router.post(
    "",
    status_code=HTTPStatus.ACCEPTED,
    response_model=models.Report,
    summary="Create a report",
    responses={
        HTTPStatus.ACCEPTED.value: {
            "description": "Accepted; the report is or will be in progress.",
            "headers": {
                "Location": {"description": "URL of the report.", "schema": {"type": "string"}},
                "Retry-After": {
                    "description": "Seconds to wait before polling the report.",
                    "schema": {"type": "integer"},
                },
            },
        },
        **problem_responses(
            HTTPStatus.FORBIDDEN,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            HTTPStatus.TOO_MANY_REQUESTS,
        ),
    },
)
@run_in_writer_thread
def create_report(
    app_state: AppStateDep,
    request: Request,
    spec: Annotated[ReportSpec | None, Body(openapi_examples=_EXAMPLES)] = None,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=200,
            pattern=r"^[\x21-\x7e]+$",
            description="Makes the request idempotent: repeating a key returns the first report.",
        ),
    ] = None,
) -> JSONResponse:
    """Request a report; without a body, of the last hour, day and week of all stores.

    A Dagster run makes the report. While Dagster is unavailable, the request stays pending. If an
    equal request is in progress, its report is returned.
    """
    record = submit_report(
        app_state,
        spec or ReportSpec(),
        http_request_id=request.state.id,
        key=idempotency_key,
    )
    report = to_report_model(app_state, record)
    return JSONResponse(
        report.model_dump(mode="json"),
        HTTPStatus.ACCEPTED,
        {"Location": report.links.self, "Retry-After": "1"},
    )


@router.get("", summary="List reports", responses=problem_responses())
def list_reports(
    app_state: AppStateDep,
    limit: Annotated[int, Query(ge=1, le=100, description="Page size.")] = 20,
    cursor: CursorQuery = None,
) -> models.Reports:
    """List all reports, newest first."""
    before = REPORT_PAGINATOR.decode(cursor)
    with app_state.database.read() as connection:
        records = read_reports(connection, limit=limit + 1, before=before)
    page = REPORT_PAGINATOR.page(records, limit, report_key)
    return models.Reports(
        reports=[to_report_model(app_state, record) for record in page.items],
        next=page.next_link("/v1/reports", {"limit": limit}),
    )


@router.get(
    "/{report_id}", summary="Get a report", responses=problem_responses(HTTPStatus.NOT_FOUND)
)
def get_report(app_state: AppStateDep, report_id: ReportId) -> models.Report:
    """Return a report, with the progress of its run."""
    record = get_report_or_404(app_state, report_id)
    report = to_report_model(app_state, record)
    if record.status == RUNNING and record.run_id is not None:
        try:
            progress = app_state.dagster.progress(record.run_id)
        except DagsterUnavailableError:
            progress = None
        if progress is not None:
            report.progress = models.Progress(
                done=progress.done, steps=progress.steps, running=progress.running
            )
    return report


@router.delete(
    "/{report_id}",
    summary="Cancel or delete a report",
    response_class=Response,
    status_code=HTTPStatus.NO_CONTENT,
    responses={
        HTTPStatus.ACCEPTED.value: {
            "description": "The report was in progress and is canceled.",
            "model": models.Report,
        },
        HTTPStatus.NO_CONTENT.value: {"description": "The report was finished and is deleted."},
        **problem_responses(HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND),
    },
)
@run_in_writer_thread
def delete_report(app_state: AppStateDep, report_id: ReportId) -> Response:
    """Cancel a report in progress, or delete a finished one with its files."""
    record = get_report_by_id_or_404(app_state, report_id)
    if record.status in IN_PROGRESS:
        _cancel_report(app_state, record)
        report = to_report_model(app_state, get_report_by_id_or_404(app_state, record.report_id))
        return JSONResponse(report.model_dump(mode="json"), HTTPStatus.ACCEPTED)
    # delete the row last, so that an interrupted deletion can be repeated
    for directory in {record.report_id, record.run_id} - {None}:
        if is_valid_report_id(str(directory)):
            delete_report_files(app_state.settings.reports_path, str(directory))
    with app_state.database.registry_transaction() as connection:
        drop_report_row(connection, record.report_id)
    return Response(status_code=HTTPStatus.NO_CONTENT)


def _cancel_report(app_state: AppState, record: ReportRecord) -> None:
    if record.run_id is None:
        with app_state.database.registry_transaction(lock="requests") as connection:
            if cancel_request(connection, record.report_id):
                return
        record = get_report_by_id_or_404(app_state, record.report_id)
        if record.run_id is None or record.status not in IN_PROGRESS:
            return  # canceled by another request, or finished
    with app_state.database.read() as connection:
        is_dead = record.run_id in read_stale_runs(connection, datetime.now(UTC))
    if is_dead:  # Dagster cannot reach its process; a sensor marks the run as canceled
        with app_state.database.registry_transaction() as connection:
            cancel_report(connection, record.run_id, canceled_at=datetime.now(UTC))
        return
    try:
        app_state.dagster.terminate(record.run_id)
    except RunNotFoundError:
        # the run is not in this Dagster instance: no sensor will cancel the report
        with app_state.database.registry_transaction() as connection:
            cancel_report(connection, record.run_id, canceled_at=datetime.now(UTC))
    except DagsterUnavailableError as error:
        detail = f"Dagster could not cancel the run {record.run_id}: {error}"
        raise dagster_unavailable(detail) from error
