"""Mark reports of dead processes as Failed while the API runs, also where no daemon does."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import structlog
from anyio import CapacityLimiter, to_thread

from storemon_pipeline.api.dependencies import AppState
from storemon_pipeline.api.errors import DATABASE_ERRORS
from storemon_pipeline.storage.heartbeats import expire_stale_reports, stale_heartbeats

INTERVAL_SECONDS = 15

_log = structlog.get_logger()


async def expire_reports_periodically(services: AppState) -> None:
    """Look for stale heartbeats at the start and every :data:`INTERVAL_SECONDS`, until cancelled.

    Parameters
    ----------
    services : AppState
    """
    own_thread = CapacityLimiter(1)  # a database that is slow must not hold one that requests need
    while True:
        await to_thread.run_sync(_expire, services, limiter=own_thread)
        await asyncio.sleep(INTERVAL_SECONDS)


def _expire(services: AppState) -> None:
    now = datetime.now(UTC)
    try:
        with services.database.read() as connection:
            if not stale_heartbeats(connection, now):
                return
        with services.database.registry_transaction() as connection:
            expired = expire_stale_reports(connection, now)
    except DATABASE_ERRORS as error:
        _log.warning("reports of dead processes are looked for later", reason=str(error))
        return
    if expired:
        _log.warning("reports marked as failed: no heartbeat of their runs", runs=expired)
