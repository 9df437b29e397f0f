"""Limits of request bodies: their size, and the time to receive them.

``FastAPI(max_body_size=)`` is not used: it answers 413 in plain text, bypassing the exception
handlers, and has no time limit.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from storemon_pipeline.api.asgi import HttpMiddleware
from storemon_pipeline.api.problems import ProblemError
from storemon_pipeline.uptime.messages import quote_value

MAX_BODY_BYTES = 1 << 20
"""Maximum size of a body."""

BODY_SECONDS = 10.0
"""Time limit for receiving a body; the server has no option for it."""

_DISCARD_SECONDS = 1.0  # how long to read a rejected body, so that the client gets the response
_MAX_LENGTH_DIGITS = 18  # more digits than any valid length


class BodySizeLimitMiddleware(HttpMiddleware):
    """Rejects bodies that are too large, too slow, or of unknown length.

    The whole body is received before the application runs, so that the application never waits for
    a client.

    Parameters
    ----------
    app : ASGI application
    seconds : float
        Time limit for receiving a body.
    """

    def __init__(self, app: ASGIApp, seconds: float = BODY_SECONDS) -> None:
        super().__init__(app)
        self._seconds = seconds

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request.

        Raises
        ------
        ClientDisconnect
            If the client disconnects before its body has arrived.
        """
        headers = Headers(scope=scope)
        error = _check_length(headers)
        if error is not None:
            if "expect" not in headers:  # else the client waits for the response first
                await _discard(receive)
        elif headers.get("content-length", "0").strip("0"):
            try:
                async with asyncio.timeout(self._seconds):
                    body = await _read_body(receive)
            except TimeoutError:
                error = ProblemError(
                    HTTPStatus.REQUEST_TIMEOUT,
                    f"the body did not arrive within {self._seconds:g} seconds",
                )
            else:
                receive = _replay(body, receive)
        if error is not None:
            # the rest of the body is still on this connection
            error.headers["Connection"] = "close"
            await error.response(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _check_length(headers: Headers) -> ProblemError | None:
    """Return why a body is rejected by its headers; None if it is accepted."""
    length = headers.get("content-length", "0")
    # bodies of this API are small: clients know their length
    if "transfer-encoding" in headers:
        return ProblemError(
            HTTPStatus.LENGTH_REQUIRED, "send Content-Length instead of Transfer-Encoding"
        )
    if not (length.isascii() and length.isdigit()):
        return ProblemError(
            HTTPStatus.BAD_REQUEST,
            f"Content-Length {quote_value(length, 20)} is not a valid length",
        )
    if len(length) > _MAX_LENGTH_DIGITS or int(length) > MAX_BODY_BYTES:
        return ProblemError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"the body is too large: at most {MAX_BODY_BYTES:,} bytes",
        )
    return None


async def _read_body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body)


async def _discard(receive: Receive) -> None:
    """Read the rest of the body, because closing earlier would reset the connection."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_DISCARD_SECONDS):
            while (await receive()).get("more_body", False):
                pass


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a receive callable that yields the received body first."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay
