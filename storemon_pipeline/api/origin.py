"""Which hosts the API answers for, and what pages of other sites may do: look, but not act.

A browser sends requests for any page, also to addresses that only its own machine reaches. ``Host``
is checked against DNS rebinding, ``Sec-Fetch-Site`` and ``Origin`` against cross-site request
forgery. Programs send neither of the last two, and are not concerned.

Starlette's ``TrustedHostMiddleware`` is not used: it answers in plain text, and cuts IPv6 addresses
at their first colon.
"""

from __future__ import annotations

from http import HTTPStatus
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from storemon_pipeline.api.errors import ProblemError, error_response
from storemon_pipeline.settings import Settings
from storemon_pipeline.uptime.messages import quote_value

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
"""The methods that change nothing."""

_SAME_SITES = ("same-origin", "none")
_MAX_SHOWN = 100


def allowed_hosts(settings: Settings) -> frozenset[str]:
    """Host names that the API answers for, in lower case; IP addresses need not be among them."""
    names = {"localhost", urlsplit(settings.api_url).hostname, settings.api_host.lower()}
    return frozenset(
        name for name in names | set(settings.allowed_hosts) if name and not _is_address(name)
    )


class OriginMiddleware:
    """Refuses hosts that are not ours (421) and acts of other sites' pages (403).

    Parameters
    ----------
    app : ASGI application
    hosts : frozenset of str
        Host names that are answered for, in lower case. An IP address always is: nobody can let
        the name of another site lead to it, so such a request was meant for us.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            refusal = self._wrong_host(headers) or _cross_origin(scope["method"], headers)
            if refusal is not None:
                await error_response(Request(scope), refusal)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _wrong_host(self, headers: Headers) -> ProblemError | None:
        host = headers.get("host", "")
        name = _host_name(host)
        if name in self._hosts or _is_address(name):
            return None
        return ProblemError(
            HTTPStatus.MISDIRECTED_REQUEST,
            f"this API does not answer for the host {quote_value(host, _MAX_SHOWN)}: use the "
            "address of STOREMON_API_URL, or add the host's name to STOREMON_ALLOWED_HOSTS",
            type_slug="unknown-host",
        )


def _cross_origin(method: str, headers: Headers) -> ProblemError | None:
    """Why a request that changes something is refused: another site's page sent it."""
    if method in SAFE_METHODS:
        return None
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        is_own = site in _SAME_SITES
    else:  # an older browser, or one that does not trust the connection
        # without the scheme: behind a proxy that ends TLS it is another one
        is_own = origin is None or origin.partition("://")[2] == headers.get("host")
    if is_own:
        return None
    sent_by = quote_value(origin or "another site", _MAX_SHOWN)
    return ProblemError(
        HTTPStatus.FORBIDDEN,
        f"a page of {sent_by} may not send {method} here: use a page of this API, or a program",
        type_slug="cross-origin",
    )


def _host_name(host: str) -> str:
    """The name in a ``Host`` header, in lower case; empty where there is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:  # such as brackets around what is no address
        return ""


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
