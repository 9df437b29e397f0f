"""run_heartbeat: which runs have a living process, and what to do about those that have not.

A run's process refreshes its row every few seconds and removes it when it ends. Where it stops
without an end of its own (power cut, SIGKILL), the row becomes stale: the run's report and ingest
are then marked as Failed.
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
    "the run's process has died: there was no heartbeat for a minute. It was killed, or its "
    "machine went down"
)

_beat = run_heartbeat.c


def record_heartbeat(connection: Connection, run_id: str, now: datetime) -> None:
    """Record that a run's process is alive."""
    mine = _beat.run_id == run_id
    changed = connection.execute(update(run_heartbeat).where(mine).values(beat_at=now))
    if not changed.rowcount:
        connection.execute(insert(run_heartbeat).values(run_id=run_id, beat_at=now))


def end_heartbeat(connection: Connection, run_id: str) -> None:
    """Remove the heartbeat of a run whose process ends.

    Where its report or ingest is Running still (their end could not be recorded), the row stays and
    becomes stale.
    """
    is_running = (
        exists().where(report.c.run_id == run_id, report.c.status == RUNNING)
        | exists().where(ingest_run.c.run_id == run_id, ingest_run.c.status == RUNNING)
    )  # fmt: skip
    connection.execute(delete(run_heartbeat).where(_beat.run_id == run_id, ~is_running))


def delete_heartbeats(connection: Connection, run_ids: Collection[str]) -> None:
    """Remove the heartbeats of dead runs, once nothing is left to do about them."""
    connection.execute(delete(run_heartbeat).where(_beat.run_id.in_(run_ids)))


def stale_heartbeats(connection: Connection, now: datetime) -> dict[str, datetime]:
    """The runs without a heartbeat for a minute: run's id -> its last one."""
    query = select(_beat.run_id, _beat.beat_at).where(_beat.beat_at < now - STALE_AFTER)
    return {run_id: beat_at for run_id, beat_at in connection.execute(query)}  # noqa: C416 - rows are no pairs


def expire_stale_reports(
    connection: Connection, now: datetime, run_ids: Collection[str] | None = None
) -> list[str]:
    """Mark the reports and ingests as Failed that are Running in a process that has died.

    A report that is Complete stays so. A process that was only suspended and completes its report
    later makes it Complete.

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
