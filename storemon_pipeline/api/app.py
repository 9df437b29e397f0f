"""The FastAPI application: routes, OpenAPI metadata and middleware."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Security
from fastapi.security import HTTPBearer
from fastapi_offline import FastAPIOffline
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from storemon_pipeline.api import openapi
from storemon_pipeline.api.auth import TokenAuthMiddleware
from storemon_pipeline.api.body_limit import BodySizeLimitMiddleware
from storemon_pipeline.api.database_errors import register_database_error_handlers
from storemon_pipeline.api.dependencies import AppState
from storemon_pipeline.api.error_handlers import register_error_handlers
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
    report_files,
    reports,
    stores,
)
from storemon_pipeline.api.security_headers import SecurityHeadersMiddleware
from storemon_pipeline.pages.vega import warm_up
from storemon_pipeline.settings import Settings

_DESCRIPTION = """
How long was each store up and down **within its opening hours**?

`POST /v1/reports` requests a report, `GET /v1/reports/{id}` returns its status, and
`GET /v1/reports/{id}/report.csv` downloads it once it is Complete. A report is a Dagster run:
they share one id.

Lists are paginated: follow the `next` link until it is null. Errors are problem documents
(RFC 9457). Every response has an `X-Request-ID`, taken from the request if present; the log and
the tags of the run also contain it.
"""
_TAGS = [
    {"name": "reports", "description": "Request and download reports."},
    {"name": "stores", "description": "Stores: their data, status and latest figures."},
    {"name": "alerts", "description": "Webhook alerts about outages and recoveries."},
    {"name": "fleet", "description": "All stores combined."},
    {"name": "legacy", "description": "Endpoints of the two previous systems."},
    {"name": "health", "description": "Monitoring of the API."},
]


def build_app(settings: Settings) -> FastAPI:
    """Build the application."""
    app_state = AppState(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        # otherwise the first page with a chart would wait for the renderer to load
        threading.Thread(target=warm_up, daemon=True).start()
        expiry = asyncio.create_task(expire_reports_periodically(app_state))
        yield
        expiry.cancel()
        app_state.close()

    # documentation only: TokenAuthMiddleware checks tokens, even for the OpenAPI document
    bearer = HTTPBearer(auto_error=False, description="Required if STOREMON_API_TOKENS is set.")
    # serves the assets of /docs itself
    app = FastAPIOffline(
        title="storemon",
        version="1",
        summary="Uptime and downtime of stores within their opening hours.",
        description=_DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        servers=[{"url": "/"}],
        openapi_tags=_TAGS,
        redoc_url=None,
        lifespan=lifespan,
        dependencies=[Security(bearer)],
        # generated clients use the names of the functions
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.app_state = app_state
    for module in (
        alerts,
        analytics,
        health,
        ingest,
        legacy,
        login,
        pages,
        report_files,
        reports,
        stores,
    ):
        app.include_router(module.router)
    register_error_handlers(app)
    register_database_error_handlers(app)
    openapi.register_openapi(app)
    # the last middleware added is the outermost
    app.add_middleware(HeadRequestMiddleware)
    app.add_middleware(TokenAuthMiddleware, tokens=settings.api_tokens)
    app.add_middleware(OriginMiddleware, hosts=allowed_hosts(settings))
    # outside the checks above: rejecting a request with its body unread resets the connection
    app.add_middleware(BodySizeLimitMiddleware)
    app.add_middleware(RequestLogMiddleware)
    app.add_middleware(SecurityHeadersMiddleware)
    if settings.trusted_proxies:
        trusted = [str(network) for network in settings.trusted_proxies]
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=trusted)
    return app
