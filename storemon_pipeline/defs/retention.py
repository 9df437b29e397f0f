"""The job and the schedule that drop what is older than the settings say it is to be kept.

What is dropped, and from which tables, is in :mod:`storemon_pipeline.storage.retention`; Dagster's
own runs, with their events and logs, are here. Nothing is dropped unless a setting says so.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
from upath import UPath

from storemon_pipeline.defs.assets.raw import RAW_ASSETS
from storemon_pipeline.defs.assets.report import REPORT_ASSETS
from storemon_pipeline.defs.errors import as_dagster_failure
from storemon_pipeline.defs.jobs import CONSOLE_CONFIG, JOBS
from storemon_pipeline.defs.removal import remove_polls_job
from storemon_pipeline.defs.resources import StoremonResource
from storemon_pipeline.defs.run_storage import REQUEST_FILE, TABLE_FILES, referenced_runs
from storemon_pipeline.evaluation.report_retention import reports_to_drop, retention_cutoff
from storemon_pipeline.storage.alert_outbox import drop_alerts
from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.ingest_runs import delete_ingest_runs
from storemon_pipeline.storage.report_requests import drop_old_requests
from storemon_pipeline.storage.report_writer import delete_report_files, is_valid_report_id
from storemon_pipeline.storage.retention import (
    classify_reports,
    drop_polls,
    drop_quarantined,
    drop_report_row,
)

PROJECT_ASSETS = {
    *RAW_ASSETS,
    *REPORT_ASSETS,
    *(Path(name).stem for name in (REQUEST_FILE, *TABLE_FILES)),
}
IMPLICIT_ASSET_JOB = "__ASSET_JOB"  # what Dagster calls a run of assets without a job
REPOSITORY_TAG = ".dagster/repository"
FINISHED_STATUSES = [
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
]
_BATCH = 500


def _cutoff(context: dg.OpExecutionContext, days: int | None, setting: str) -> datetime | None:
    """Before when to drop; where nothing is to be dropped, None, and the log says so."""
    before = retention_cutoff(datetime.now(UTC), days)
    if before is None:
        context.log.info("%s is not set: nothing is dropped, all is kept for ever", setting)
        context.add_output_metadata({"kept": "for ever"})
    return before


def _pluralize(count: int, one: str, more: str) -> str:
    return f"{count:,} {one if count == 1 else more}"


@dg.op(
    out=dg.Out(dg.Nothing),
    description="Drops the months of polls that are wholly older than STOREMON_KEEP_POLLS_DAYS.",
)
@as_dagster_failure()
def drop_old_polls(context: dg.OpExecutionContext, storemon: StoremonResource) -> None:
    """Drop old polls."""
    days, database = storemon.settings.keep_polls_days, storemon.database
    if (before := _cutoff(context, days, "STOREMON_KEEP_POLLS_DAYS")) is None:
        return
    with database.data_transaction() as connection:
        dropped = drop_polls(connection, before)
    context.log.info(
        "Dropped %s of polls (%s) before %s; %s no polls left",
        _pluralize(dropped.months, "month", "months"),
        _pluralize(dropped.polls, "poll", "polls"),
        dropped.before.date().isoformat(),
        _pluralize(dropped.stores, "store has", "stores have"),
    )
    context.add_output_metadata(
        {
            "before": dg.MetadataValue.timestamp(dropped.before),
            "months_dropped": dropped.months,
            "polls_dropped": dropped.polls,
            "stores_without_polls": dropped.stores,
        }
    )


@dg.op(
    out=dg.Out(dg.Nothing),
    description="Drops the quarantined rows that are older than STOREMON_KEEP_QUARANTINED_DAYS.",
)
@as_dagster_failure()
def drop_old_quarantined_rows(context: dg.OpExecutionContext, storemon: StoremonResource) -> None:
    """Drop rows that were set aside long ago."""
    days, database = storemon.settings.keep_quarantined_days, storemon.database
    if (before := _cutoff(context, days, "STOREMON_KEEP_QUARANTINED_DAYS")) is None:
        return
    with database.data_transaction() as connection:
        rows = drop_quarantined(connection, before)
    context.log.info(
        "Dropped %s, set aside before %s",
        _pluralize(rows, "quarantined row", "quarantined rows"),
        before.isoformat(timespec="seconds"),
    )
    context.add_output_metadata(
        {"before": dg.MetadataValue.timestamp(before), "quarantined_rows_dropped": rows}
    )


@dg.op(
    out=dg.Out(dg.Nothing),
    description=(
        "Drops the reports that are older than STOREMON_KEEP_REPORTS_DAYS with their files, "
        "Dagster's runs of this project that are, and alerts."
    ),
)
@as_dagster_failure()
def drop_old_reports(context: dg.OpExecutionContext, storemon: StoremonResource) -> None:
    """Drop old reports and runs."""
    settings, database = storemon.settings, storemon.database
    days = settings.keep_reports_days
    if (before := _cutoff(context, days, "STOREMON_KEEP_REPORTS_DAYS")) is None:
        return
    instance, reports_dir = context.instance, settings.reports_path
    in_progress = _in_progress(instance)
    ended = set(_finished_runs(instance, before, context.run))
    with database.read() as connection:
        ages = classify_reports(connection, before)
    # neither the files that later runs go on from, nor those that a run reads just now
    working = in_progress.keys() | (ages.unfinished - ended)
    parents = {parent for parent in in_progress.values() if parent}
    needed = referenced_runs(reports_dir, working | parents)
    with database.registry_transaction(lock="alerts") as connection:
        alerts = drop_alerts(connection, before)
        delete_ingest_runs(connection, before)
    dropped = _ReportDropper(context.log)
    for report_id in reports_to_drop(
        ages, ended=ended, in_progress=in_progress.keys() | {context.run_id}, needed=needed
    ):
        dropped.drop(database, instance, reports_dir, report_id)
    with database.registry_transaction() as connection:
        drop_old_requests(connection, before)
    kept = len(needed & (ages.old | ended))
    context.log.info(
        "Dropped %s, %s of files and %s of Dagster, finished before %s; kept %s that others need; "
        "dropped %s",
        _pluralize(dropped.reports, "report", "reports"),
        _pluralize(dropped.directories, "directory", "directories"),
        _pluralize(dropped.runs, "run", "runs"),
        before.isoformat(timespec="seconds"),
        _pluralize(kept, "older one", "older ones"),
        _pluralize(alerts, "alert", "alerts"),
    )
    if dropped.failed:
        msg = (
            f"{_pluralize(len(dropped.failed), 'report', 'reports')} could not be dropped, "
            f"and will be tried again the next time: {'; '.join(dropped.failed)}"
        )
        raise dg.Failure(msg, allow_retries=False)
    context.add_output_metadata(
        {
            "before": dg.MetadataValue.timestamp(before),
            "reports_dropped": dropped.reports,
            "directories_dropped": dropped.directories,
            "runs_dropped": dropped.runs,
            "kept_for_others": kept,
            "alerts_dropped": alerts,
        }
    )


def _in_progress(instance: dg.DagsterInstance) -> dict[str, str | None]:
    """The runs that have not ended, and which run each is a retry of."""
    statuses = [status for status in dg.DagsterRunStatus if status not in FINISHED_STATUSES]
    runs = instance.get_runs(filters=dg.RunsFilter(statuses=statuses))
    return {run.run_id: run.parent_run_id for run in runs}


def _finished_runs(
    instance: dg.DagsterInstance, before: datetime, this: dg.DagsterRun
) -> Iterator[str]:
    """The ids of this project's runs that ended before an instant."""
    jobs = (*(job.name for job in JOBS), remove_polls_job.name)
    for job in (*jobs, this.job_name, IMPLICIT_ASSET_JOB):
        filters = dg.RunsFilter(job_name=job, statuses=FINISHED_STATUSES, updated_before=before)
        last = None
        while records := instance.get_run_records(filters, limit=_BATCH, cursor=last):
            runs = [record.dagster_run for record in records]
            yield from (run.run_id for run in runs if _belongs_to_project(run, this))
            last = runs[-1].run_id


