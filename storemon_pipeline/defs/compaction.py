"""Compaction: merge the small files of polls that ingests append."""

import dagster as dg

from storemon_pipeline.defs.failures import as_dagster_failure
from storemon_pipeline.defs.jobs import CONSOLE_CONFIG
from storemon_pipeline.defs.resources import StoremonResource
from storemon_pipeline.uptime.messages import pluralize


@dg.op(
    out=dg.Out(dg.Nothing),
    description="Merges the files of each day of polls that has many small ones.",
)
@as_dagster_failure()
def compact_polls(context: dg.OpExecutionContext, storemon: StoremonResource) -> None:
    """Merge small files of polls."""
    days = storemon.database.polls.compact()
    context.log.info("Merged the files of %s", pluralize(len(days), "day"))
    context.add_output_metadata({"days": len(days)})


@dg.job(
    description=(
        "Merges small files of polls, beside reports and ingests. Without STOREMON_POLLS_URL it "
        "does nothing. retention_job deletes the files that were merged."
    ),
    config=CONSOLE_CONFIG,
    executor_def=dg.in_process_executor,
)
def compaction_job() -> None:
    """Compact the polls."""
    compact_polls()


@dg.schedule(
    job=compaction_job,
    cron_schedule="20 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Merges small files of polls every hour, if polls are in files.",
)
def compaction_schedule(storemon: StoremonResource) -> dg.RunRequest | dg.SkipReason:
    """Request a run if polls are in files."""
    if storemon.settings.polls_url is None:
        return dg.SkipReason("polls are in the database, since STOREMON_POLLS_URL is not set")
    return dg.RunRequest()
