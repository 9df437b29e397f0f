"""The application: its routes, its documentation, what surrounds a request."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Security
from fastapi.security import HTTPBearer
from fastapi_offline import FastAPIOffline
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from storemon_pipeline.api import errors, openapi, rows
from storemon_pipeline.api.auth import TokenAuthMiddleware
from storemon_pipeline.api.body_limit import BodySizeLimitMiddleware
from storemon_pipeline.api.dependencies import AppState
from storemon_pipeline.api.expiry import expire_reports_periodically
from storemon_pipeline.api.middleware import HeadRequestMiddleware, RequestLogMiddleware
from storemon_pipeline.api.origin import OriginMiddleware, allowed_hosts
from storemon_pipeline.api.routes import (
    alerts,
    analytics,
    health,
    ingest,
    legacy,
    login,
    pages,
    reports,
    stores,
)
from storemon_pipeline.api.security_headers import SecurityHeadersMiddleware
from storemon_pipeline.pages.vega import warm_up
from storemon_pipeline.settings import Settings

_DESCRIPTION = """
For how long was each store up and down **within its opening hours**?

`POST /v1/reports` asks for a report, `GET /v1/reports/{id}` tells how it is, and
`GET /v1/reports/{id}/report.csv` gives it once it is Complete. A report is a run of Dagster's:
its id is the run's.

Errors are problem documents (RFC 9457). Every answer has an `X-Request-ID`, the client's own if it
sent one; the log and the run's tags name it too.
"""
_TAGS = [
    {"name": "reports", "description": "Ask for reports, and fetch them."},
    {"name": "stores", "description": "What is known of each store."},
    {"name": "alerts", "description": "Outages, and their ends, that a webhook is told of."},
    {"name": "fleet", "description": "All stores together."},
    {"name": "older clients", "description": "The endpoints of the systems that came before."},
    {"name": "health", "description": "For those who watch over the API."},
]


def build_app(settings: Settings) -> FastAPI:
    """Make the application.

    Parameters
    ----------
    settings : Settings
    """
    services = AppState(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        # the first page with a chart would wait for it
        threading.Thread(target=warm_up, daemon=True).start()
        expiry = asyncio.create_task(expire_reports_periodically(services))
        yield
        expiry.cancel()
        services.close()

    # the tokens are checked around the application, its documents included; here they are told of
    bearer = HTTPBearer(auto_error=False, description="Where STOREMON_API_TOKENS is set.")
    # its pages load nothing from elsewhere
    app = FastAPIOffline(
        title="storemon",
        version="1",
        summary="Uptime and downtime of stores within their opening hours.",
        description=_DESCRIPTION,
        openapi_tags=_TAGS,
        redoc_url=None,
        lifespan=lifespan,
        dependencies=[Security(bearer)],
    )
    app.state.services = services
    # or else what insight and rows have under /v1/reports/{id}/ is taken for a file of the report
    for module in (analytics, rows, reports, stores, alerts, legacy, ingest, health, login, pages):
        app.include_router(module.router)
    errors.register_error_handlers(app)
    openapi.register_openapi(app)
    # the last one added is the first that a request meets
    app.add_middleware(HeadRequestMiddleware)
    app.add_middleware(TokenAuthMiddleware, tokens=settings.api_tokens)
    app.add_middleware(OriginMiddleware, hosts=allowed_hosts(settings))
    # a refusal must not leave a body unread: the server would reset the connection
    app.add_middleware(BodySizeLimitMiddleware)
    app.add_middleware(RequestLogMiddleware)
    app.add_middleware(SecurityHeadersMiddleware)
    if settings.trusted_proxies:
        trusted = [str(network) for network in settings.trusted_proxies]
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=trusted)
    return app
