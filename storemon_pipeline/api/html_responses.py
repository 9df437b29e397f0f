"""Responses as HTML pages: their headers, and links relative to the root of the API."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import HTMLResponse

from storemon_pipeline.pages.rendering import (
    content_security_policy,
)


def relative_root(path: str) -> str:
    """The way from a page to the API's root, also where that is below another server's path.

    Examples
    --------
    >>> relative_root("/"), relative_root("/fleet"), relative_root("/stores/1")
    ('./', './', '../')
    """
    return "../" * (path.count("/") - 1) or "./"


def page_response(
    page: str, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> HTMLResponse:
    """A page as a response, which loads nothing and is part of no other page."""
    own = {
        "Content-Security-Policy": content_security_policy(),
        "Referrer-Policy": "same-origin",
        "Cache-Control": "private, no-cache",
        "Vary": "Accept, Cookie",
    }
    return HTMLResponse(page, status, own | dict(headers or {}))
