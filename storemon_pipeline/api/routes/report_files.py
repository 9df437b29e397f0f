"""/v1/reports/{report_id}/{file}: the files of a report, as files and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http import HTTPStatus
from io import BytesIO
from typing import Annotated, BinaryIO, Self

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field, TypeAdapter, model_validator
from starlette.responses import StreamingResponse
from upath import UPath

from storemon_pipeline.api import models
from storemon_pipeline.api.content_negotiation import CSV, HTML, accepts_gzip
from storemon_pipeline.api.dependencies import AppStateDep
from storemon_pipeline.api.file_responses import (
    gzip_chunks,
    range_responses,
    report_file_path,
    report_file_response,
    send_store_rows,
    text_content,
)
from storemon_pipeline.api.pagination import CursorQuery, Page, Paginator
from storemon_pipeline.api.problems import problem_responses
from storemon_pipeline.api.report_lookup import (
    ReportId,
    get_complete_report_or_409,
    get_report_or_404,
)
from storemon_pipeline.storage.report_reader import (
    EventFilter,
    json_rows,
    lines_of_store,
    query_events,
)
from storemon_pipeline.storage.report_writer import ReportFile
from storemon_pipeline.storage.reports import ReportRecord
from storemon_pipeline.uptime.report_request import Instant, StoreId

router = APIRouter(prefix="/v1/reports", tags=["reports"])

StoreFilter = Annotated[
    StoreId | None, Query(description="Only the rows of this store, possibly none.")
]
_PAGINATOR = Paginator[int](TypeAdapter(Annotated[int, Field(ge=0, le=10**9)]))


class EventQuery(BaseModel):
    """Query parameters of the downtime events."""

    store_id: StoreId | None = Field(default=None, description="Only events of this store.")
    min_minutes: float | None = Field(
        default=None, ge=0, allow_inf_nan=False, description="Minimum length of an event."
    )
    start: Instant | None = Field(default=None, description="Only events that end after this time.")
    end: Instant | None = Field(
        default=None, description="Only events that start before this time."
    )
    ongoing: bool | None = Field(
        default=None, description="Only events that are, or are not, ongoing at `as_of`."
    )
    limit: int = Field(default=100, ge=1, le=1000, description="Page size.")
    cursor: CursorQuery = None

    @model_validator(mode="after")
    def _start_is_before_end(self) -> Self:
        if self.start is not None and self.end is not None and self.start >= self.end:
            msg = f"start ({self.start.isoformat()}) must be before end ({self.end.isoformat()})"
            raise ValueError(msg)
        return self


@router.get(
    "/{report_id}/report.json",
    summary="Get the rows of a report as JSON",
    response_class=Response,
    responses={
        HTTPStatus.OK.value: {"description": "All rows, streamed.", "model": models.ReportRows},
        **problem_responses(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    },
)
def get_report_rows(
    app_state: AppStateDep, request: Request, report_id: ReportId, store_id: StoreFilter = None
) -> Response:
    """Return the rows of `report_full.csv` as JSON, with empty fields as null."""
    record = get_complete_report_or_409(app_state, report_id)
    text = _stream_rows(
        record, report_file_path(app_state, record, ReportFile.REPORT_FULL), store_id
    )
    headers = {"Vary": "Accept-Encoding", "Cache-Control": "private, no-cache"}
    if accepts_gzip(request.headers.get("accept-encoding", "")):
        text, headers["Content-Encoding"] = gzip_chunks(text), "gzip"
    return StreamingResponse(text, media_type="application/json", headers=headers)


def _stream_rows(record: ReportRecord, path: UPath, store_id: str | None) -> Iterator[bytes]:
    """Yield a ``ReportRows`` document block by block."""
    source: BinaryIO = (
        path.open("rb") if store_id is None else BytesIO(lines_of_store(path, store_id))
    )
    with source as file:
        head = json.dumps({"report_id": record.report_id, "request": record.request})
        yield f'{head[:-1]}, "rows": ['.encode()
        for block in json_rows(file):
            yield block.encode()
        yield b"]}"


@router.get(
    "/{report_id}/events",
    summary="List the downtime events of a report",
    responses=problem_responses(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
)
def list_downtime_events(
    app_state: AppStateDep,
    report_id: ReportId,
    query: Annotated[EventQuery, Query()],
) -> models.DowntimeEvents:
    """List the downtime events of a Complete report, by store and start."""
    record = get_complete_report_or_409(app_state, report_id)
    event_filter = EventFilter(
        query.store_id, query.min_minutes, query.start, query.end, query.ongoing
    )
    offset = _PAGINATOR.decode(query.cursor) or 0
    path = report_file_path(app_state, record, ReportFile.EVENTS)
    table, total = query_events(path, event_filter, offset=offset, limit=query.limit)
    end = offset + query.limit
    page = Page(table.to_pylist(), _PAGINATOR.encode(end) if end < total else None)
    return models.DowntimeEvents(
        report_id=record.report_id,
        total=total,
        events=[models.DowntimeEvent(**row) for row in page.items],
        next=page.next_link(
            f"/v1/reports/{record.report_id}/events",
            query.model_dump(mode="json", exclude={"cursor"}),
        ),
    )


# last in this module: its path also matches `report.json` and `events`
@router.get(
    "/{report_id}/{file}",
    summary="Download a file of a report",
    response_class=Response,
    responses={
        HTTPStatus.OK.value: {"description": "The file.", "content": text_content(CSV, HTML)},
        **range_responses(CSV, HTML),
        **problem_responses(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    },
)
def get_report_file(
    app_state: AppStateDep,
    request: Request,
    report_id: ReportId,
    file: ReportFile,
    store_id: StoreFilter = None,
) -> Response:
    """Download a file of a Complete report, or the rows of one store in it.

    Supports byte ranges, gzip and conditional requests.
    """
    record = get_report_or_404(app_state, report_id)
    if store_id is not None:
        return send_store_rows(app_state, record, file, store_id)
    stem, _, ending = file.partition(".")
    return report_file_response(
        app_state, request, record, file, attachment=f"{stem}_{record.report_id}.{ending}"
    )
