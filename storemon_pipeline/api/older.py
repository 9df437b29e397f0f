"""The endpoints of the two systems that this one replaces, to the letter.

Their clients work as they are. Whoever writes a new one uses /v1.
"""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from storemon_pipeline.api import resources
from storemon_pipeline.api.asking import ask_for_report, require_polls
from storemon_pipeline.api.dagster import DagsterUnavailableError, LaunchRefusedError
from storemon_pipeline.api.files import CSV, as_text, in_parts, send_file
from storemon_pipeline.api.problems import ProblemError, dagster_away, documented
from storemon_pipeline.api.reports import ReportId, found
from storemon_pipeline.api.services import Given, Services
from storemon_pipeline.api.stores import StoreIdInPath, known_store, summary
from storemon_pipeline.api.threads import in_writers_thread
from storemon_pipeline.launching import HTTP_REQUEST_TAG, INGEST_JOB
from storemon_pipeline.storage.registry import COMPLETE, IN_PROGRESS, RUNNING, list_reports
from storemon_pipeline.storage.report_files import REPORT
from storemon_pipeline.uptime.request import AskedReport

router = APIRouter(tags=["older clients"])

_MOST_LISTED = 1000
_TRIGGERED: dict[int | str, dict[str, Any]] = {
    HTTPStatus.ACCEPTED.value: {
        "description": "It is on record, and is made once Dagster can be reached again.",
        "model": resources.ReportId,
    },
    **documented(HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.TOO_MANY_REQUESTS),
}
_GOT: dict[int | str, dict[str, Any]] = {
    HTTPStatus.OK.value: {
        "description": "The report, once it is complete; until then its status.",
        "content": {
            **as_text(CSV),
            "application/json": {"schema": {"$ref": "#/components/schemas/ReportStatus"}},
        },
    },
    **in_parts(CSV),
    **documented(HTTPStatus.NOT_FOUND),
}


def _trigger(services: Services, request: Request, store_id: str | None) -> JSONResponse:
    if store_id is not None:
        with services.database.read() as connection:
            require_polls(connection)
        known_store(services, store_id)
    asked = AskedReport(store_ids=None if store_id is None else (store_id,))
    state = ask_for_report(services, asked, http_request_id=request.state.id)
    status = HTTPStatus.ACCEPTED if state.run_id is None else HTTPStatus.OK
    return JSONResponse({"report_id": state.report_id}, status)


@router.post(
    "/trigger_report",
    summary="Ask for a report of the last hour, day and week",
    response_model=resources.ReportId,
    responses=_TRIGGERED,
)
@in_writers_thread
def trigger_report(
    services: Given,
    request: Request,
    store_id: Annotated[str | None, Query(description="Of this store only.")] = None,
) -> JSONResponse:
    """Ask for a report, of all stores or of one."""
    return _trigger(services, request, store_id)


@router.post(
    "/trigger_single_store_report/{store_id}",
    summary="Ask for a report of one store",
    response_model=resources.ReportId,
    responses=_TRIGGERED,
)
@in_writers_thread
def trigger_single_store_report(
    services: Given, request: Request, store_id: StoreIdInPath
) -> JSONResponse:
    """Ask for a report of one store."""
    return _trigger(services, request, store_id)


def _get(services: Services, request: Request, report_id: str, *, capitals: bool) -> Response:
    state = found(services, report_id)
    if state.status == COMPLETE:
        name = f"report_{state.report_id}.csv"
        return send_file(services, request, state, REPORT, attachment=name)
    # those systems knew no queue: what waits for its turn is running to their clients
    status = RUNNING if state.status in IN_PROGRESS else state.status
    told = {"status": status if capitals else status.lower()}
    if state.status not in IN_PROGRESS:
        told["error"] = state.error or f"report {state.report_id} was canceled"
    return JSONResponse(told)


@router.get(
    "/get_report",
    summary="A report, or its status",
    response_class=Response,
    responses=_GOT,
)
def get_report(
    services: Given,
    request: Request,
    report_id: Annotated[str, Query(description="The report.")],
) -> Response:
    """The CSV of a report that is complete; the status of any other, with a capital."""
    return _get(services, request, report_id, capitals=True)


@router.get(
    "/get_report/{report_id}",
    summary="A report, or its status in small letters",
    response_class=Response,
    responses=_GOT,
)
def get_report_by_path(services: Given, request: Request, report_id: ReportId) -> Response:
    """The CSV of a report that is complete; the status of any other, in small letters."""
    return _get(services, request, report_id, capitals=False)


@router.get(
    "/store_summary", summary="What is known of a store", responses=documented(HTTPStatus.NOT_FOUND)
)
def store_summary(
    services: Given, store_id: Annotated[str, Query(description="The store.")]
) -> resources.StoreSummary:
    """What the tables hold of a store."""
    return summary(known_store(services, store_id))


@router.get(
    "/store_summary/{store_id}",
    summary="What is known of a store, by path",
    responses=documented(HTTPStatus.NOT_FOUND),
)
def store_summary_by_path(services: Given, store_id: StoreIdInPath) -> resources.StoreSummary:
    """What the tables hold of a store."""
    return summary(known_store(services, store_id))


@router.get("/reports", summary="The newest reports", responses=documented())
def reports(services: Given) -> list[resources.ListedReport]:
    """The newest thousand reports."""
    with services.database.read() as connection:
        states = list_reports(connection, limit=_MOST_LISTED)
    return [
        resources.ListedReport(
            report_id=state.report_id,
            status=state.status,
            requested_at=state.requested_at,
            finished_at=state.finished_at,
        )
        for state in states
    ]


@router.post(
    "/ingest",
    summary="Bring the tables up to date with the raw files",
    responses=documented(HTTPStatus.FORBIDDEN),
)
@in_writers_thread
def ingest(services: Given, request: Request) -> resources.Launched:
    """Start ``ingest_job``."""
    tags = {HTTP_REQUEST_TAG: request.state.id}
    try:
        run_id = services.dagster.launch(INGEST_JOB, {}, tags)
    except DagsterUnavailableError as error:
        detail = f"Dagster cannot be reached, so nothing was started: {error}"
        raise dagster_away(detail) from error
    except LaunchRefusedError as error:
        raise ProblemError(
            HTTPStatus.SERVICE_UNAVAILABLE,
            f"Dagster refuses to start {INGEST_JOB}: {error}",
            kind="launch-refused",
        ) from error
    started = datetime.now(UTC).isoformat(timespec="seconds")
    return resources.Launched(run_id=run_id, message=f"{INGEST_JOB} was started at {started}")
