"""``python -m storemon_pipeline.api``: the API's process, with its log on standard output."""

from __future__ import annotations

import logging
import sys
from ipaddress import ip_address

import structlog
import uvicorn
from pydantic import ValidationError

from storemon_pipeline.api.app import build_app
from storemon_pipeline.settings import Settings

_SHARED = (
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
)


def configure_log() -> None:
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


def is_open_door(settings: Settings) -> bool:
    """Whether others than this machine could reach an API that asks for no token."""
    try:
        is_own = ip_address(settings.api_host).is_loopback
    except ValueError:
        is_own = settings.api_host == "localhost"
    return not settings.api_tokens and not is_own


def main() -> None:
    """Serve until told to stop."""
    try:
        settings = Settings()
    except ValidationError as error:
        sys.exit(f"The settings are not acceptable. {error}")
    if is_open_door(settings):
        sys.exit(
            f"STOREMON_API_HOST is {settings.api_host}, which others can reach: set "
            "STOREMON_API_TOKENS as well, or leave it at 127.0.0.1"
        )
    configure_log()
    uvicorn.run(
        build_app(settings),
        host=settings.api_host,
        port=settings.api_port,
        log_config=None,
        access_log=False,  # each request has a line of its own
        server_header=False,
    )


if __name__ == "__main__":
    main()
