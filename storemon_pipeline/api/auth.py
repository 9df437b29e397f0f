"""Authentication: bearer tokens, the session cookie, and the middleware that checks them."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from http import HTTPStatus

from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.requests import Request, cookie_parser
from starlette.types import ASGIApp, Receive, Scope, Send

from storemon_pipeline.api.errors import ProblemError, error_response
from storemon_pipeline.settings import TokenScope

HEALTHZ_PATH = "/healthz"
"""The endpoint that needs no token."""


PUBLIC_PATHS = (HEALTHZ_PATH, "/login")


SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


class TokenStore:
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

    def get_scope(self, given: bytes) -> TokenScope | None:
        """What a token may do; None where it is not known."""
        found: TokenScope | None = None
        # each is compared, and in constant time, so that time tells nothing
        for token, scope in self._tokens:
            if hmac.compare_digest(token, given):
                found = scope
        return found


SESSION_COOKIE = "storemon_token"
"""The cookie that browsers send in place of the header."""


def encode_session(token: bytes) -> str:
    """A token as the cookie's value, which takes letters and digits."""
    return token.hex()


def extract_token(headers: Headers) -> bytes:
    """The token that a request comes with, in its header or in the cookie; nothing where none."""
    kind, _, given = headers.get("authorization", "").partition(" ")
    if kind:
        # headers are bytes, read as Latin-1: a token in UTF-8 is compared as it was sent
        return given.strip().encode("latin-1") if kind.lower() == "bearer" else b""
    cookie = cookie_parser(headers.get("cookie", "")).get(SESSION_COOKIE, "")
    try:
        return bytes.fromhex(cookie)
    except ValueError:
        return b""


class TokenAuthMiddleware:
    """Lets in who has a token, where tokens are set.

    Parameters
    ----------
    app : ASGI application
    tokens : mapping
        What each token may do. None: all are let in.
    """

    def __init__(self, app: ASGIApp, tokens: Mapping[SecretStr, TokenScope]) -> None:
        self._app = app
        self._tokens = TokenStore(tokens)

    def refusal(self, method: str, path: str, headers: Headers) -> ProblemError | None:
        """Why a request is refused; None where it is not."""
        if not self._tokens or path in PUBLIC_PATHS:
            return None
        scope = self._tokens.get_scope(extract_token(headers))
        if scope is None:
            return ProblemError(
                HTTPStatus.UNAUTHORIZED,
                "this API wants a token that it knows: send Authorization: Bearer <token>",
                headers={"WWW-Authenticate": "Bearer"},
            )
        if scope == "read" and method not in SAFE_METHODS:
            return ProblemError(
                HTTPStatus.FORBIDDEN, f"this token may only read: {method} needs another one"
            )
        return None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http":
            refusal = self.refusal(scope["method"], scope["path"], Headers(scope=scope))
            if refusal is not None:
                await error_response(Request(scope), refusal)(scope, receive, send)
                return
        await self._app(scope, receive, send)
