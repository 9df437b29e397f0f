"""The endpoints of the two systems that this one replaces, to the letter.

Their clients work as they are. Whoever writes a new one uses /v1.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from storemon_pipeline.api import models
from storemon_pipeline.api.content_negotiation import CSV
from storemon_pipeline.api.dependencies import AppState, AppStateDep
from storemon_pipeline.api.errors import problem_responses
from storemon_pipeline.api.file_responses import range_responses, report_file_response, text_content
from storemon_pipeline.api.report_submission import require_polls, submit_report
from storemon_pipeline.api.routes.reports import ReportId, found_by_id
from storemon_pipeline.api.routes.stores import StoreIdInPath, get_store_or_404, to_store_summary
from storemon_pipeline.api.threads import run_in_writer_thread
from storemon_pipeline.storage.report_writer import REPORT
from storemon_pipeline.storage.reports import COMPLETE, IN_PROGRESS, RUNNING, read_reports
from storemon_pipeline.uptime.report_request import ReportSpec

router = APIRouter(tags=["older clients"])

MAX_REPORTS = 1000
TRIGGER_RESPONSES: dict[int | str, dict[str, Any]] = {
    HTTPStatus.ACCEPTED.value: {
        "description": "It is on record, and is made once Dagster can be reached again.",
        "model": models.ReportId,
    },
    **problem_responses(HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.TOO_MANY_REQUESTS),
}
GET_REPORT_RESPONSES: dict[int | str, dict[str, Any]] = {
    HTTPStatus.OK.value: {
        "description": "The report, once it is complete; until then its status.",
        "content": {
            **text_content(CSV),
            "application/json": {"schema": {"$ref": "#/components/schemas/ReportStatus"}},
        },
    },
    **range_responses(CSV),
    **problem_responses(HTTPStatus.NOT_FOUND),
}


def _trigger_report(services: AppState, request: Request, store_id: str | None) -> JSONResponse:
    if store_id is not None:
        with services.database.read() as connection:
            require_polls(connection)
        get_store_or_404(services, store_id)
    asked = ReportSpec(store_ids=None if store_id is None else (store_id,))
    state = submit_report(services, asked, http_request_id=request.state.id)
    status = HTTPStatus.ACCEPTED if state.run_id is None else HTTPStatus.OK
    return JSONResponse({"report_id": state.report_id}, status)


@router.post(
    "/trigger_report",
    summary="Ask for a report of the last hour, day and week",
    response_model=models.ReportId,
    responses=TRIGGER_RESPONSES,
)
@run_in_writer_thread
def trigger_report(
    services: AppStateDep,
    request: Request,
    store_id: Annotated[str | None, Query(description="Of this store only.")] = None,
) -> JSONResponse:
    """Ask for a report, of all stores or of one."""
    return _trigger_report(services, request, store_id)


@router.post(
    "/trigger_single_store_report/{store_id}",
    summary="Ask for a report of one store",
    response_model=models.ReportId,
    responses=TRIGGER_RESPONSES,
)
@run_in_writer_thread
def trigger_single_store_report(
    services: AppStateDep, request: Request, store_id: StoreIdInPath
) -> JSONResponse:
    """Ask for a report of one store."""
    return _trigger_report(services, request, store_id)


def _get_report(
    services: AppState, request: Request, report_id: str, *, capitalized: bool
) -> Response:
    state = found_by_id(services, report_id)
    if state.status == COMPLETE:
        name = f"report_{state.report_id}.csv"
        return report_file_response(services, request, state, REPORT, attachment=name)
    # those systems knew no queue: what waits for its turn is running to their clients
    status = RUNNING if state.status in IN_PROGRESS else state.status
    told = {"status": status if capitalized else status.lower()}
    if state.status not in IN_PROGRESS:
        told["error"] = state.error or f"report {state.report_id} was canceled"
    return JSONResponse(told)


@router.get(
    "/get_report",
    summary="A report, or its status",
    response_class=Response,
    responses=GET_REPORT_RESPONSES,
)
def get_report(
    services: AppStateDep,
    request: Request,
    report_id: Annotated[str, Query(description="The report.")],
) -> Response:
    """The CSV of a report that is complete; the status of any other, with a capital."""
    return _get_report(services, request, report_id, capitalized=True)


@router.get(
    "/get_report/{report_id}",
    summary="A report, or its status in small letters",
    response_class=Response,
    responses=GET_REPORT_RESPONSES,
)
def get_report_by_path(services: AppStateDep, request: Request, report_id: ReportId) -> Response:
    """The CSV of a report that is complete; the status of any other, in small letters."""
    return _get_report(services, request, report_id, capitalized=False)


@router.get(
    "/store_summary",
    summary="What is known of a store",
    responses=problem_responses(HTTPStatus.NOT_FOUND),
)
def store_summary(
    services: AppStateDep, store_id: Annotated[str, Query(description="The store.")]
) -> models.StoreSummary:
    """What the tables hold of a store."""
    return to_store_summary(get_store_or_404(services, store_id))


@router.get(
    "/store_summary/{store_id}",
    summary="What is known of a store, by path",
    responses=problem_responses(HTTPStatus.NOT_FOUND),
)
def store_summary_by_path(services: AppStateDep, store_id: StoreIdInPath) -> models.StoreSummary:
    """What the tables hold of a store."""
    return to_store_summary(get_store_or_404(services, store_id))


@router.get("/reports", summary="The newest reports", responses=problem_responses())
def legacy_list_reports(services: AppStateDep) -> list[models.ListedReport]:
    """The newest thousand reports."""
    with services.database.read() as connection:
        states = read_reports(connection, limit=MAX_REPORTS)
    return [
        models.ListedReport(
            report_id=state.report_id,
            status=state.status,
            requested_at=state.requested_at,
            finished_at=state.finished_at,
        )
        for state in states
    ]
