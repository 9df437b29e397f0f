"""Exception handlers: errors of the endpoints and of the framework as problem documents."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from storemon_pipeline.api.html_responses import error_response
from storemon_pipeline.api.http_methods import KNOWN_METHODS
from storemon_pipeline.api.problems import ErrorDetail, ProblemError
from storemon_pipeline.uptime.messages import shorten

_MAX_LENGTH = 200


def register_error_handlers(app: FastAPI) -> None:
    """Answer errors of the endpoints and of the framework with problem documents."""

    @app.exception_handler(ProblemError)
    def _handle_problem(request: Request, error: ProblemError) -> Response:
        return error_response(request, error)

    app.add_exception_handler(RequestValidationError, _handle_validation_error)
    app.add_exception_handler(HTTPException, _handle_http_exception)


def _handle_validation_error(request: Request, error: Exception) -> Response:
    """Answer a request with invalid parameters or an invalid body."""
    details = error.errors() if isinstance(error, RequestValidationError) else []
    errors = []
    # pydantic also reports a list as too short if all its items are invalid
    parents = {tuple(detail["loc"])[:-1] for detail in details}
    for detail in details:
        if detail["type"] == "too_short" and tuple(detail["loc"]) in parents:
            continue
        message = str(detail["msg"]).removeprefix("Value error, ")
        if detail["type"] == "json_invalid" and (reason := detail.get("ctx", {}).get("error")):
            message += f": {reason}"
        where = shorten(".".join(map(str, detail["loc"])), _MAX_LENGTH)
        errors.append(ErrorDetail(where=where, message=shorten(message)))
    summary = "; ".join(f"{detail.where}: {detail.message}" for detail in errors)
    is_json = all(detail["type"] != "json_invalid" for detail in details)
    status = HTTPStatus.UNPROCESSABLE_ENTITY if is_json else HTTPStatus.BAD_REQUEST
    return error_response(request, ProblemError(status, summary, errors=errors))


def _handle_http_exception(request: Request, error: Exception) -> Response:
    """Answer errors that the framework raises, such as unknown paths and methods."""
    if not isinstance(error, HTTPException):
        raise error
    status = HTTPStatus(error.status_code)
    path = shorten(request.url.path, _MAX_LENGTH)
    details = {
        HTTPStatus.BAD_REQUEST: "the body is malformed: send JSON in UTF-8",
        HTTPStatus.NOT_FOUND: f"no endpoint at {path}: see /docs",
        HTTPStatus.METHOD_NOT_ALLOWED: f"{path} does not allow {request.method}",
    }
    detail = details.get(status, str(error.detail))
    headers = dict(error.headers or {})
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_allowed_methods(request))
        detail += f": use {headers['Allow']}"
    return error_response(request, ProblemError(status, detail, headers=headers))


def _allowed_methods(request: Request) -> list[str]:
    """Return the methods of all endpoints at a path; the framework lists those of one only."""
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
