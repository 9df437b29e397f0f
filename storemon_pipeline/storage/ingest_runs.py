"""Runs that ingested raw files, and their outcomes (table ``ingest_run``).

Written outside the transaction of the ingest, so that a failed or killed run leaves a record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from storemon_pipeline.storage.schema import ingest_run
from storemon_pipeline.uptime.messages import shorten

RUNNING, SUCCEEDED, FAILED = "Running", "Succeeded", "Failed"

Files = Mapping[str, Sequence[int]]
"""File name -> size and modification time: the state of a data directory."""

_run = ingest_run.c


@dataclass(frozen=True, slots=True)
class IngestRun:
    """A run that read the raw files.

    Attributes
    ----------
    run_id : str
    status : str
        Running, Succeeded or Failed.
    files : dict or None
        The files when the run started; None if it read only some of them.
    started_at : datetime
    finished_at : datetime or None
    error : str or None
    """

    run_id: str
    status: str
    files: dict[str, list[int]] | None
    started_at: datetime
    finished_at: datetime | None
    error: str | None


_COLUMNS = [_run[each.name] for each in fields(IngestRun)]


def start_ingest_run(
    connection: Connection, run_id: str, files: Files | None, started_at: datetime
) -> None:
    """Record that a run starts to ingest; idempotent, for retries of its step."""
    values: dict[str, Any] = {
        "status": RUNNING,
        "files": None if files is None else {name: list(state) for name, state in files.items()},
        "started_at": started_at,
        "finished_at": None,
        "error": None,
    }
    changed = connection.execute(update(ingest_run).where(_run.run_id == run_id).values(**values))
    if not changed.rowcount:
        connection.execute(insert(ingest_run).values(run_id=run_id, **values))


def finish_ingest_run(
    connection: Connection, run_id: str, finished_at: datetime, *, error: str | None = None
) -> None:
    """Record the outcome of a run; without an error it succeeded."""
    connection.execute(
        update(ingest_run)
        .where(_run.run_id == run_id, _run.status == RUNNING)
        .values(
            status=SUCCEEDED if error is None else FAILED,
            finished_at=finished_at,
            error=None if error is None else shorten(error),
        )
    )


def latest_success(connection: Connection) -> IngestRun | None:
    """Return the latest successful ingest of all files, or None."""
    query = (
        select(*_COLUMNS)
        .where(_run.status == SUCCEEDED, _run.files.is_not(None))
        .order_by(_run.finished_at.desc(), _run.run_id)
        .limit(1)
    )
    row = connection.execute(query).first()
    return None if row is None else IngestRun(*row)


@dataclass(frozen=True, slots=True)
class IngestFailures:
    """The ingests that failed since the latest success.

    Attributes
    ----------
    runs : int
        Number of failed runs, at least one.
    since : datetime
        Time of the first failure.
    run_id : str
        The latest failed run.
    error : str
        Error of the latest failed run, of bounded length.
    """

    runs: int
    since: datetime
    run_id: str
    error: str


def ingest_failures(connection: Connection) -> IngestFailures | None:
    """Return the ingests that failed since the latest success, or None."""
    failed = _run.status == FAILED
    if (success := latest_success(connection)) is not None:
        failed &= _run.finished_at > success.finished_at
    summary = select(func.count(), func.min(_run.finished_at)).where(failed)
    runs, since = connection.execute(summary).one()
    if not runs:
        return None
    newest = select(_run.run_id, _run.error).where(failed)
    run_id, error = connection.execute(newest.order_by(_run.finished_at.desc()).limit(1)).one()
    return IngestFailures(runs, since, run_id, error or "the run failed")


def delete_ingest_runs(connection: Connection, before: datetime) -> int:
    """Delete ingests that ended before an instant, except the latest success; return how many."""
    success = latest_success(connection)
    old = _run.finished_at < before
    if success is not None:
        old &= (_run.run_id != success.run_id) & (_run.finished_at < success.finished_at)
    return connection.execute(delete(ingest_run).where(old)).rowcount
