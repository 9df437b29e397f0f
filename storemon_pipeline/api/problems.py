"""Errors as problem documents (RFC 9457): what was wrong, and what is accepted.

A browser is shown the same as a page.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from sqlalchemy.exc import InterfaceError, OperationalError
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, Response

from storemon_pipeline.pages.layout import Frame, content_security_policy
from storemon_pipeline.pages.notes import login_page, problem_page
from storemon_pipeline.storage.database import DatabaseUnavailableError

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 5


class WrongPart(BaseModel):
    """One thing that is wrong with a request."""

    where: str = Field(description="The part of the request.", examples=["body.windows.0"])
    message: str = Field(description="What is wrong, and what is accepted.")


class Problem(BaseModel):
    """A problem document (RFC 9457)."""

    type: str = Field(
        description="What kind of problem it is; the same for each of its kind.",
        examples=["urn:storemon:problem:not-found"],
    )
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(
        description="What was wrong with this request, and what to do.",
        examples=["no report has the id 5e135a30: GET /v1/reports lists them all"],
    )
    errors: list[WrongPart] | None = Field(
        default=None, description="Each thing that is wrong, where there may be several."
    )


class ProblemError(Exception):
    """A request that cannot be answered as asked.

    Parameters
    ----------
    status : HTTPStatus
    detail : str
        What was wrong and what to do, for who sent the request.
    kind : str, optional
        The last part of the problem's type; the status in words if not given.
    errors : list of WrongPart, optional
    headers : mapping, optional
    """

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        kind: str | None = None,
        errors: list[WrongPart] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = dict(headers or {})
        self.problem = Problem(
            type="urn:storemon:problem:" + (kind or status.phrase.lower().replace(" ", "-")),
            title=status.phrase,
            status=status.value,
            detail=detail,
            errors=errors,
        )

    @property
    def response(self) -> JSONResponse:
        """The problem as a response."""
        return JSONResponse(
            self.problem.model_dump(exclude_none=True),
            self.status,
            self.headers,
            media_type=MEDIA_TYPE,
        )


_DESCRIPTIONS = {
    HTTPStatus.UNAUTHORIZED: "No bearer token, or one that is not known.",
    HTTPStatus.FORBIDDEN: "The token may only read.",
    HTTPStatus.NOT_FOUND: "There is no such thing.",
    HTTPStatus.CONFLICT: "It is not in a state for this.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "A parameter or the body is not acceptable.",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many reports are queued; try again after `Retry-After`.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The database or Dagster cannot be reached; try again.",
}


def documented(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """The problems that an endpoint may answer with, for its OpenAPI document."""
    usual = (
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.SERVICE_UNAVAILABLE,
    )
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status.value: {
            "description": _DESCRIPTIONS[status],
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
        for status in sorted({*usual, *statuses})
    }


def way_to_root(path: str) -> str:
    """The way from a page to the API's root, also where that is below another server's path.

    Examples
    --------
    >>> way_to_root("/"), way_to_root("/fleet"), way_to_root("/stores/1")
    ('./', './', '../')
    """
    return "../" * (path.count("/") - 1) or "./"


def page_response(
    page: str, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> HTMLResponse:
    """A page as a response, which loads nothing and is part of no other page."""
    own = {
        "Content-Security-Policy": content_security_policy(),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cache-Control": "private, no-cache",
        "Vary": "Accept, Cookie",
    }
    return HTMLResponse(page, status, own | dict(headers or {}))


def told(request: Request, error: ProblemError) -> Response:
    """An error as the client likes it: a page for a browser, a problem document for a program."""
    if "text/html" not in request.headers.get("accept", ""):
        return error.response
    root = way_to_root(request.url.path)
    if error.status == HTTPStatus.UNAUTHORIZED:
        query = f"?{request.url.query}" if request.url.query else ""
        leads_to = request.url.path + query if request.method == "GET" else "/"
        page = login_page(way=root, leads_to=leads_to)
    else:
        shown = error.problem
        page = problem_page(shown.status, shown.title, shown.detail, frame=Frame(root))
    return page_response(page, error.status, error.headers)


def _unacceptable(request: Request, error: Exception) -> Response:
    """A request that does not fit the endpoint's parameters or body."""
    found = error.errors() if isinstance(error, RequestValidationError) else []
    errors = []
    for each in found:
        message = str(each["msg"]).removeprefix("Value error, ")
        errors.append(WrongPart(where=".".join(map(str, each["loc"])), message=message))
    detail = "; ".join(f"{each.where}: {each.message}" for each in errors)
    return told(request, ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=errors))


def _of_http(request: Request, error: Exception) -> Response:
    """What the framework itself refuses: unknown paths and methods."""
    if not isinstance(error, HTTPException):
        raise error
    status = HTTPStatus(error.status_code)
    details = {
        HTTPStatus.NOT_FOUND: f"there is nothing at {request.url.path}: /docs lists what there is",
        HTTPStatus.METHOD_NOT_ALLOWED: f"{request.url.path} does not take {request.method}",
    }
    detail = details.get(status, str(error.detail))
    return told(request, ProblemError(status, detail, headers=error.headers))


def database_away() -> ProblemError:
    """What is told while the database cannot be reached."""
    return ProblemError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "the database cannot be reached: nothing was changed, try again",
        kind="database-unavailable",
        headers={"Retry-After": str(RETRY_SECONDS)},
    )


def install(app: FastAPI) -> None:
    """Let the application answer every error with a problem document."""

    @app.exception_handler(ProblemError)
    def _told(request: Request, error: ProblemError) -> Response:
        return told(request, error)

    @app.exception_handler(DatabaseUnavailableError)
    @app.exception_handler(OperationalError)
    @app.exception_handler(InterfaceError)
    def _database_away(request: Request, error: Exception) -> Response:
        request.state.error = str(error).partition("\n")[0]
        return told(request, database_away())

    app.add_exception_handler(RequestValidationError, _unacceptable)
    app.add_exception_handler(HTTPException, _of_http)
