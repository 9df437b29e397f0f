"""What every request goes through: its id, its line in the log, metrics, limits, tokens."""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Mapping
from http import HTTPStatus
from uuid import uuid4

import structlog
from prometheus_client import Counter, Histogram
from pydantic import SecretStr
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request, cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from storemon_pipeline.api.problems import METHODS, ProblemError, told
from storemon_pipeline.settings import Scope as TokenScope
from storemon_pipeline.uptime.messages import quote_value

MOST_BYTES = 1 << 20
"""The largest body that is taken."""

OPEN = "/healthz"
"""The endpoint that needs no token."""

_OPEN = (OPEN, "/login")
_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_READS = ("GET", "HEAD", "OPTIONS")
_SERVER_ERROR = 500
_LONGEST_LENGTH = 18  # more digits than any length has

_log = structlog.get_logger()
_requests = Counter(
    "storemon_http_requests", "Requests that were answered.", ["method", "route", "status"]
)
_latency = Histogram("storemon_http_request_seconds", "Until the answer was out.", ["route"])


class Observed:
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

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        error: str | None = None
        try:
            await self._app(scope, receive, send_with_id)
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
            route = getattr(scope.get("route"), "path", "none")
            # whoever sends words of his own as methods makes no metrics of his own
            method = scope["method"] if scope["method"] in METHODS else "other"
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


class Headed:
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


class Limited:
    """Refuses bodies that are too large, or do not say how large they are.

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
        headers = Headers(scope=scope)
        length = headers.get("content-length", "0")
        refusal = None
        # no body of this API is so large that a client needs to send it before it knows its length
        if "transfer-encoding" in headers:
            refusal = ProblemError(
                HTTPStatus.LENGTH_REQUIRED, "send Content-Length instead of Transfer-Encoding"
            )
        elif not (length.isascii() and length.isdigit()):
            refusal = ProblemError(
                HTTPStatus.BAD_REQUEST,
                f"Content-Length is {quote_value(length, 20)}: it is a number",
            )
        elif len(length) > _LONGEST_LENGTH or int(length) > MOST_BYTES:
            refusal = ProblemError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body may have {MOST_BYTES:,} bytes"
            )
        if refusal is not None:
            await refusal.response(scope, receive, send)
            return
        await self._app(scope, receive, send)


class Tokens:
    """The tokens that are known, and what each may do.

    Parameters
    ----------
    tokens : mapping
        None: nobody is asked for one.
    """

    def __init__(self, tokens: Mapping[SecretStr, TokenScope]) -> None:
        self._tokens = [
            (token.get_secret_value().encode(), scope) for token, scope in tokens.items()
        ]

    def __bool__(self) -> bool:
        return bool(self._tokens)

    def scope_of(self, given: bytes) -> TokenScope | None:
        """What a token may do; None where it is not known."""
        found: TokenScope | None = None
        # each is compared, and in constant time, so that time tells nothing
        for token, scope in self._tokens:
            if hmac.compare_digest(token, given):
                found = scope
        return found


SESSION = "storemon_token"
"""The cookie that browsers send in place of the header."""


def session_of(token: bytes) -> str:
    """A token as the cookie's value, which takes letters and digits."""
    return token.hex()


def _token_of(headers: Headers) -> bytes:
    """The token that a request comes with, in its header or in the cookie; nothing where none."""
    kind, _, given = headers.get("authorization", "").partition(" ")
    if kind:
        # headers are bytes, read as Latin-1: a token in UTF-8 is compared as it was sent
        return given.strip().encode("latin-1") if kind.lower() == "bearer" else b""
    cookie = cookie_parser(headers.get("cookie", "")).get(SESSION, "")
    try:
        return bytes.fromhex(cookie)
    except ValueError:
        return b""


class Guarded:
    """Lets in who has a token, where tokens are set.

    Parameters
    ----------
    app : ASGI application
    tokens : mapping
        What each token may do. None: all are let in.
    """

    def __init__(self, app: ASGIApp, tokens: Mapping[SecretStr, TokenScope]) -> None:
        self._app = app
        self._tokens = Tokens(tokens)

    def refusal(self, method: str, path: str, headers: Headers) -> ProblemError | None:
        """Why a request is refused; None where it is not."""
        if not self._tokens or path in _OPEN:
            return None
        scope = self._tokens.scope_of(_token_of(headers))
        if scope is None:
            return ProblemError(
                HTTPStatus.UNAUTHORIZED,
                "this API wants a token that it knows: send Authorization: Bearer <token>",
                headers={"WWW-Authenticate": "Bearer"},
            )
        if scope == "read" and method not in _READS:
            return ProblemError(
                HTTPStatus.FORBIDDEN, f"this token may only read: {method} needs another one"
            )
        return None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http":
            refusal = self.refusal(scope["method"], scope["path"], Headers(scope=scope))
            if refusal is not None:
                await told(Request(scope), refusal)(scope, receive, send)
                return
        await self._app(scope, receive, send)
