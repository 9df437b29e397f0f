"""The files of a report over HTTP: streamed, in ranges, compressed where asked.

A file of a Complete report never changes, so its ETag is that of the run that made it.
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
from storemon_pipeline.api.errors import ProblemError, problem_responses
from storemon_pipeline.storage.report_reader import lines_of_store
from storemon_pipeline.storage.report_writer import (
    BY_HOUR,
    EVENTS,
    PAGE,
    REPORT,
    REPORT_FULL,
    is_valid_report_id,
)
from storemon_pipeline.storage.reports import COMPLETE, ReportRecord

REPORT_MEDIA_TYPES: dict[str, str] = {
    REPORT: CSV,
    REPORT_FULL: CSV,
    EVENTS: CSV,
    BY_HOUR: CSV,
    PAGE: HTML,
}
"""A report's files, and of which type each is."""


_CHUNK = 1 << 18
_GZIP = 31  # zlib's name for the format of gzip
_LEVEL = 4


def text_content(*types: str) -> dict[str, Any]:
    """Content of these types, for the OpenAPI document."""
    return {each: {"schema": {"type": "string"}} for each in types}


def range_responses(*types: str) -> dict[int | str, dict[str, Any]]:
    """What a file may be answered with beside itself, for the OpenAPI document.

    Parameters
    ----------
    *types : str
        Of the file.
    """
    return {
        HTTPStatus.PARTIAL_CONTENT.value: {
            "description": "The range of it that was asked for.",
            "content": text_content(*types, "multipart/byteranges"),
        },
        HTTPStatus.NOT_MODIFIED.value: {"description": "It is the one that the client has."},
        **problem_responses(HTTPStatus.BAD_REQUEST, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE),
    }


def report_file_path(services: AppState, state: ReportRecord, name: str) -> UPath:
    """Where a file of a Complete report is.

    Raises
    ------
    ProblemError
        404 where it is gone.
    """
    path = services.settings.reports_path / str(state.run_id) / name
    if not path.is_file():
        msg = f"{name} of report {state.report_id} is gone: make another report"
        raise ProblemError(HTTPStatus.NOT_FOUND, msg, type_slug="file-gone")
    return path


def report_file_response(
    services: AppState, request: Request, state: ReportRecord, name: str, *, attachment: str
) -> Response:
    """Answer with a file of a report.

    Parameters
    ----------
    services : AppState
    request : Request
        With ``Range``, ``If-None-Match``, ``Accept-Encoding`` as the client likes.
    state : ReportRecord
    name : str
        One of :data:`REPORT_MEDIA_TYPES`.
    attachment : str
        The name that the file is offered under.

    Raises
    ------
    ProblemError
        409 while the report is not Complete, 404 where the file is gone.
    """
    if state.status != COMPLETE or state.run_id is None:
        raise report_not_ready(state)
    if not is_valid_report_id(state.run_id):  # no id reaches beyond its own directory
        raise ProblemError(HTTPStatus.NOT_FOUND, f"no report has the id {state.run_id}")
    path = report_file_path(services, state, name)
    # the parts of a compressed stream are none of the file's: a range is of the file as it is
    packs = accepts_gzip(request.headers.get("accept-encoding", "")) and (
        "range" not in request.headers
    )
    headers = {
        "ETag": f'"{state.run_id}-{name}{"-gzip" if packs else ""}"',
        "Vary": "Accept-Encoding",
        "Cache-Control": "private, no-cache",
    }
    if _etag_matches(request, headers["ETag"]):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    if packs:
        headers |= {
            "Content-Encoding": "gzip",
            "Content-Disposition": f'attachment; filename="{attachment}"',
        }
        packed = gzip_chunks(_chunks(path))
        return StreamingResponse(packed, media_type=REPORT_MEDIA_TYPES[name], headers=headers)
    local, cleanup = _local_copy(path)
    return _ProblemFileResponse(
        local,
        media_type=REPORT_MEDIA_TYPES[name],
        headers=headers,
        filename=attachment,
        background=cleanup,
    )


def send_store_rows(services: AppState, state: ReportRecord, name: str, store_id: str) -> Response:
    """Answer with the rows of one store in one of a report's CSV files.

    Raises
    ------
    ProblemError
        409 while the report is not Complete, 404 where the file is gone, 422 where the file has no
        rows.
    """
    if state.status != COMPLETE:
        raise report_not_ready(state)
    if REPORT_MEDIA_TYPES[name] != CSV:
        msg = f"{name} has no rows to choose from: leave store_id out"
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, msg)
    lines = lines_of_store(report_file_path(services, state, name), store_id)
    stem, _, ending = name.partition(".")
    attachment = f"{stem}_{state.report_id}_{store_id.replace(':', '_')}.{ending}"
    headers = {
        "Content-Disposition": f'attachment; filename="{attachment}"',
        "Cache-Control": "private, no-cache",
    }
    return Response(lines, media_type=CSV, headers=headers)


class _ProblemFileResponse(FileResponse):
    """A file, or the problem document that says why its range cannot be given."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = False

        async def tell(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start":
                problem = _range_error(message)
                refused = problem is not None
                if problem is not None:
                    await problem.response(scope, receive, send)
            if not refused:
                await send(message)

        await super().__call__(scope, receive, tell)


def _range_error(start: Message) -> ProblemError | None:
    """The problem that the framework tells of in plain text."""
    if start["status"] == HTTPStatus.BAD_REQUEST:
        detail = "Range is malformed: it is like bytes=0-499"
        return ProblemError(HTTPStatus.BAD_REQUEST, detail, type_slug="malformed-range")
    if start["status"] == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        size = Headers(raw=start["headers"])["content-range"]
        detail = f"the range is not within the file, which has {size.rpartition('/')[2]} bytes"
        return ProblemError(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, detail, headers={"Content-Range": size}
        )
    return None


def _etag_matches(request: Request, etag: str) -> bool:
    told = request.headers.get("if-none-match", "")
    return etag in (each.strip().removeprefix("W/") for each in told.split(",")) or told == "*"


def _chunks(path: UPath) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def gzip_chunks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Compress a stream with gzip, as it comes."""
    packer = zlib.compressobj(_LEVEL, wbits=_GZIP)
    for chunk in chunks:
        yield packer.compress(chunk)
    yield packer.flush()


def _local_copy(path: UPath) -> tuple[Path, BackgroundTask | None]:
    """The file on this machine's disk, where alone there are ranges: elsewhere, a copy."""
    if path.protocol in ("", "file", "local"):
        return Path(path.path), None
    with tempfile.NamedTemporaryFile(delete=False) as copy:
        local = Path(copy.name)
    path.fs.get_file(path.path, str(local))
    return local, BackgroundTask(local.unlink)


def report_not_ready(state: ReportRecord) -> ProblemError:
    """What is told of a report that has no files, or not yet."""
    told = f"report {state.report_id} is {state.status}"
    if state.error:
        told += f": {state.error}"
    return ProblemError(
        HTTPStatus.CONFLICT,
        f"{told}. Its files are there once it is {COMPLETE}",
        type_slug="report-not-ready",
    )
