"""Job and schedule that drop data older than the retention settings; unset, they drop nothing.

:mod:`storemon_pipeline.storage.retention` deletes from tables and directories, :mod:`.project_runs`
Dagster's runs with their events and logs.
"""

import logging
from dataclasses import dataclass, field
from datetime import datetime

import dagster as dg
from upath import UPath

from storemon_pipeline.defs.failures import as_dagster_failure
from storemon_pipeline.defs.jobs import CONSOLE_CONFIG
from storemon_pipeline.defs.project_runs import delete_run, finished_runs, unfinished_runs
from storemon_pipeline.defs.resources import StoremonResource
from storemon_pipeline.defs.run_storage import referenced_runs
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


def _cutoff(
    context: dg.OpExecutionContext, now: datetime, days: int | None, setting: str
) -> datetime | None:
    """Return the time before which to drop; log and return None if the setting is unset."""
    before = retention_cutoff(now, days)
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
    if (before := _cutoff(context, storemon.now(), days, "STOREMON_KEEP_POLLS_DAYS")) is None:
        return
    with database.data_transaction() as connection:
        dropped = drop_polls(database.polls, connection, before)
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
    if (before := _cutoff(context, storemon.now(), days, "STOREMON_KEEP_QUARANTINED_DAYS")) is None:
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
    if (before := _cutoff(context, storemon.now(), days, "STOREMON_KEEP_REPORTS_DAYS")) is None:
        return
    instance, reports_dir = context.instance, settings.reports_path
    in_progress = unfinished_runs(instance)
    finished = set(finished_runs(instance, before, context.run))
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
            self.runs += delete_run(instance, report_id)
        except OSError as error:
            self.failed.append(f"{report_id}: {error}")
            return
        with database.registry_transaction() as connection:
            self.reports += drop_report_row(connection, report_id)


@dg.op(
    out=dg.Out(dg.Nothing),
    description="Deletes files of polls that were merged or abandoned more than a day ago.",
)
@as_dagster_failure()
def delete_replaced_poll_files(context: dg.OpExecutionContext, storemon: StoremonResource) -> None:
    """Delete files of polls that no reader needs."""
    deleted = storemon.database.polls.vacuum(storemon.now())
    if deleted:
        context.log.info("Deleted %s of polls", pluralize(deleted, "replaced file"))
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
