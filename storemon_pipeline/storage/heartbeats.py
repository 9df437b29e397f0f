"""Heartbeats of runs (table ``run_heartbeat``), and expiry of runs whose process has died.

The process of a run updates its row every few seconds and deletes it at the end. If it is killed,
the row becomes stale, and the run's report and ingest are marked as Failed.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, exists, insert, select, update

from storemon_pipeline.storage.ingest_runs import finish_ingest_run
from storemon_pipeline.storage.reports import RUNNING, fail_report
from storemon_pipeline.storage.schema import ingest_run, report, run_heartbeat

HEARTBEAT_INTERVAL = timedelta(seconds=10)
STALE_AFTER = timedelta(minutes=1)

PROCESS_DIED = (
    "the run's process has died: no heartbeat for a minute. It was killed, or its machine went down"
)

_beat = run_heartbeat.c


def record_heartbeat(connection: Connection, run_id: str, now: datetime) -> None:
    """Record that a run's process is alive."""
    is_run = _beat.run_id == run_id
    changed = connection.execute(update(run_heartbeat).where(is_run).values(beat_at=now))
    if not changed.rowcount:
        connection.execute(insert(run_heartbeat).values(run_id=run_id, beat_at=now))


def end_heartbeat(connection: Connection, run_id: str) -> None:
    """Delete the heartbeat of a run whose process ends.

    While its report or ingest is still Running (the end could not be recorded), the row stays and
    becomes stale.
    """
    is_running = (
        exists().where(report.c.run_id == run_id, report.c.status == RUNNING)
        | exists().where(ingest_run.c.run_id == run_id, ingest_run.c.status == RUNNING)
    )  # fmt: skip
    connection.execute(delete(run_heartbeat).where(_beat.run_id == run_id, ~is_running))


def delete_heartbeats(connection: Connection, run_ids: Collection[str]) -> None:
    """Delete the heartbeats of dead runs."""
    connection.execute(delete(run_heartbeat).where(_beat.run_id.in_(run_ids)))


def stale_heartbeats(connection: Connection, now: datetime) -> dict[str, datetime]:
    """Return the runs without a heartbeat for a minute, with the time of the last one."""
    query = select(_beat.run_id, _beat.beat_at).where(_beat.beat_at < now - STALE_AFTER)
    return {run_id: beat_at for run_id, beat_at in connection.execute(query)}  # noqa: C416 - a row is not a tuple


def expire_stale_reports(
    connection: Connection, now: datetime, run_ids: Collection[str] | None = None
) -> list[str]:
    """Mark reports and ingests as Failed that are Running in a process that has died.

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
        for run_id in stale_heartbeats(connection, now)
        if run_ids is None or run_id in run_ids
    ]
    if not stale:
        return []
    running = select(report.c.run_id).where(report.c.run_id.in_(stale), report.c.status == RUNNING)
    expired = list(connection.execute(running).scalars())
    for run_id in expired:
        fail_report(connection, run_id, error=PROCESS_DIED, failed_at=now)
    for run_id in stale:
        finish_ingest_run(connection, run_id, now, error=PROCESS_DIED)
    return expired
