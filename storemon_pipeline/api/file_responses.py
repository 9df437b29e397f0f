"""Responses with the files of a report: streamed, byte ranges, gzip, ETag.

The files of a Complete report never change, so the ETag is derived from the run.

Starlette's ``GZipMiddleware`` is not used: it treats ``gzip;q=0`` as acceptance, and leaves the
ETag unchanged. Its ``FileResponse`` serves ranges but does not evaluate ``If-None-Match``.
"""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import Request
from starlette.background import BackgroundTask
from starlette.datastructures import Headers
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send
from upath import UPath

from storemon_pipeline.api.content_negotiation import CSV, HTML, accepts_gzip
from storemon_pipeline.api.dependencies import AppState
from storemon_pipeline.api.problems import ProblemError, problem_responses
from storemon_pipeline.api.report_lookup import report_not_ready
from storemon_pipeline.storage.report_reader import lines_of_store
from storemon_pipeline.storage.report_writer import ReportFile, is_valid_report_id
from storemon_pipeline.storage.reports import COMPLETE, ReportRecord

REPORT_MEDIA_TYPES: dict[str, str] = {
    ReportFile.REPORT: CSV,
    ReportFile.REPORT_FULL: CSV,
    ReportFile.EVENTS: CSV,
    ReportFile.BY_HOUR: CSV,
    ReportFile.PAGE: HTML,
}
"""Media types of a report's files."""

_CHUNK_BYTES = 1 << 18
_GZIP_WBITS = 31  # selects the gzip format in zlib
_LEVEL = 4


def text_content(*types: str) -> dict[str, Any]:
    """Return the OpenAPI content object of text with these media types."""
    return {media_type: {"schema": {"type": "string"}} for media_type in types}


def range_responses(*types: str) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI responses of a file other than 200: ranges and conditional requests."""
    return {
        HTTPStatus.PARTIAL_CONTENT.value: {
            "description": "The requested range.",
            "content": text_content(*types, "multipart/byteranges"),
        },
        HTTPStatus.NOT_MODIFIED.value: {"description": "The client's copy is current."},
        **problem_responses(HTTPStatus.BAD_REQUEST, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE),
    }


def report_file_path(app_state: AppState, record: ReportRecord, name: str) -> UPath:
    """Return the path of a file of a Complete report.

    Raises
    ------
    ProblemError
        404 if the file is gone.
    """
    path = app_state.settings.reports_path / str(record.run_id) / name
    if not path.is_file():
        msg = f"{name} of report {record.report_id} no longer exists: request a new report"
        raise ProblemError(HTTPStatus.NOT_FOUND, msg, type_slug="file-gone")
    return path


def report_file_response(
    app_state: AppState, request: Request, record: ReportRecord, name: str, *, attachment: str
) -> Response:
    """Return a response with a file of a report.

    Parameters
    ----------
    app_state : AppState
    request : Request
        Its ``Range``, ``If-None-Match`` and ``Accept-Encoding`` are honoured.
    record : ReportRecord
    name : str
        One of :data:`REPORT_MEDIA_TYPES`.
    attachment : str
        File name of the download.

    Raises
    ------
    ProblemError
        409 if the report is not Complete, 404 if the file is gone.
    """
    if record.status != COMPLETE or record.run_id is None:
        raise report_not_ready(record)
    if not is_valid_report_id(record.run_id):  # prevents path traversal
        raise ProblemError(HTTPStatus.NOT_FOUND, f"no report has the id {record.run_id}")
    path = report_file_path(app_state, record, name)
    # do not compress range requests: byte ranges refer to the uncompressed file
    compress = accepts_gzip(request.headers.get("accept-encoding", "")) and (
        "range" not in request.headers
    )
    headers = {
        "ETag": f'"{record.run_id}-{name}{"-gzip" if compress else ""}"',
        "Vary": "Accept-Encoding",
        "Cache-Control": "private, no-cache",
    }
    if _etag_matches(request, headers["ETag"]):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    if compress:
        headers |= {
            "Content-Encoding": "gzip",
            "Content-Disposition": f'attachment; filename="{attachment}"',
        }
        chunks = gzip_chunks(_chunks(path))
        return StreamingResponse(chunks, media_type=REPORT_MEDIA_TYPES[name], headers=headers)
    local, cleanup = _local_copy(path)
    return _ProblemFileResponse(
        local,
        media_type=REPORT_MEDIA_TYPES[name],
        headers=headers,
        filename=attachment,
        background=cleanup,
    )


def send_store_rows(
    app_state: AppState, record: ReportRecord, name: str, store_id: str
) -> Response:
    """Return a response with the rows of one store in a CSV file of a report.

    Raises
    ------
    ProblemError
        409 if the report is not Complete, 404 if the file is gone, 422 if it is not a CSV file.
    """
    if record.status != COMPLETE:
        raise report_not_ready(record)
    if REPORT_MEDIA_TYPES[name] != CSV:
        msg = f"{name} cannot be filtered by store: omit store_id"
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, msg)
    lines = lines_of_store(report_file_path(app_state, record, name), store_id)
    stem, _, ending = name.partition(".")
    attachment = f"{stem}_{record.report_id}_{store_id.replace(':', '_')}.{ending}"
    headers = {
        "Content-Disposition": f'attachment; filename="{attachment}"',
        "Cache-Control": "private, no-cache",
    }
    return Response(lines, media_type=CSV, headers=headers)


class _ProblemFileResponse(FileResponse):
    """A file, or the problem document of an invalid range."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_rejected = False

        async def send_or_reject(message: Message) -> None:
            nonlocal is_rejected
            if message["type"] == "http.response.start":
                problem = _range_error(message)
                is_rejected = problem is not None
                if problem is not None:
                    await problem.response(scope, receive, send)
            if not is_rejected:
                await send(message)

        await super().__call__(scope, receive, send_or_reject)


def _range_error(start: Message) -> ProblemError | None:
    """Return the problem document of a range error that Starlette answers in plain text."""
    if start["status"] == HTTPStatus.BAD_REQUEST:
        detail = "Range is malformed: use e.g. bytes=0-499"
        return ProblemError(HTTPStatus.BAD_REQUEST, detail, type_slug="malformed-range")
    if start["status"] == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        size = Headers(raw=start["headers"])["content-range"]
        detail = f"the range is outside the file, which has {size.rpartition('/')[2]} bytes"
        return ProblemError(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, detail, headers={"Content-Range": size}
        )
    return None


def _etag_matches(request: Request, etag: str) -> bool:
    header = request.headers.get("if-none-match", "")
    etags = (text.strip().removeprefix("W/") for text in header.split(","))
    return header == "*" or etag in etags


def _chunks(path: UPath) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def gzip_chunks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Compress a stream with gzip, chunk by chunk."""
    compressor = zlib.compressobj(_LEVEL, wbits=_GZIP_WBITS)
    for chunk in chunks:
        yield compressor.compress(chunk)
    yield compressor.flush()


def _local_copy(path: UPath) -> tuple[Path, BackgroundTask | None]:
    """Return a local path, as FileResponse needs, and the task that deletes a temporary copy."""
    if path.protocol in ("", "file", "local"):
        return Path(path.path), None
    with tempfile.NamedTemporaryFile(delete=False) as copy:
        local = Path(copy.name)
    path.fs.get_file(path.path, str(local))
    return local, BackgroundTask(local.unlink)
