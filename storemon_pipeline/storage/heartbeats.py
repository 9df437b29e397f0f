"""Heartbeats of runs (table ``run_heartbeat``).

The process of a run updates its row every few seconds and deletes it at the end. If it is killed,
the row stays, and :mod:`storemon_pipeline.evaluation.stale_runs` finds it to be stale.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, delete, exists, insert, select, update

from storemon_pipeline.storage.reports import RUNNING
from storemon_pipeline.storage.schema import ingest_run, report, run_heartbeat

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


def read_heartbeats(connection: Connection) -> dict[str, datetime]:
    """Return the time of the last heartbeat of each run."""
    query = select(_beat.run_id, _beat.beat_at)
    return {run_id: beat_at for run_id, beat_at in connection.execute(query)}  # noqa: C416 - a row is not a tuple
