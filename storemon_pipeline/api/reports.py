"""/v1/reports: ask for a report, see how it is, fetch its files, cancel or remove it."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter, Body, Header, Path, Query, Request, Response
from fastapi.responses import JSONResponse

from storemon_pipeline.api import resources
from storemon_pipeline.api.asking import ask_for_report
from storemon_pipeline.api.dagster import DagsterUnavailableError, RunUnknownError
from storemon_pipeline.api.files import (
    CSV,
    FILES,
    HTML,
    as_text,
    in_parts,
    send_file,
    send_store_rows,
)
from storemon_pipeline.api.problems import ProblemError, dagster_away, documented
from storemon_pipeline.api.services import Given, Services
from storemon_pipeline.api.threads import in_writers_thread
from storemon_pipeline.storage.heartbeats import stale_heartbeats
from storemon_pipeline.storage.registry import (
    COMPLETE,
    IN_PROGRESS,
    RUNNING,
    ReportState,
    cancel_report,
    find_report,
    list_reports,
    newest_standard_report,
)
from storemon_pipeline.storage.requests import cancel_request
from storemon_pipeline.storage.retention import drop_directory, drop_report_row, is_report_id
from storemon_pipeline.uptime.messages import quote_value
from storemon_pipeline.uptime.request import AskedReport, StoreId, parse_instant

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


def resource(services: Services, state: ReportState) -> resources.Report:
    """A report as the API shows it."""
    home = f"/v1/reports/{state.report_id}"
    names = (*FILES, ROWS) if state.status == COMPLETE else ()
    files = {name: f"{home}/{name}" for name in names}
    run = f"{services.ui_url}/runs/{state.run_id}" if state.run_id else None
    return resources.Report(
        id=state.report_id,
        status=state.status,
        run_id=state.run_id,
        request=state.request,
        as_of=state.as_of,
        requested_at=state.requested_at,
        finished_at=state.finished_at,
        stores=state.stores,
        error=state.error,
        links=resources.Links(self=home, page=f"/reports/{state.report_id}", run=run, files=files),
    )


def found(services: Services, report_id: str) -> ReportState:
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
        raise ProblemError(HTTPStatus.NOT_FOUND, msg, kind="no-report")
    return state


def found_by_id(services: Services, report_id: str) -> ReportState:
    """A report by its id.

    Raises
    ------
    ProblemError
        404 where there is none.
    """
    state = None
    if is_report_id(report_id):  # or else no database need be asked, and some text it cannot take
        with services.database.read() as connection:
            state = find_report(connection, report_id)
    if state is None:
        msg = f"no report has the id {report_id}: GET /v1/reports lists them all"
        raise ProblemError(HTTPStatus.NOT_FOUND, msg, kind="unknown-report")
    return state


@router.post(
    "",
    status_code=HTTPStatus.ACCEPTED,
    response_model=resources.Report,
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
        **documented(
            HTTPStatus.FORBIDDEN,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            HTTPStatus.TOO_MANY_REQUESTS,
        ),
    },
)
@in_writers_thread
def ask(
    services: Given,
    request: Request,
    asked: Annotated[AskedReport | None, Body(openapi_examples=_EXAMPLES)] = None,
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
    state = ask_for_report(
        services,
        asked or AskedReport(),
        http_request_id=request.state.id,
        key=idempotency_key,
    )
    shown = resource(services, state)
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
    if not isinstance(requested_at, datetime) or not is_report_id(report_id):
        msg = f"before is {quote_value(before)}: it is what the link to the next page gives"
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, msg)
    return requested_at, report_id


@router.get("", summary="All reports", responses=documented())
def every(
    services: Given,
    limit: Annotated[int, Query(ge=1, le=100, description="How many on a page.")] = 20,
    before: Annotated[
        str | None,
        Query(
            max_length=200,
            pattern=r"^[0-9:.TZ-]+~[A-Za-z0-9._-]+$",
            description="As the link to the next page has it.",
        ),
    ] = None,
) -> resources.Reports:
    """All reports, whoever asked for them, newest first."""
    with services.database.read() as connection:
        states = list_reports(connection, limit=limit + 1, before=_parse_before(before))
    shown, last = states[:limit], states[limit - 1] if len(states) > limit else None
    following = None
    if last is not None:
        instant = last.requested_at.isoformat().replace("+00:00", "Z")
        following = f"/v1/reports?limit={limit}&before={instant}~{last.report_id}"
    return resources.Reports(reports=[resource(services, state) for state in shown], next=following)


@router.get("/{report_id}", summary="A report", responses=documented(HTTPStatus.NOT_FOUND))
def one(services: Given, report_id: ReportId) -> resources.Report:
    """What is known of a report."""
    state = found(services, report_id)
    shown = resource(services, state)
    if state.status == RUNNING and state.run_id is not None:
        try:
            progress = services.dagster.progress(state.run_id)
        except DagsterUnavailableError:
            progress = None
        if progress is not None:
            shown.progress = resources.Progress(
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
            "content": as_text(CSV, HTML),
        },
        **in_parts(CSV, HTML),
        **documented(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    },
)
def file(
    services: Given,
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
    state = found(services, report_id)
    if store_id is not None:
        return send_store_rows(services, state, file, store_id)
    stem, _, ending = file.partition(".")
    return send_file(
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
            "model": resources.Report,
        },
        HTTPStatus.NO_CONTENT.value: {"description": "It had ended, and is removed."},
        **documented(HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND),
    },
)
@in_writers_thread
def remove(services: Given, report_id: ReportId) -> Response:
    """Cancel a report that is in progress; remove one that has ended, with its files."""
    state = found_by_id(services, report_id)
    if state.status in IN_PROGRESS:
        _cancel(services, state)
        shown = resource(services, found_by_id(services, state.report_id))
        return JSONResponse(shown.model_dump(mode="json"), HTTPStatus.ACCEPTED)
    # the row is what it is found by: whatever stops this half way, it can be repeated
    for each in {state.report_id, state.run_id} - {None}:
        if is_report_id(str(each)):
            drop_directory(services.settings.reports_path, str(each))
    with services.database.write_registry() as connection:
        drop_report_row(connection, state.report_id)
    return Response(status_code=HTTPStatus.NO_CONTENT)


def _cancel(services: Services, state: ReportState) -> None:
    if state.run_id is None:
        with services.database.write_registry(alone="requests") as connection:
            if cancel_request(connection, state.report_id):
                return
        state = found_by_id(services, state.report_id)
        if state.run_id is None or state.status not in IN_PROGRESS:
            return  # somebody else has canceled it, or it has ended
    with services.database.read() as connection:
        is_dead = state.run_id in stale_heartbeats(connection, datetime.now(UTC))
    if is_dead:  # Dagster could not reach its process; a sensor marks the run as canceled
        with services.database.write_registry() as connection:
            cancel_report(connection, state.run_id, canceled_at=datetime.now(UTC))
        return
    try:
        services.dagster.terminate(state.run_id)
    except RunUnknownError:
        # of another history of Dagster's: nothing makes this report, and no sensor will say so
        with services.database.write_registry() as connection:
            cancel_report(connection, state.run_id, canceled_at=datetime.now(UTC))
    except DagsterUnavailableError as error:
        detail = f"Dagster could not cancel the run {state.run_id}: {error}"
        raise dagster_away(detail) from error
