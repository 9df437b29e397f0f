"""Protection against DNS rebinding (``Host``) and cross-site request forgery.

A browser sends requests on behalf of any page, even to addresses that only its machine can reach.
``Host`` is checked against DNS rebinding, ``Sec-Fetch-Site`` and ``Origin`` against cross-site
request forgery. Other clients send neither of the latter and are not affected.

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

from storemon_pipeline.api.asgi import HttpMiddleware
from storemon_pipeline.api.html_responses import error_response
from storemon_pipeline.api.http_methods import SAFE_METHODS
from storemon_pipeline.api.problems import ProblemError
from storemon_pipeline.settings import Settings
from storemon_pipeline.uptime.messages import quote_value

_SAME_SITES = ("same-origin", "none")
_MAX_VALUE = 100


def allowed_hosts(settings: Settings) -> frozenset[str]:
    """Return the host names of the API, in lower case; IP addresses are always allowed."""
    names = {"localhost", urlsplit(settings.api_url).hostname, settings.api_host.lower()}
    return frozenset(
        name for name in names | set(settings.allowed_hosts) if name and not _is_address(name)
    )


class OriginMiddleware(HttpMiddleware):
    """Rejects unknown hosts (421) and unsafe requests from pages of other sites (403).

    Parameters
    ----------
    app : ASGI application
    hosts : frozenset of str
        Allowed host names, in lower case. IP addresses are always allowed: DNS rebinding needs a
        name.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        super().__init__(app)
        self._hosts = hosts

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        headers = Headers(scope=scope)
        error = self._check_host(headers) or _check_origin(scope["method"], headers)
        response = self._app if error is None else error_response(Request(scope), error)
        await response(scope, receive, send)

    def _check_host(self, headers: Headers) -> ProblemError | None:
        host = headers.get("host", "")
        name = _host_name(host)
        if name in self._hosts or _is_address(name):
            return None
        return ProblemError(
            HTTPStatus.MISDIRECTED_REQUEST,
            f"unknown host {quote_value(host, _MAX_VALUE)}: use the address of STOREMON_API_URL, "
            "or add the host name to STOREMON_ALLOWED_HOSTS",
            type_slug="unknown-host",
        )


def _check_origin(method: str, headers: Headers) -> ProblemError | None:
    if method in SAFE_METHODS:
        return None
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        is_same_site = site in _SAME_SITES
    else:  # an older browser, or an insecure connection
        # ignore the scheme: it differs behind a proxy that terminates TLS
        is_same_site = origin is None or origin.partition("://")[2] == headers.get("host")
    if is_same_site:
        return None
    sender = quote_value(origin or "another site", _MAX_VALUE)
    return ProblemError(
        HTTPStatus.FORBIDDEN,
        f"{method} from a page of {sender} is not allowed: use a page of this API, or a "
        "non-browser client",
        type_slug="cross-origin",
    )


def _host_name(host: str) -> str:
    """Return the host name of a ``Host`` header, in lower case; empty if it has none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:  # e.g. brackets without an IPv6 address
        return ""


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
