"""/v1/reports: ask for a report, see how it is, fetch its files, cancel or remove it."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter, Body, Header, Path, Query, Request, Response
from fastapi.responses import JSONResponse

from storemon_pipeline.api import models
from storemon_pipeline.api.content_negotiation import CSV, HTML
from storemon_pipeline.api.dependencies import AppState, AppStateDep
from storemon_pipeline.api.errors import ProblemError, dagster_unavailable, problem_responses
from storemon_pipeline.api.file_responses import (
    REPORT_MEDIA_TYPES,
    range_responses,
    report_file_response,
    send_store_rows,
    text_content,
)
from storemon_pipeline.api.report_submission import submit_report
from storemon_pipeline.api.threads import run_in_writer_thread
from storemon_pipeline.clients.dagster_graphql import DagsterUnavailableError, RunNotFoundError
from storemon_pipeline.storage.heartbeats import stale_heartbeats
from storemon_pipeline.storage.report_requests import cancel_request
from storemon_pipeline.storage.report_writer import delete_report_files, is_valid_report_id
from storemon_pipeline.storage.reports import (
    COMPLETE,
    IN_PROGRESS,
    RUNNING,
    ReportRecord,
    cancel_report,
    find_report,
    newest_standard_report,
    read_reports,
)
from storemon_pipeline.storage.retention import drop_report_row
from storemon_pipeline.uptime.conversions import to_iso_z
from storemon_pipeline.uptime.messages import quote_value
from storemon_pipeline.uptime.report_request import ReportSpec, StoreId, parse_instant

router = APIRouter(prefix="/v1/reports", tags=["reports"])

ReportId = Annotated[
    str,
    Path(
        description=(
            "The id that was given when the report was asked for, or its run's; latest for the "
            "newest report of all stores over the default windows by the default rules."
        ),
    ),
]
OfStore = Annotated[
    StoreId | None, Query(description="Only the rows of this store; none where it has none.")
]
LATEST = "latest"
"""In place of an id: the newest standard report."""

ROWS = "report.json"
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


def to_report_model(services: AppState, state: ReportRecord) -> models.Report:
    """A report as the API shows it."""
    home = f"/v1/reports/{state.report_id}"
    names = (*REPORT_MEDIA_TYPES, ROWS) if state.status == COMPLETE else ()
    files = {name: f"{home}/{name}" for name in names}
    run = f"{services.ui_url}/runs/{state.run_id}" if state.run_id else None
    return models.Report(
        id=state.report_id,
        status=state.status,
        run_id=state.run_id,
        request=state.request,
        as_of=state.as_of,
        requested_at=state.requested_at,
        finished_at=state.finished_at,
        stores=state.stores,
        error=state.error,
        links=models.Links(self=home, page=f"/reports/{state.report_id}", run=run, files=files),
    )


def get_report_or_404(services: AppState, report_id: str) -> ReportRecord:
    """A report by its id, or the newest standard one by the name ``latest``.

    It is given in place of a redirect, which not every client follows.

    Raises
    ------
    ProblemError
        404 where there is none.
    """
    if report_id != LATEST:
        return found_by_id(services, report_id)
    with services.database.read() as connection:
        state = newest_standard_report(connection)
    if state is None:
        msg = (
            "no report of all stores over the default windows by the default rules is Complete "
            "yet: POST /v1/reports without a body asks for one"
        )
        raise ProblemError(HTTPStatus.NOT_FOUND, msg, type_slug="no-report")
    return state


def found_by_id(services: AppState, report_id: str) -> ReportRecord:
    """A report by its id.

    Raises
    ------
    ProblemError
        404 where there is none.
    """
    state = None
    if is_valid_report_id(
        report_id
    ):  # or else no database need be asked, and some text it cannot take
        with services.database.read() as connection:
            state = find_report(connection, report_id)
    if state is None:
        msg = f"no report has the id {report_id}: GET /v1/reports lists them all"
        raise ProblemError(HTTPStatus.NOT_FOUND, msg, type_slug="unknown-report")
    return state


@router.post(
    "",
    status_code=HTTPStatus.ACCEPTED,
    response_model=models.Report,
    summary="Ask for a report",
    responses={
        HTTPStatus.ACCEPTED.value: {
            "description": "It is on record, and is made or will be.",
            "headers": {
                "Location": {"description": "The report.", "schema": {"type": "string"}},
                "Retry-After": {
                    "description": "In how many seconds to look again.",
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
    services: AppStateDep,
    request: Request,
    spec: Annotated[ReportSpec | None, Body(openapi_examples=_EXAMPLES)] = None,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=200,
            pattern=r"^[\x21-\x7e]+$",
            description="Requests with the same key are one request.",
        ),
    ] = None,
) -> JSONResponse:
    """Ask for a report: without a body, of the last hour, day and week of all stores.

    It is made by a run of Dagster's. While Dagster is away it waits, and is made once it is back.
    An equal request, while one is in progress, gives that one.
    """
    state = submit_report(
        services,
        spec or ReportSpec(),
        http_request_id=request.state.id,
        key=idempotency_key,
    )
    shown = to_report_model(services, state)
    return JSONResponse(
        shown.model_dump(mode="json"),
        HTTPStatus.ACCEPTED,
        {"Location": shown.links.self, "Retry-After": "1"},
    )


def _parse_before(before: str | None) -> tuple[datetime, str] | None:
    if before is None:
        return None
    instant, _, report_id = before.partition("~")
    try:
        requested_at = parse_instant(instant)
    except ValueError:
        requested_at = None
    if not isinstance(requested_at, datetime) or not is_valid_report_id(report_id):
        msg = f"before is {quote_value(before)}: it is what the link to the next page gives"
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, msg)
    return requested_at, report_id


@router.get("", summary="All reports", responses=problem_responses())
def list_reports(
    services: AppStateDep,
    limit: Annotated[int, Query(ge=1, le=100, description="How many on a page.")] = 20,
    before: Annotated[
        str | None,
        Query(
            max_length=200,
            pattern=r"^[0-9:.TZ-]+~[A-Za-z0-9._-]+$",
            description="As the link to the next page has it.",
        ),
    ] = None,
) -> models.Reports:
    """All reports, whoever asked for them, newest first."""
    with services.database.read() as connection:
        states = read_reports(connection, limit=limit + 1, before=_parse_before(before))
    shown, last = states[:limit], states[limit - 1] if len(states) > limit else None
    following = None
    if last is not None:
        instant = to_iso_z(last.requested_at)
        following = f"/v1/reports?limit={limit}&before={instant}~{last.report_id}"
    return models.Reports(
        reports=[to_report_model(services, state) for state in shown], next=following
    )


@router.get("/{report_id}", summary="A report", responses=problem_responses(HTTPStatus.NOT_FOUND))
def get_report(services: AppStateDep, report_id: ReportId) -> models.Report:
    """What is known of a report."""
    state = get_report_or_404(services, report_id)
    shown = to_report_model(services, state)
    if state.status == RUNNING and state.run_id is not None:
        try:
            progress = services.dagster.progress(state.run_id)
        except DagsterUnavailableError:
            progress = None
        if progress is not None:
            shown.progress = models.Progress(
                done=progress.done, steps=progress.steps, running=progress.running
            )
    return shown


@router.get(
    "/{report_id}/{file}",
    summary="A file of a report",
    response_class=Response,
    responses={
        HTTPStatus.OK.value: {
            "description": "The file.",
            "content": text_content(CSV, HTML),
        },
        **range_responses(CSV, HTML),
        **problem_responses(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    },
)
def get_report_file(
    services: AppStateDep,
    request: Request,
    report_id: ReportId,
    file: Literal[
        "report.csv",
        "report_full.csv",
        "downtime_events.csv",
        "downtime_by_hour.csv",
        "report.html",
    ],
    store_id: OfStore = None,
) -> Response:
    """A file of a Complete report: whole, in ranges, compressed, or the rows of one store."""
    state = get_report_or_404(services, report_id)
    if store_id is not None:
        return send_store_rows(services, state, file, store_id)
    stem, _, ending = file.partition(".")
    return report_file_response(
        services, request, state, file, attachment=f"{stem}_{state.report_id}.{ending}"
    )


@router.delete(
    "/{report_id}",
    summary="Cancel or remove a report",
    response_class=Response,
    status_code=HTTPStatus.NO_CONTENT,
    responses={
        HTTPStatus.ACCEPTED.value: {
            "description": "It was in progress, and is canceled.",
            "model": models.Report,
        },
        HTTPStatus.NO_CONTENT.value: {"description": "It had ended, and is removed."},
        **problem_responses(HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND),
    },
)
@run_in_writer_thread
def delete_report(services: AppStateDep, report_id: ReportId) -> Response:
    """Cancel a report that is in progress; remove one that has ended, with its files."""
    state = found_by_id(services, report_id)
    if state.status in IN_PROGRESS:
        _cancel_report(services, state)
        shown = to_report_model(services, found_by_id(services, state.report_id))
        return JSONResponse(shown.model_dump(mode="json"), HTTPStatus.ACCEPTED)
    # the row is what it is found by: whatever stops this half way, it can be repeated
    for each in {state.report_id, state.run_id} - {None}:
        if is_valid_report_id(str(each)):
            delete_report_files(services.settings.reports_path, str(each))
    with services.database.registry_transaction() as connection:
        drop_report_row(connection, state.report_id)
    return Response(status_code=HTTPStatus.NO_CONTENT)


def _cancel_report(services: AppState, state: ReportRecord) -> None:
    if state.run_id is None:
        with services.database.registry_transaction(lock="requests") as connection:
            if cancel_request(connection, state.report_id):
                return
        state = found_by_id(services, state.report_id)
        if state.run_id is None or state.status not in IN_PROGRESS:
            return  # somebody else has canceled it, or it has ended
    with services.database.read() as connection:
        is_dead = state.run_id in stale_heartbeats(connection, datetime.now(UTC))
    if is_dead:  # Dagster could not reach its process; a sensor marks the run as canceled
        with services.database.registry_transaction() as connection:
            cancel_report(connection, state.run_id, canceled_at=datetime.now(UTC))
        return
    try:
        services.dagster.terminate(state.run_id)
    except RunNotFoundError:
        # of another history of Dagster's: nothing makes this report, and no sensor will say so
        with services.database.registry_transaction() as connection:
            cancel_report(connection, state.run_id, canceled_at=datetime.now(UTC))
    except DagsterUnavailableError as error:
        detail = f"Dagster could not cancel the run {state.run_id}: {error}"
        raise dagster_unavailable(detail) from error