def _belongs_to_project(run: dg.DagsterRun, this: dg.DagsterRun) -> bool:
    """Whether a run with one of the jobs' names is this project's: others may share the history."""
    places = {each.tags[REPOSITORY_TAG] for each in (run, this) if REPOSITORY_TAG in each.tags}
    if len(places) > 1:
        return False
    if run.job_name != IMPLICIT_ASSET_JOB:
        return True
    assets = {key.to_user_string() for key in run.asset_selection or ()}
    return bool(assets) and assets <= PROJECT_ASSETS


@dataclass
class _ReportDropper:
    """Drops reports one by one, and counts."""

    log: logging.Logger
    reports: int = 0
    directories: int = 0
    runs: int = 0
    failed: list[str] = field(default_factory=list)

    def drop(
        self, database: Database, instance: dg.DagsterInstance, reports_dir: UPath, report_id: str
    ) -> None:
        """Drop a report: its files, its run, and at last its row.

        The row, or the run where there is no row, is what it is found by: whatever stops this
        half way, the next time finds it and goes on.
        """
        if not is_valid_report_id(report_id):
            self.log.warning("%r is no id of a report: it is left alone", report_id)
            return
        try:
            self.directories += delete_report_files(reports_dir, report_id)
            self.runs += _drop_run(instance, report_id)
        except OSError as error:
            self.failed.append(f"{report_id}: {error}")
            return
        with database.registry_transaction() as connection:
            self.reports += drop_report_row(connection, report_id)


def _drop_run(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Delete a run with its events and logs; gives whether there was one."""
    if not instance.has_run(run_id):
        return False
    instance.compute_log_manager.delete_logs(prefix=[run_id])
    instance.delete_run(run_id)
    for path in _sqlite_event_logs(instance, run_id):  # Dagster only empties it
        path.unlink(missing_ok=True)
    return True


def _sqlite_event_logs(instance: dg.DagsterInstance, run_id: str) -> list[Path]:
    """Where Dagster on SQLite keeps the events of a run: a file for each."""
    path_of = getattr(instance.event_log_storage, "path_for_shard", None)
    if path_of is None:
        return []
    path = Path(path_of(run_id))
    return [path.with_name(path.name + ending) for ending in ("", "-wal", "-shm", "-journal")]


@dg.job(
    description=(
        "Drops polls, quarantined rows, reports and runs that are older than the settings "
        "STOREMON_KEEP_… say. Nothing where they are not set."
    ),
    config=CONSOLE_CONFIG,
    executor_def=dg.in_process_executor,
)
def retention_job() -> None:
    """Drop each thing by itself, so that one that fails does not keep the others."""
    drop_old_polls()
    drop_old_quarantined_rows()
    drop_old_reports()


retention_schedule = dg.ScheduleDefinition(
    name="retention_schedule",
    job=retention_job,
    cron_schedule="30 3 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Drops what is old, every night at 03:30 UTC. Off until it is switched on.",
)
