"""Runs of this project in the Dagster instance, which may serve several projects."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import dagster as dg

from storemon_pipeline.defs.assets.raw import RAW_ASSETS
from storemon_pipeline.defs.assets.report import REPORT_ASSETS
from storemon_pipeline.defs.compaction import compaction_job
from storemon_pipeline.defs.jobs import JOBS
from storemon_pipeline.defs.remove_polls_job import remove_polls_job
from storemon_pipeline.defs.run_storage import REQUEST_FILE, TABLE_FILES

PROJECT_ASSETS = {
    *RAW_ASSETS,
    *REPORT_ASSETS,
    *(Path(name).stem for name in (REQUEST_FILE, *TABLE_FILES)),
}
IMPLICIT_ASSET_JOB = "__ASSET_JOB"  # job name of runs of assets that were selected in the UI
REPOSITORY_TAG = ".dagster/repository"
FINISHED_STATUSES = [
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
]


def unfinished_runs(instance: dg.DagsterInstance) -> dict[str, str | None]:
    """Return the unfinished runs, with the run that each retries."""
    statuses = [status for status in dg.DagsterRunStatus if status not in FINISHED_STATUSES]
    runs = instance.get_runs(filters=dg.RunsFilter(statuses=statuses))
    return {run.run_id: run.parent_run_id for run in runs}


def finished_runs(
    instance: dg.DagsterInstance, before: datetime, this: dg.DagsterRun, *, batch: int = 500
) -> Iterator[str]:
    """Yield the ids of this project's runs that finished before a time.

    Parameters
    ----------
    instance : DagsterInstance
    before : datetime
    this : DagsterRun
        A run of this project.
    batch : int
        Number of runs that are read at once.
    """
    jobs = (*(job.name for job in JOBS), compaction_job.name, remove_polls_job.name)
    for job in (*jobs, this.job_name, IMPLICIT_ASSET_JOB):
        filters = dg.RunsFilter(job_name=job, statuses=FINISHED_STATUSES, updated_before=before)
        cursor = None
        while records := instance.get_run_records(filters, limit=batch, cursor=cursor):
            runs = [record.dagster_run for record in records]
            yield from (run.run_id for run in runs if belongs_to_project(run, this))
            cursor = runs[-1].run_id


def belongs_to_project(run: dg.DagsterRun, this: dg.DagsterRun) -> bool:
    """Return whether a run is this project's: a Dagster instance may serve several projects."""
    repositories = {r.tags[REPOSITORY_TAG] for r in (run, this) if REPOSITORY_TAG in r.tags}
    if len(repositories) > 1:
        return False
    if run.job_name != IMPLICIT_ASSET_JOB:
        return True
    assets = {key.to_user_string() for key in run.asset_selection or ()}
    return bool(assets) and assets <= PROJECT_ASSETS


def delete_run(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Delete a run with its events and logs; return whether it existed."""
    if not instance.has_run(run_id):
        return False
    instance.compute_log_manager.delete_logs(prefix=[run_id])
    instance.delete_run(run_id)
    for path in _sqlite_event_logs(instance, run_id):  # Dagster only empties the file
        path.unlink(missing_ok=True)
    return True


def _sqlite_event_logs(instance: dg.DagsterInstance, run_id: str) -> list[Path]:
    """Return the event log files of a run, if Dagster stores them in SQLite."""
    path_of = getattr(instance.event_log_storage, "path_for_shard", None)
    if path_of is None:
        return []
    path = Path(path_of(run_id))
    return [path.with_name(path.name + ending) for ending in ("", "-wal", "-shm", "-journal")]
