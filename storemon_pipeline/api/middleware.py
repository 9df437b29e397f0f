"""Middleware for every request: request id, log, metrics, HEAD."""

from __future__ import annotations

import re
import time
from http import HTTPStatus
from uuid import uuid4

import structlog
from prometheus_client import Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from storemon_pipeline.api.asgi import HttpMiddleware
from storemon_pipeline.api.http_methods import KNOWN_METHODS
from storemon_pipeline.api.problems import ProblemError

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_SERVER_ERROR = 500
_CLIENT_CLOSED_REQUEST = 499
"""The status that nginx logs if the client disconnects before the response is complete."""

_log = structlog.get_logger()
_requests = Counter("storemon_http_requests", "HTTP requests.", ["method", "route", "status"])
_latency = Histogram(
    "storemon_http_request_seconds", "Time until the response was complete.", ["route"]
)


class RequestLogMiddleware(HttpMiddleware):
    """Gives each request an id, a log line and its metrics.

    One middleware in place of asgi-correlation-id and starlette-exporter, because the log line and
    the metrics need the same status, route and disconnect.
    """

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, and log it once its response is complete."""
        client_id = Headers(scope=scope).get("x-request-id", "")
        request_id = client_id if _REQUEST_ID.fullmatch(client_id) else str(uuid4())
        scope.setdefault("state", {})["id"] = request_id
        status, start = _SERVER_ERROR, time.perf_counter()
        is_complete = disconnected = False

        async def receive_until_disconnect() -> Message:
            nonlocal disconnected
            message = await receive()
            # every client disconnects after a complete response
            disconnected = disconnected or (
                message["type"] == "http.disconnect" and not is_complete
            )
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
            await self._app(scope, receive_until_disconnect, send_with_id)
        except ClientDisconnect:
            disconnected = True
        except Exception as exception:
            error = repr(exception)
            _log.exception("unhandled exception", request_id=request_id, path=scope["path"])
            if status != _SERVER_ERROR:  # the response has started
                raise
            detail = f"internal error: see the log for request id {request_id}"
            problem = ProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, detail)
            await problem.response(scope, receive, send_with_id)
        finally:
            seconds = time.perf_counter() - start
            if disconnected:
                status, error = _CLIENT_CLOSED_REQUEST, error or "client disconnected"
            route = getattr(scope.get("route"), "path", "none")
            # one label for all unknown methods bounds the number of time series
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


class HeadRequestMiddleware(HttpMiddleware):
    """Handles HEAD as GET; the server omits the body."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        # RFC 9110 defines Range for GET only
        headers = [header for header in scope["headers"] if header[0] != b"range"]
        as_get = {**scope, "method": "GET", "headers": headers}
        try:
            await self._app(as_get, receive, send)
        finally:
            scope["route"] = as_get.get("route")  # for the log and the metrics
