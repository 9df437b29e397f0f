"""What every request goes through: its id, its line in the log, metrics, tokens."""

from __future__ import annotations

import re
import time
from http import HTTPStatus
from uuid import uuid4

import structlog
from prometheus_client import Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from storemon_pipeline.api.errors import KNOWN_METHODS, ProblemError

_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_SERVER_ERROR = 500
_CLIENT_CLOSED_REQUEST = 499
"""What nginx logs, and we count, where the client left before the answer was out."""

_log = structlog.get_logger()
_requests = Counter(
    "storemon_http_requests", "Requests that were answered.", ["method", "route", "status"]
)
_latency = Histogram("storemon_http_request_seconds", "Until the answer was out.", ["route"])


class RequestLogMiddleware:
    """Gives each request an id, a line in the log, and its part in the metrics.

    Parameters
    ----------
    app : ASGI application
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        told = Headers(scope=scope).get("x-request-id", "")
        request_id = told if _ID.fullmatch(told) else str(uuid4())
        scope.setdefault("state", {})["id"] = request_id
        status, start = _SERVER_ERROR, time.perf_counter()
        is_complete = has_left = False

        async def receive_until_left() -> Message:
            nonlocal has_left
            message = await receive()
            # after a complete answer, every client leaves
            has_left = has_left or (message["type"] == "http.disconnect" and not is_complete)
            return message

        async def send_with_id(message: Message) -> None:
            nonlocal status, is_complete
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            is_complete = not message.get("more_body", message["type"] == "http.response.start")
            await send(message)

        error: str | None = None
        try:
            await self._app(scope, receive_until_left, send_with_id)
        except ClientDisconnect:
            has_left = True
        except Exception as raised:
            error = repr(raised)
            _log.exception("a bug", request_id=request_id, path=scope["path"])
            if status != _SERVER_ERROR:  # the answer has begun
                raise
            detail = f"this is a bug; the log tells more under the id {request_id}"
            problem = ProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, detail)
            await problem.response(scope, receive, send_with_id)
        finally:
            seconds = time.perf_counter() - start
            if has_left:
                status, error = _CLIENT_CLOSED_REQUEST, error or "the client left"
            route = getattr(scope.get("route"), "path", "none")
            # whoever sends words of his own as methods makes no metrics of his own
            method = scope["method"] if scope["method"] in KNOWN_METHODS else "other"
            _requests.labels(method, route, status).inc()
            _latency.labels(route).observe(seconds)
            _log.info(
                "request",
                request_id=request_id,
                method=scope["method"],
                path=scope["path"],
                status=status,
                milliseconds=round(1000 * seconds, 1),
                client=(scope.get("client") or ("",))[0],
                error=error or scope["state"].get("error"),
            )


class HeadRequestMiddleware:
    """Answers HEAD as it does GET; the server leaves the body out.

    Parameters
    ----------
    app : ASGI application
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        # parts are of a body, which there is none of
        headers = [each for each in scope["headers"] if each[0] != b"range"]
        as_get = {**scope, "method": "GET", "headers": headers}
        try:
            await self._app(as_get, receive, send)
        finally:
            scope["route"] = as_get.get("route")  # for those around
