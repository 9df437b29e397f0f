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
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Match

from storemon_pipeline.api.html_responses import page_response, relative_root
from storemon_pipeline.pages.rendering import (
    PageContext,
    login_page,
    problem_page,
)
from storemon_pipeline.storage.errors import DatabaseUnavailableError
from storemon_pipeline.storage.schema_version import NewerDatabaseError
from storemon_pipeline.uptime.messages import shorten

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 5

KNOWN_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""The methods that are known."""

DATABASE_ERRORS = (DatabaseUnavailableError, NewerDatabaseError, DBAPIError, NoConnectionError)
"""What is raised where the database cannot be worked with."""


class ErrorDetail(BaseModel):
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
    errors: list[ErrorDetail] | None = Field(
        default=None, description="Each thing that is wrong, where there may be several."
    )


class ProblemError(Exception):
    """A request that cannot be answered as asked.

    Parameters
    ----------
    status : HTTPStatus
    detail : str
        What was wrong and what to do, for who sent the request.
    type_slug : str, optional
        The last part of the problem's type; the status in words if not given.
    errors : list of ErrorDetail, optional
    headers : mapping, optional
    """

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        type_slug: str | None = None,
        errors: list[ErrorDetail] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = dict(headers or {})
        self.problem = Problem(
            type="urn:storemon:problem:" + (type_slug or status.phrase.lower().replace(" ", "-")),
            title=status.phrase,
            status=status.value,
            detail=shorten(detail),
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
    HTTPStatus.BAD_REQUEST: "The body cannot be read, or `Range` is malformed.",
    HTTPStatus.UNAUTHORIZED: "No bearer token, or one that is not known.",
    HTTPStatus.FORBIDDEN: "The token may only read, or the request is of another site's page.",
    HTTPStatus.NOT_FOUND: "There is no such thing.",
    HTTPStatus.REQUEST_TIMEOUT: "The body did not arrive in time.",
    HTTPStatus.CONFLICT: "It is not in a state for this.",
    HTTPStatus.LENGTH_REQUIRED: "The body comes without `Content-Length`.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large.",
    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE: "The range is not within the file.",
    HTTPStatus.MISDIRECTED_REQUEST: "`Host` is none that the API answers for.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "A parameter or the body is not acceptable.",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many reports are queued; try again after `Retry-After`.",
    HTTPStatus.SERVICE_UNAVAILABLE: (
        "The database or Dagster cannot be reached, or nothing is ingested yet; try again."
    ),
}


def problem_response(status: HTTPStatus) -> dict[str, Any]:
    """A problem that an endpoint may answer with, for the OpenAPI document."""
    schema = {"$ref": "#/components/schemas/Problem"}  # it is put there by .openapi
    return {
        "description": _DESCRIPTIONS[status],
        "content": {MEDIA_TYPE: {"schema": schema}},
    }


def problem_responses(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """The problems that an endpoint may answer with, for its OpenAPI document."""
    usual = (
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.SERVICE_UNAVAILABLE,
    )
    return {status.value: problem_response(status) for status in sorted({*usual, *statuses})}


def error_response(request: Request, error: ProblemError) -> Response:
    """An error as the client likes it: a page for a browser, a problem document for a program."""
    if "text/html" not in request.headers.get("accept", ""):
        return error.response
    root = relative_root(request.url.path)
    if error.status == HTTPStatus.UNAUTHORIZED:
        query = f"?{request.url.query}" if request.url.query else ""
        leads_to = request.url.path + query if request.method == "GET" else "/"
        page = login_page(root=root, next_path=leads_to)
    else:
        shown = error.problem
        page = problem_page(shown.status, shown.title, shown.detail, frame=PageContext(root))
    return page_response(page, error.status, error.headers)


def _handle_validation_error(request: Request, error: Exception) -> Response:
    """A request that does not fit the endpoint's parameters or body."""
    found = error.errors() if isinstance(error, RequestValidationError) else []
    errors = []
    # a list whose only members are wrong is said to be empty, too
    within = {tuple(each["loc"])[:-1] for each in found}
    for each in found:
        if each["type"] == "too_short" and tuple(each["loc"]) in within:
            continue
        message = str(each["msg"]).removeprefix("Value error, ")
        if why := each.get("ctx", {}).get("error") if each["type"] == "json_invalid" else None:
            message += f": {why}"
        where = shorten(".".join(map(str, each["loc"])), 200)
        errors.append(ErrorDetail(where=where, message=shorten(message)))
    detail = "; ".join(f"{each.where}: {each.message}" for each in errors)
    is_json = all(each["type"] != "json_invalid" for each in found)
    status = HTTPStatus.UNPROCESSABLE_ENTITY if is_json else HTTPStatus.BAD_REQUEST
    return error_response(request, ProblemError(status, detail, errors=errors))


