"""``python -m storemon_pipeline.api``: the API's process, with its log on standard output."""

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
_SHARED = (
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
)


def configure_logging() -> None:
    """Write every line of the log as a JSON object, those of the libraries too."""
    structlog.configure(
        processors=[*_SHARED, structlog.processors.JSONRenderer()],
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
            foreign_pre_chain=_SHARED,
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    # it names each query to Dagster, and nothing else
    logging.getLogger("httpx").setLevel(logging.WARNING)


def is_publicly_reachable_without_tokens(settings: Settings) -> bool:
    """Whether others than this machine could reach an API that asks for no token."""
    try:
        is_own = ip_address(settings.api_host).is_loopback
    except ValueError:
        is_own = settings.api_host == "localhost"
    return not settings.api_tokens and not is_own


def server_config(settings: Settings) -> Config:
    """Options of the server: where it listens, how large and how slow a header may be.

    What is not ended by the server's timeout is the body, which
    :class:`~storemon_pipeline.api.body_limit.BodySizeLimitMiddleware` bounds.
    """
    config = Config()
    config.bind = [f"{settings.api_host}:{settings.api_port}"]
    config.h11_max_incomplete_size = config.h2_max_header_list_size = _HEADER_BYTES
    # from when a connection is idle until a header is complete, however it drips in
    config.keep_alive_timeout = _HEADER_SECONDS
    config.include_server_header = False
    # each request has a line of its own, by our middleware
    config.accesslog = None
    config.errorlog = logging.getLogger("hypercorn.error")
    return config


def main() -> None:
    """Serve until told to stop."""
    try:
        settings = Settings()
    except ValidationError as error:
        sys.exit(f"The settings are not acceptable. {error}")
    if is_publicly_reachable_without_tokens(settings):
        sys.exit(
            f"STOREMON_API_HOST is {settings.api_host}, which others can reach: set "
            "STOREMON_API_TOKENS as well, or leave it at 127.0.0.1"
        )
    configure_logging()
    try:
        # Starlette and Hypercorn describe the messages of ASGI by other types
        app = cast("ASGIFramework", build_app(settings))
        asyncio.run(serve(app, server_config(settings), mode="asgi"))
    except OSError as error:
        address = f"{settings.api_host}:{settings.api_port}"
        sys.exit(
            f"The API cannot listen on {address}: {error.strerror}. End what is there, or set "
            "STOREMON_API_HOST or STOREMON_API_PORT to another one"
        )


if __name__ == "__main__":
    main()
