"""/v1/reports/{id}/report.json: the rows of a report as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http import HTTPStatus
from io import BytesIO
from typing import BinaryIO

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field
from starlette.responses import StreamingResponse
from upath import UPath

from storemon_pipeline.api.content_negotiation import accepts_gzip
from storemon_pipeline.api.dependencies import AppStateDep
from storemon_pipeline.api.errors import problem_responses
from storemon_pipeline.api.file_responses import gzip_chunks, report_file_path, report_not_ready
from storemon_pipeline.api.models import Figure
from storemon_pipeline.api.routes.reports import OfStore, ReportId, get_report_or_404
from storemon_pipeline.storage.report_reader import json_rows, lines_of_store
from storemon_pipeline.storage.report_writer import REPORT_FULL
from storemon_pipeline.storage.reports import COMPLETE, ReportRecord
from storemon_pipeline.uptime.report_request import ReportRequest

router = APIRouter(prefix="/v1/reports", tags=["reports"])


class ReportRows(BaseModel):
    """The rows of a report, with what the figures come from."""

    report_id: str = Field(examples=["5e135a30-2328-44f2-b25b-b3e4eeda8dd8"])
    request: ReportRequest = Field(description="`as_of`, windows, stores and rules.")
    rows: list[dict[str, Figure]] = Field(
        description="By the names of the columns of `report_full.csv`.",
        examples=[[{"store_id": "1481966498820158979", "uptime_last_hour": 60.0}]],
    )


@router.get(
    "/{report_id}/report.json",
    summary="The rows of a report as JSON",
    response_class=Response,
    responses={
        HTTPStatus.OK.value: {"description": "All rows, streamed.", "model": ReportRows},
        **problem_responses(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    },
)
def get_report_rows(
    services: AppStateDep, request: Request, report_id: ReportId, store_id: OfStore = None
) -> Response:
    """The rows of `report_full.csv` as JSON, of all stores or of one: numbers, empty as null."""
    state = get_report_or_404(services, report_id)
    if state.status != COMPLETE:
        raise report_not_ready(state)
    text = _document(state, report_file_path(services, state, REPORT_FULL), store_id)
    headers = {"Vary": "Accept-Encoding", "Cache-Control": "private, no-cache"}
    if accepts_gzip(request.headers.get("accept-encoding", "")):
        text, headers["Content-Encoding"] = gzip_chunks(text), "gzip"
    return StreamingResponse(text, media_type="application/json", headers=headers)


def _document(state: ReportRecord, path: UPath, store_id: str | None) -> Iterator[bytes]:
    """A :class:`ReportRows` as text, block by block."""
    source: BinaryIO = (
        path.open("rb") if store_id is None else BytesIO(lines_of_store(path, store_id))
    )
    with source as file:
        origin = json.dumps({"report_id": state.report_id, "request": state.request})
        yield f'{origin[:-1]}, "rows": ['.encode()
        for objects in json_rows(file):
            yield objects.encode()
        yield b"]}"
