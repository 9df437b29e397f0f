"""Mark reports of dead processes as Failed while the API runs, also where no daemon does."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import structlog
from anyio import CapacityLimiter, to_thread

from storemon_pipeline.api.problems import AWAY
from storemon_pipeline.api.services import Services
from storemon_pipeline.storage.heartbeats import expire_stale_reports, stale_heartbeats

INTERVAL_SECONDS = 15

_log = structlog.get_logger()


async def expire_reports_periodically(services: Services) -> None:
    """Look for stale heartbeats at the start and every :data:`INTERVAL_SECONDS`, until cancelled.

    Parameters
    ----------
    services : Services
    """
    own_thread = CapacityLimiter(1)  # a database that is slow must not hold one that requests need
    while True:
        await to_thread.run_sync(_expire, services, limiter=own_thread)
        await asyncio.sleep(INTERVAL_SECONDS)


def _expire(services: Services) -> None:
    now = datetime.now(UTC)
    try:
        with services.database.read() as connection:
            if not stale_heartbeats(connection, now):
                return
        with services.database.write_registry() as connection:
            expired = expire_stale_reports(connection, now)
    except AWAY as error:
        _log.warning("reports of dead processes are looked for later", reason=str(error))
        return
    if expired:
        _log.warning("reports marked as failed: no heartbeat of their runs", runs=expired)
