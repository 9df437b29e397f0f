"""Mark reports of dead processes as Failed while the API runs, even without a Dagster daemon."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import structlog
from anyio import CapacityLimiter, to_thread

from storemon_pipeline.api.database_errors import DATABASE_ERRORS
from storemon_pipeline.api.dependencies import AppState
from storemon_pipeline.evaluation.stale_runs import expire_stale_reports, read_stale_runs

INTERVAL_SECONDS = 15

_log = structlog.get_logger()


async def expire_reports_periodically(app_state: AppState) -> None:
    """Expire stale reports at the start and every :data:`INTERVAL_SECONDS`, until cancelled."""
    own_thread = CapacityLimiter(1)  # a slow database must not block a thread of the requests
    while True:
        await to_thread.run_sync(_expire, app_state, limiter=own_thread)
        await asyncio.sleep(INTERVAL_SECONDS)


def _expire(app_state: AppState) -> None:
    now = datetime.now(UTC)
    try:
        with app_state.database.read() as connection:
            if not read_stale_runs(connection, now):
                return
        with app_state.database.registry_transaction() as connection:
            expired = expire_stale_reports(connection, now)
    except DATABASE_ERRORS as error:
        _log.warning("checking for reports of dead processes failed, will retry", reason=str(error))
        return
    if expired:
        _log.warning("reports marked as failed: their runs have no heartbeat", runs=expired)
