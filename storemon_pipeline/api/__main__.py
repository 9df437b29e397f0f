"""Entry point of the API process: ``python -m storemon_pipeline.api``."""

from __future__ import annotations

import asyncio
import logging
import sys
from ipaddress import ip_address
from typing import cast

import structlog
from hypercorn.asyncio import serve
from hypercorn.config import Config
from hypercorn.typing import ASGIFramework
from pydantic import ValidationError

from storemon_pipeline.api.app import build_app
from storemon_pipeline.settings import Settings

_HEADER_BYTES = 1 << 16
_HEADER_SECONDS = 5
_SHARED_PROCESSORS = (
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
)


def configure_logging() -> None:
    """Log JSON lines to standard output, including the log records of libraries."""
    structlog.configure(
        processors=[*_SHARED_PROCESSORS, structlog.processors.JSONRenderer()],
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
            foreign_pre_chain=_SHARED_PROCESSORS,
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    # httpx logs every request to Dagster at INFO
    logging.getLogger("httpx").setLevel(logging.WARNING)


def is_publicly_reachable_without_tokens(settings: Settings) -> bool:
    """Return whether other machines can reach the API although no tokens are configured."""
    try:
        is_loopback = ip_address(settings.api_host).is_loopback
    except ValueError:
        is_loopback = settings.api_host == "localhost"
    return not settings.api_tokens and not is_loopback


def server_config(settings: Settings) -> Config:
    """Return the server configuration: bind address, and size and time limits of headers.

    :class:`~storemon_pipeline.api.body_limit.BodySizeLimitMiddleware` limits bodies.
    """
    config = Config()
    config.bind = [f"{settings.api_host}:{settings.api_port}"]
    config.h11_max_incomplete_size = config.h2_max_header_list_size = _HEADER_BYTES
    # also limits the time until a header is complete, against slow clients
    config.keep_alive_timeout = _HEADER_SECONDS
    config.include_server_header = False
    # RequestLogMiddleware logs requests
    config.accesslog = None
    config.errorlog = logging.getLogger("hypercorn.error")
    return config


def main() -> None:
    """Serve until interrupted."""
    try:
        settings = Settings()
    except ValidationError as error:
        sys.exit(f"Invalid settings: {error}")
    if is_publicly_reachable_without_tokens(settings):
        sys.exit(
            f"STOREMON_API_HOST is {settings.api_host}, which other machines can reach: set "
            "STOREMON_API_TOKENS, or use 127.0.0.1"
        )
    configure_logging()
    try:
        # Starlette and Hypercorn type ASGI messages differently
        app = cast("ASGIFramework", build_app(settings))
        asyncio.run(serve(app, server_config(settings), mode="asgi"))
    except OSError as error:
        address = f"{settings.api_host}:{settings.api_port}"
        sys.exit(
            f"The API cannot listen on {address}: {error.strerror}. Stop the process that uses it, "
            "or change STOREMON_API_HOST or STOREMON_API_PORT"
        )


if __name__ == "__main__":
    main()
