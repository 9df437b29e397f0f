"""Legacy endpoints: those of the two systems that this one replaces.

Their clients work unchanged. New clients should use /v1.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from storemon_pipeline.api import models
from storemon_pipeline.api.content_negotiation import CSV
from storemon_pipeline.api.dependencies import AppState, AppStateDep
from storemon_pipeline.api.file_responses import range_responses, report_file_response, text_content
from storemon_pipeline.api.problems import problem_responses
from storemon_pipeline.api.report_lookup import ReportId, get_report_by_id_or_404
from storemon_pipeline.api.report_submission import require_polls, submit_report
from storemon_pipeline.api.routes.stores import StoreIdInPath, get_store_or_404, to_store_summary
from storemon_pipeline.api.threads import run_in_writer_thread
from storemon_pipeline.storage.report_writer import ReportFile
from storemon_pipeline.storage.reports import COMPLETE, IN_PROGRESS, RUNNING, read_reports
from storemon_pipeline.uptime.report_request import ReportSpec

router = APIRouter(tags=["legacy"])

MAX_REPORTS = 1000
TRIGGER_RESPONSES: dict[int | str, dict[str, Any]] = {
    HTTPStatus.ACCEPTED.value: {
        "description": "Accepted; the report is made once Dagster is available again.",
        "model": models.TriggeredReport,
    },
    **problem_responses(HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.TOO_MANY_REQUESTS),
}
GET_REPORT_RESPONSES: dict[int | str, dict[str, Any]] = {
    HTTPStatus.OK.value: {
        "description": "The report once it is Complete, its status before.",
        "content": {
            **text_content(CSV),
            "application/json": {"schema": {"$ref": "#/components/schemas/LegacyReportStatus"}},
        },
    },
    **range_responses(CSV),
    **problem_responses(HTTPStatus.NOT_FOUND),
}


def _trigger_report(app_state: AppState, request: Request, store_id: str | None) -> JSONResponse:
    if store_id is not None:
        with app_state.database.read() as connection:
            require_polls(connection)
        get_store_or_404(app_state, store_id)
    spec = ReportSpec(store_ids=None if store_id is None else (store_id,))
    record = submit_report(app_state, spec, http_request_id=request.state.id)
    status = HTTPStatus.ACCEPTED if record.run_id is None else HTTPStatus.OK
    return JSONResponse({"report_id": record.report_id}, status)


@router.post(
    "/trigger_report",
    summary="Request a report of the last hour, day and week",
    response_model=models.TriggeredReport,
    responses=TRIGGER_RESPONSES,
)
@run_in_writer_thread
def trigger_report(
    app_state: AppStateDep,
    request: Request,
    store_id: Annotated[str | None, Query(description="Only this store.")] = None,
) -> JSONResponse:
    """Request a report of all stores or of one store."""
    return _trigger_report(app_state, request, store_id)


@router.post(
    "/trigger_single_store_report/{store_id}",
    summary="Request a report of one store",
    response_model=models.TriggeredReport,
    responses=TRIGGER_RESPONSES,
)
@run_in_writer_thread
def trigger_single_store_report(
    app_state: AppStateDep, request: Request, store_id: StoreIdInPath
) -> JSONResponse:
    """Request a report of one store."""
    return _trigger_report(app_state, request, store_id)


def _get_report(
    app_state: AppState, request: Request, report_id: str, *, capitalized: bool
) -> Response:
    record = get_report_by_id_or_404(app_state, report_id)
    if record.status == COMPLETE:
        name = f"report_{record.report_id}.csv"
        return report_file_response(app_state, request, record, ReportFile.REPORT, attachment=name)
    # the previous systems had no status Queued
    status = RUNNING if record.status in IN_PROGRESS else record.status
    body = {"status": status if capitalized else status.lower()}
    if record.status not in IN_PROGRESS:
        body["error"] = record.error or f"report {record.report_id} was canceled"
    return JSONResponse(body)


@router.get(
    "/get_report",
    summary="Get a report or its status",
    response_class=Response,
    responses=GET_REPORT_RESPONSES,
)
def legacy_get_report(
    app_state: AppStateDep,
    request: Request,
    report_id: Annotated[str, Query(description="The id of the report.")],
) -> Response:
    """Return the CSV of a Complete report, or the capitalized status of any other."""
    return _get_report(app_state, request, report_id, capitalized=True)


@router.get(
    "/get_report/{report_id}",
    summary="Get a report or its status in lower case",
    response_class=Response,
    responses=GET_REPORT_RESPONSES,
)
def legacy_get_report_by_path(
    app_state: AppStateDep, request: Request, report_id: ReportId
) -> Response:
    """Return the CSV of a Complete report, or the lower-case status of any other."""
    return _get_report(app_state, request, report_id, capitalized=False)


@router.get(
    "/store_summary",
    summary="Get the summary of a store",
    responses=problem_responses(HTTPStatus.NOT_FOUND),
)
def get_store_summary(
    app_state: AppStateDep, store_id: Annotated[str, Query(description="The id of the store.")]
) -> models.StoreSummary:
    """Return the summary of a store."""
    return to_store_summary(get_store_or_404(app_state, store_id))


@router.get(
    "/store_summary/{store_id}",
    summary="Get the summary of a store by path",
    responses=problem_responses(HTTPStatus.NOT_FOUND),
)
def get_store_summary_by_path(
    app_state: AppStateDep, store_id: StoreIdInPath
) -> models.StoreSummary:
    """Return the summary of a store."""
    return to_store_summary(get_store_or_404(app_state, store_id))


@router.get("/reports", summary="List the latest reports", responses=problem_responses())
def legacy_list_reports(app_state: AppStateDep) -> list[models.LegacyReport]:
    """List the latest 1,000 reports."""
    with app_state.database.read() as connection:
        records = read_reports(connection, limit=MAX_REPORTS)
    return [
        models.LegacyReport(
            report_id=record.report_id,
            status=record.status,
            requested_at=record.requested_at,
            finished_at=record.finished_at,
        )
        for record in records
    ]
