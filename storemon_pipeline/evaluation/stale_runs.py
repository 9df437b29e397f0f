"""Runs whose process has died: find them by heartbeat, and fail their reports and ingests."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from sqlalchemy import Connection

from storemon_pipeline.storage.heartbeats import read_heartbeats
from storemon_pipeline.storage.ingest_runs import finish_ingest_run
from storemon_pipeline.storage.reports import fail_report, running_reports

HEARTBEAT_INTERVAL = timedelta(seconds=10)
STALE_AFTER = timedelta(minutes=1)

PROCESS_DIED = (
    "the run's process has died: no heartbeat for a minute. It was killed, or its machine went down"
)


def stale_runs(heartbeats: Mapping[str, datetime], now: datetime) -> dict[str, datetime]:
    """Decide which runs are stale: those without a heartbeat for :data:`STALE_AFTER`.

    Parameters
    ----------
    heartbeats : mapping
        Run id -> last heartbeat.
    now : datetime

    Returns
    -------
    dict
        Run id -> last heartbeat, of the stale runs.

    Examples
    --------
    >>> noon = datetime(2024, 3, 1, 12)
    >>> beats = {"alive": noon - STALE_AFTER, "dead": noon - 2 * STALE_AFTER}
    >>> list(stale_runs(beats, noon))
    ['dead']
    """
    return {run_id: beat for run_id, beat in heartbeats.items() if now - beat > STALE_AFTER}


def read_stale_runs(connection: Connection, now: datetime) -> dict[str, datetime]:
    """Return the stale runs, with the time of the last heartbeat; see :func:`stale_runs`."""
    return stale_runs(read_heartbeats(connection), now)


def expire_stale_reports(
    connection: Connection, now: datetime, run_ids: Collection[str] | None = None
) -> list[str]:
    """Mark reports and ingests of stale runs as Failed that are still Running.

    A Complete report stays Complete. A process that was only suspended may complete its report
    later.

    Parameters
    ----------
    connection : Connection
        Of :meth:`~storemon_pipeline.storage.database.Database.registry_transaction`.
    now : datetime
    run_ids : collection of str, optional
        Only these runs.

    Returns
    -------
    list of str
        The runs whose reports were marked.
    """
    stale = [
        run_id
        for run_id in read_stale_runs(connection, now)
        if run_ids is None or run_id in run_ids
    ]
    if not stale:
        return []
    expired = running_reports(connection, stale)
    for run_id in expired:
        fail_report(connection, run_id, error=PROCESS_DIED, failed_at=now)
    for run_id in stale:
        finish_ingest_run(connection, run_id, now, error=PROCESS_DIED)
    return expired
