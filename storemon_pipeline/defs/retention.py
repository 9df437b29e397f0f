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

from storemon_pipeline.defs.failures import told_as_failure
from storemon_pipeline.defs.ingested import RAW_ASSETS
from storemon_pipeline.defs.io import REQUEST, TABLES, runs_needed
from storemon_pipeline.defs.jobs import JOBS
from storemon_pipeline.defs.reported import REPORT_ASSETS
from storemon_pipeline.defs.resources import Storemon
from storemon_pipeline.storage.alerts import drop_alerts
from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.ingest_runs import drop_ingest_runs
from storemon_pipeline.storage.requests import drop_old_requests
from storemon_pipeline.storage.retention import (
    drop_directory,
    drop_polls,
    drop_quarantined,
    drop_report_row,
    is_report_id,
    kept_since,
    report_ages,
    reports_to_drop,
)

OWN_ASSETS = {*RAW_ASSETS, *REPORT_ASSETS, *(Path(name).stem for name in (REQUEST, *TABLES))}
_SOME_ASSETS = "__ASSET_JOB"  # what Dagster calls a run of assets without a job
_REPOSITORY = ".dagster/repository"
_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_BATCH = 500


def _cutoff(context: dg.OpExecutionContext, days: int | None, setting: str) -> datetime | None:
    """Before when to drop; where nothing is to be dropped, None, and the log says so."""
    before = kept_since(datetime.now(UTC), days)
    if before is None:
        context.log.info("%s is not set: nothing is dropped, all is kept for ever", setting)
        context.add_output_metadata({"kept": "for ever"})
    return before


def _many(count: int, one: str, more: str) -> str:
    return f"{count:,} {one if count == 1 else more}"


@dg.op(
    out=dg.Out(dg.Nothing),
    description="Drops the months of polls that are wholly older than STOREMON_KEEP_POLLS_DAYS.",
)
@told_as_failure()
def drop_old_polls(context: dg.OpExecutionContext, storemon: Storemon) -> None:
    """Drop old polls."""
    days, database = storemon.settings.keep_polls_days, storemon.database
    if (before := _cutoff(context, days, "STOREMON_KEEP_POLLS_DAYS")) is None:
        return
    with database.write_data() as connection:
        dropped = drop_polls(connection, before)
    context.log.info(
        "Dropped %s of polls (%s) before %s; %s no polls left",
        _many(dropped.months, "month", "months"),
        _many(dropped.polls, "poll", "polls"),
        dropped.before.date().isoformat(),
        _many(dropped.stores, "store has", "stores have"),
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
@told_as_failure()
def drop_old_quarantined_rows(context: dg.OpExecutionContext, storemon: Storemon) -> None:
    """Drop rows that were set aside long ago."""
    days, database = storemon.settings.keep_quarantined_days, storemon.database
    if (before := _cutoff(context, days, "STOREMON_KEEP_QUARANTINED_DAYS")) is None:
        return
    with database.write_data() as connection:
        rows = drop_quarantined(connection, before)
    context.log.info(
        "Dropped %s, set aside before %s",
        _many(rows, "quarantined row", "quarantined rows"),
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
@told_as_failure()
def drop_old_reports(context: dg.OpExecutionContext, storemon: Storemon) -> None:
    """Drop old reports and runs."""
    settings, database = storemon.settings, storemon.database
    days = settings.keep_reports_days
    if (before := _cutoff(context, days, "STOREMON_KEEP_REPORTS_DAYS")) is None:
        return
    instance, reports_dir = context.instance, settings.reports_path
    in_progress = _in_progress(instance)
    ended = set(_ended(instance, before, context.run))
    with database.read() as connection:
        ages = report_ages(connection, before)
    # neither the files that later runs go on from, nor those that a run reads just now
    working = in_progress.keys() | (ages.unfinished - ended)
    parents = {parent for parent in in_progress.values() if parent}
    needed = runs_needed(reports_dir, working | parents)
    with database.write_registry(alone="alerts") as connection:
        alerts = drop_alerts(connection, before)
        drop_ingest_runs(connection, before)
    dropped = _Dropped(context.log)
    for report_id in reports_to_drop(
        ages, ended=ended, in_progress=in_progress.keys() | {context.run_id}, needed=needed
    ):
        dropped.drop(database, instance, reports_dir, report_id)
    with database.write_registry() as connection:
        drop_old_requests(connection, before)
    kept = len(needed & (ages.old | ended))
    context.log.info(
        "Dropped %s, %s of files and %s of Dagster, finished before %s; kept %s that others need; "
        "dropped %s",
        _many(dropped.reports, "report", "reports"),
        _many(dropped.directories, "directory", "directories"),
        _many(dropped.runs, "run", "runs"),
        before.isoformat(timespec="seconds"),
        _many(kept, "older one", "older ones"),
        _many(alerts, "alert", "alerts"),
    )
    if dropped.failed:
        msg = (
            f"{_many(len(dropped.failed), 'report', 'reports')} could not be dropped, and will be "
            f"tried again the next time: {'; '.join(dropped.failed)}"
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
    statuses = [status for status in dg.DagsterRunStatus if status not in _ENDED]
    runs = instance.get_runs(filters=dg.RunsFilter(statuses=statuses))
    return {run.run_id: run.parent_run_id for run in runs}


def _ended(instance: dg.DagsterInstance, before: datetime, this: dg.DagsterRun) -> Iterator[str]:
    """The ids of this project's runs that ended before an instant."""
    for job in (*(job.name for job in JOBS), this.job_name, _SOME_ASSETS):
        filters = dg.RunsFilter(job_name=job, statuses=_ENDED, updated_before=before)
        last = None
        while records := instance.get_run_records(filters, limit=_BATCH, cursor=last):
            runs = [record.dagster_run for record in records]
            yield from (run.run_id for run in runs if _is_own(run, this))
            last = runs[-1].run_id


def _is_own(run: dg.DagsterRun, this: dg.DagsterRun) -> bool:
    """Whether a run with one of the jobs' names is this project's: others may share the history."""
    places = {each.tags[_REPOSITORY] for each in (run, this) if _REPOSITORY in each.tags}
    if len(places) > 1:
        return False
    if run.job_name != _SOME_ASSETS:
        return True
    assets = {key.to_user_string() for key in run.asset_selection or ()}
    return bool(assets) and assets <= OWN_ASSETS


@dataclass
class _Dropped:
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
        if not is_report_id(report_id):
            self.log.warning("%r is no id of a report: it is left alone", report_id)
            return
        try:
            self.directories += drop_directory(reports_dir, report_id)
            self.runs += _drop_run(instance, report_id)
        except OSError as error:
            self.failed.append(f"{report_id}: {error}")
            return
        with database.write_registry() as connection:
            self.reports += drop_report_row(connection, report_id)


def _drop_run(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Delete a run with its events and logs; gives whether there was one."""
    if not instance.has_run(run_id):
        return False
    instance.compute_log_manager.delete_logs(prefix=[run_id])
    instance.delete_run(run_id)
    for path in _event_files(instance, run_id):  # Dagster only empties it
        path.unlink(missing_ok=True)
    return True


def _event_files(instance: dg.DagsterInstance, run_id: str) -> list[Path]:
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
