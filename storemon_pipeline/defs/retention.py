"""Job and schedule that drop data older than the retention settings; unset, they drop nothing.

:mod:`storemon_pipeline.storage.retention` deletes from tables and directories; this module also
deletes Dagster's runs with their events and logs.
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
from storemon_pipeline.uptime.messages import pluralize

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
_BATCH = 500


def _cutoff(context: dg.OpExecutionContext, days: int | None, setting: str) -> datetime | None:
    """Return the time before which to drop; log and return None if the setting is unset."""
    before = retention_cutoff(datetime.now(UTC), days)
    if before is None:
        context.log.info("%s is not set: nothing is dropped", setting)
        context.add_output_metadata({"retention": "unlimited"})
    return before


@dg.op(
    out=dg.Out(dg.Nothing),
    description="Drops whole months of polls that are older than STOREMON_KEEP_POLLS_DAYS.",
)
@as_dagster_failure()
def drop_old_polls(context: dg.OpExecutionContext, storemon: StoremonResource) -> None:
    """Drop old polls."""
    days, database = storemon.settings.keep_polls_days, storemon.database
    if (before := _cutoff(context, days, "STOREMON_KEEP_POLLS_DAYS")) is None:
        return
    with database.data_transaction() as connection:
        dropped = drop_polls(storemon.database.polls, connection, before)
    context.log.info(
        "Dropped %s (%s) before %s, leaving %s without polls",
        pluralize(dropped.polls, "poll"),
        pluralize(dropped.months, "month"),
        dropped.before.date().isoformat(),
        pluralize(dropped.stores, "store"),
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
    description="Drops quarantined rows that are older than STOREMON_KEEP_QUARANTINED_DAYS.",
)
@as_dagster_failure()
def drop_old_quarantined_rows(context: dg.OpExecutionContext, storemon: StoremonResource) -> None:
    """Drop old quarantined rows."""
    days, database = storemon.settings.keep_quarantined_days, storemon.database
    if (before := _cutoff(context, days, "STOREMON_KEEP_QUARANTINED_DAYS")) is None:
        return
    with database.data_transaction() as connection:
        rows = drop_quarantined(connection, before)
    context.log.info(
        "Dropped %s from before %s",
        pluralize(rows, "quarantined row"),
        before.isoformat(timespec="seconds"),
    )
    context.add_output_metadata(
        {"before": dg.MetadataValue.timestamp(before), "quarantined_rows_dropped": rows}
    )


@dg.op(
    out=dg.Out(dg.Nothing),
    description=(
        "Drops reports with their files, Dagster runs of this project, and alerts that are older "
        "than STOREMON_KEEP_REPORTS_DAYS."
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
    finished = set(_finished_runs(instance, before, context.run))
    with database.read() as connection:
        ages = classify_reports(connection, before)
    # keep the files that runs read now or later
    working = in_progress.keys() | (ages.unfinished - finished)
    parents = {parent for parent in in_progress.values() if parent}
    referenced = referenced_runs(reports_dir, working | parents)
    with database.registry_transaction(lock="alerts") as connection:
        alerts = drop_alerts(connection, before)
        delete_ingest_runs(connection, before)
    dropped = _ReportDropper(context.log)
    for report_id in reports_to_drop(
        ages, ended=finished, in_progress=in_progress.keys() | {context.run_id}, needed=referenced
    ):
        dropped.drop(database, instance, reports_dir, report_id)
    with database.registry_transaction() as connection:
        drop_old_requests(connection, before)
    kept = len(referenced & (ages.old | finished))
    context.log.info(
        "Dropped %s, %s, %s and %s from before %s; kept %s with files that other runs need",
        pluralize(dropped.reports, "report"),
        pluralize(dropped.directories, "report folder"),
        pluralize(dropped.runs, "Dagster run"),
        pluralize(alerts, "alert"),
        before.isoformat(timespec="seconds"),
        pluralize(kept, "older run"),
    )
    if dropped.failed:
        msg = (
            f"{pluralize(len(dropped.failed), 'report')} could not be dropped; the next run "
            f"retries: {'; '.join(dropped.failed)}"
        )
        raise dg.Failure(msg, allow_retries=False)
    context.add_output_metadata(
        {
            "before": dg.MetadataValue.timestamp(before),
            "reports_dropped": dropped.reports,
            "directories_dropped": dropped.directories,
            "runs_dropped": dropped.runs,
            "kept_as_inputs": kept,
            "alerts_dropped": alerts,
        }
    )


def _in_progress(instance: dg.DagsterInstance) -> dict[str, str | None]:
    """Return the unfinished runs, with the run that each retries."""
    statuses = [status for status in dg.DagsterRunStatus if status not in FINISHED_STATUSES]
    runs = instance.get_runs(filters=dg.RunsFilter(statuses=statuses))
    return {run.run_id: run.parent_run_id for run in runs}


def _finished_runs(
    instance: dg.DagsterInstance, before: datetime, this: dg.DagsterRun
) -> Iterator[str]:
    """Yield the ids of this project's runs that finished before a time."""
    jobs = (*(job.name for job in JOBS), remove_polls_job.name)
    for job in (*jobs, this.job_name, IMPLICIT_ASSET_JOB):
        filters = dg.RunsFilter(job_name=job, statuses=FINISHED_STATUSES, updated_before=before)
        cursor = None
        while records := instance.get_run_records(filters, limit=_BATCH, cursor=cursor):
            runs = [record.dagster_run for record in records]
            yield from (run.run_id for run in runs if _belongs_to_project(run, this))
            cursor = runs[-1].run_id


