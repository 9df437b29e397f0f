"""Bodies of requests: how long they may be, and how long they may take to arrive."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from storemon_pipeline.api.errors import ProblemError
from storemon_pipeline.uptime.messages import quote_value

MAX_BODY_BYTES = 1 << 20
"""The largest body that is taken."""

BODY_SECONDS = 10.0
"""In which time a body must have arrived: no server option bounds this."""

_DISCARD_SECONDS = 1.0  # for how long a refused body is read, so that the refusal is
_MAX_LENGTH_DIGITS = 18  # more digits than any length has


class BodySizeLimitMiddleware:
    """Refuses bodies that are too large, too slow, or do not say how large they are.

    A body is received whole before the application runs, so that the application never waits for
    a client.

    Parameters
    ----------
    app : ASGI application
    seconds : float
        In which time a body must have arrived.
    """

    def __init__(self, app: ASGIApp, seconds: float = BODY_SECONDS) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request.

        Raises
        ------
        ClientDisconnect
            Where the client leaves before its body has arrived.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = _refusal(headers)
        if refusal is not None:
            if "expect" not in headers:  # or else the client waits for the answer first
                await _discard(receive)
        elif headers.get("content-length", "0").strip("0"):
            try:
                async with asyncio.timeout(self._seconds):
                    body = await _read_body(receive)
            except TimeoutError:
                refusal = ProblemError(
                    HTTPStatus.REQUEST_TIMEOUT,
                    f"the body has not arrived within {self._seconds:g} seconds",
                )
            else:
                receive = _replay(body, receive)
        if refusal is not None:
            # what is left of the body comes over this connection
            refusal.headers["Connection"] = "close"
            await refusal.response(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _refusal(headers: Headers) -> ProblemError | None:
    """Why a body is refused by its headers; None where it is not."""
    length = headers.get("content-length", "0")
    # no body of this API is so large that a client needs to send it before it knows its length
    if "transfer-encoding" in headers:
        return ProblemError(
            HTTPStatus.LENGTH_REQUIRED, "send Content-Length instead of Transfer-Encoding"
        )
    if not (length.isascii() and length.isdigit()):
        return ProblemError(
            HTTPStatus.BAD_REQUEST, f"Content-Length is {quote_value(length, 20)}: it is a number"
        )
    if len(length) > _MAX_LENGTH_DIGITS or int(length) > MAX_BODY_BYTES:
        return ProblemError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body may have {MAX_BODY_BYTES:,} bytes"
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
    """Read what a client still sends: closing before would reset the connection."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_DISCARD_SECONDS):
            while (await receive()).get("more_body", False):
                pass


def _replay(body: bytes, receive: Receive) -> Receive:
    """Give a body that was received already, and then what else is received."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay
