"""Authentication: bearer tokens, the session cookie, and the middleware that checks them."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from http import HTTPStatus

from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.requests import Request, cookie_parser
from starlette.types import ASGIApp, Receive, Scope, Send

from storemon_pipeline.api.asgi import HttpMiddleware
from storemon_pipeline.api.html_responses import error_response
from storemon_pipeline.api.http_methods import SAFE_METHODS
from storemon_pipeline.api.problems import ProblemError
from storemon_pipeline.settings import TokenScope

HEALTHZ_PATH = "/healthz"
PUBLIC_PATHS = (HEALTHZ_PATH, "/login")
"""Paths that need no token."""

SESSION_COOKIE = "storemon_token"
"""Name of the cookie that browsers send in place of the ``Authorization`` header."""


class TokenStore:
    """The configured tokens and their scopes.

    Parameters
    ----------
    tokens : mapping
        Empty if no token is required.
    """

    def __init__(self, tokens: Mapping[SecretStr, TokenScope]) -> None:
        self._tokens = [
            (token.get_secret_value().encode(), scope) for token, scope in tokens.items()
        ]

    def __bool__(self) -> bool:
        return bool(self._tokens)

    def get_scope(self, candidate: bytes) -> TokenScope | None:
        """Return the scope of a token; None if it is unknown."""
        match: TokenScope | None = None
        # compare all tokens, each in constant time, against timing attacks
        for token, scope in self._tokens:
            if hmac.compare_digest(token, candidate):
                match = scope
        return match


def encode_session(token: bytes) -> str:
    """Encode a token as the value of the session cookie."""
    return token.hex()


def extract_token(headers: Headers) -> bytes:
    """Return the token of the ``Authorization`` header or the session cookie; empty if missing."""
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme:
        # headers are decoded as Latin-1: restore the bytes of a UTF-8 token
        return credentials.strip().encode("latin-1") if scheme.lower() == "bearer" else b""
    cookie = cookie_parser(headers.get("cookie", "")).get(SESSION_COOKIE, "")
    try:
        return bytes.fromhex(cookie)
    except ValueError:
        return b""


class TokenAuthMiddleware(HttpMiddleware):
    """Rejects requests without a valid token, if tokens are configured.

    Parameters
    ----------
    app : ASGI application
    tokens : mapping
        The scope of each token. If empty, all requests are accepted.
    """

    def __init__(self, app: ASGIApp, tokens: Mapping[SecretStr, TokenScope]) -> None:
        super().__init__(app)
        self._tokens = TokenStore(tokens)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        error = self.check(scope["method"], scope["path"], Headers(scope=scope))
        response = self._app if error is None else error_response(Request(scope), error)
        await response(scope, receive, send)

    def check(self, method: str, path: str, headers: Headers) -> ProblemError | None:
        """Return why a request is rejected; None if it is accepted."""
        if not self._tokens or path in PUBLIC_PATHS:
            return None
        scope = self._tokens.get_scope(extract_token(headers))
        if scope is None:
            return ProblemError(
                HTTPStatus.UNAUTHORIZED,
                "missing or unknown bearer token: send Authorization: Bearer <token>",
                headers={"WWW-Authenticate": "Bearer"},
            )
        if scope == "read" and method not in SAFE_METHODS:
            return ProblemError(
                HTTPStatus.FORBIDDEN, f"this token is read-only: {method} needs a full token"
            )
        return None