def _handle_http_exception(request: Request, error: Exception) -> Response:
    """What the framework itself refuses: unknown paths and methods."""
    if not isinstance(error, HTTPException):
        raise error
    status = HTTPStatus(error.status_code)
    path = shorten(request.url.path, 200)
    details = {
        HTTPStatus.BAD_REQUEST: "the body cannot be read: send JSON in UTF-8",
        HTTPStatus.NOT_FOUND: f"there is nothing at {path}: /docs lists what there is",
        HTTPStatus.METHOD_NOT_ALLOWED: f"{path} does not take {request.method}",
    }
    detail = details.get(status, str(error.detail))
    headers = dict(error.headers or {})
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_allowed_methods(request))
        detail += f": it takes {headers['Allow']}"
    return error_response(request, ProblemError(status, detail, headers=headers))


def _allowed_methods(request: Request) -> list[str]:
    """The methods that a path takes, of all its endpoints: the framework tells those of one."""
    scope = {"type": "http", "path": request.url.path, "root_path": "", "headers": []}
    return [
        method
        for method in KNOWN_METHODS
        for routed in (("GET" if method == "HEAD" else method),)
        if any(
            route.matches(scope | {"method": routed})[0] is Match.FULL
            for route in request.app.routes
        )
    ]


def _service_unavailable(what: str, detail: str) -> ProblemError:
    """What is told while something cannot be reached that an answer needs."""
    return ProblemError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        detail,
        type_slug=f"{what}-unavailable",
        headers={"Retry-After": str(RETRY_SECONDS)},
    )


def dagster_unavailable(detail: str) -> ProblemError:
    """What is told while Dagster cannot be reached for what was asked for."""
    return _service_unavailable("dagster", detail)


def database_unavailable() -> ProblemError:
    """What is told while the database cannot be reached."""
    return _service_unavailable(
        "database", "the database cannot be reached: nothing was changed, try again"
    )


NO_POLLS_YET = (
    "no polls are ingested yet: the first ingest is still to finish, or there is no file to "
    "ingest. See ingest_job in Dagster's UI; POST /ingest starts it"
)


def no_polls_yet() -> ProblemError:
    """Return the 503 problem for a request before the first ingest has finished."""
    return ProblemError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        NO_POLLS_YET,
        type_slug="no-polls-yet",
        headers={"Retry-After": str(RETRY_SECONDS)},
    )


def register_error_handlers(app: FastAPI) -> None:
    """Let the application answer every error with a problem document."""

    @app.exception_handler(ProblemError)
    def _handle_problem(request: Request, error: ProblemError) -> Response:
        return error_response(request, error)

    @app.exception_handler(DatabaseUnavailableError)
    @app.exception_handler(OperationalError)
    @app.exception_handler(InterfaceError)
    @app.exception_handler(NoConnectionError)
    def _database_away(request: Request, error: Exception) -> Response:
        request.state.error = str(error).partition("\n")[0]
        return error_response(request, database_unavailable())

    @app.exception_handler(DBAPIError)
    def _handle_dbapi_error(request: Request, error: Exception) -> Response:
        # that the server went away while it was asked comes under several names
        if not isinstance(error, DBAPIError) or not error.connection_invalidated:
            raise error
        return _database_away(request, error)

    @app.exception_handler(NewerDatabaseError)
    def _handle_newer_database(request: Request, error: Exception) -> Response:
        request.state.error = str(error)
        return error_response(
            request,
            ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, str(error), type_slug="database-newer"),
        )

    app.add_exception_handler(RequestValidationError, _handle_validation_error)
    app.add_exception_handler(HTTPException, _handle_http_exception)