def _belongs_to_project(run: dg.DagsterRun, this: dg.DagsterRun) -> bool:
    """Return whether a run is this project's: a Dagster instance may serve several projects."""
    repositories = {r.tags[REPOSITORY_TAG] for r in (run, this) if REPOSITORY_TAG in r.tags}
    if len(repositories) > 1:
        return False
    if run.job_name != IMPLICIT_ASSET_JOB:
        return True
    assets = {key.to_user_string() for key in run.asset_selection or ()}
    return bool(assets) and assets <= PROJECT_ASSETS


@dataclass
class _ReportDropper:
    """Drop reports one by one, and count them."""

    log: logging.Logger
    reports: int = 0
    directories: int = 0
    runs: int = 0
    failed: list[str] = field(default_factory=list)

    def drop(
        self, database: Database, instance: dg.DagsterInstance, reports_dir: UPath, report_id: str
    ) -> None:
        """Drop a report: its files, then its run, then its row.

        The row, or else the run, identifies the report, so that the next run of the job finishes a
        deletion that was interrupted.
        """
        if not is_valid_report_id(report_id):
            self.log.warning("%r is not a valid report id: skipped", report_id)
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


@dg.op(
    out=dg.Out(dg.Nothing),
    description="Deletes files of polls that were merged or abandoned more than a day ago.",
)
@as_dagster_failure()
def delete_replaced_poll_files(context: dg.OpExecutionContext, storemon: StoremonResource) -> None:
    """Delete files of polls that no reader needs."""
    deleted = storemon.database.polls.vacuum(datetime.now(UTC))
    context.log.info("Deleted %s", pluralize(deleted, "replaced file"))
    context.add_output_metadata({"files_deleted": deleted})


@dg.job(
    description=(
        "Drops polls, quarantined rows, reports and runs that are older than the STOREMON_KEEP_… "
        "settings. Without a setting nothing is dropped."
    ),
    config=CONSOLE_CONFIG,
    executor_def=dg.in_process_executor,
)
def retention_job() -> None:
    """Drop each kind in its own op, so that one failure does not stop the others."""
    drop_old_polls()
    delete_replaced_poll_files()
    drop_old_quarantined_rows()
    drop_old_reports()


retention_schedule = dg.ScheduleDefinition(
    name="retention_schedule",
    job=retention_job,
    cron_schedule="30 3 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Drops old data every night at 03:30 UTC. Stopped by default.",
)
