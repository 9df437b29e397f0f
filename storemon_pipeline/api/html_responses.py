"""HTML responses: pages with their headers, and errors as pages for browsers."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from fastapi import Request
from starlette.responses import HTMLResponse, Response

from storemon_pipeline.api.problems import ProblemError
from storemon_pipeline.pages.rendering import (
    PageContext,
    content_security_policy,
    login_page,
    problem_page,
)


def relative_root(path: str) -> str:
    """Return the relative URL of the API's root, which also works behind a path prefix.

    Examples
    --------
    >>> relative_root("/"), relative_root("/fleet"), relative_root("/stores/1")
    ('./', './', '../')
    """
    return "../" * (path.count("/") - 1) or "./"


def page_response(
    page: str, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> HTMLResponse:
    """Return a page as a response, with a content security policy and without caching."""
    page_headers = {
        "Content-Security-Policy": content_security_policy(),
        "Referrer-Policy": "same-origin",
        "Cache-Control": "private, no-cache",
        "Vary": "Accept, Cookie",
    }
    return HTMLResponse(page, status, page_headers | dict(headers or {}))


def error_response(request: Request, error: ProblemError) -> Response:
    """Return an error as a page for a browser, as a problem document for other clients."""
    if "text/html" not in request.headers.get("accept", ""):
        return error.response
    root = relative_root(request.url.path)
    if error.status == HTTPStatus.UNAUTHORIZED:
        query = f"?{request.url.query}" if request.url.query else ""
        next_url = request.url.path + query if request.method == "GET" else "/"
        page = login_page(root=root, next_path=next_url)
    else:
        problem = error.problem
        page = problem_page(problem.status, problem.title, problem.detail, frame=PageContext(root))
    return page_response(page, error.status, error.headers)
