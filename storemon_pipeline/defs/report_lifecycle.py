"""Updates of a run's report in the table `report` when the run starts or fails."""

from datetime import UTC, datetime

import dagster as dg

from storemon_pipeline.defs.failures import ReportError
from storemon_pipeline.defs.resources import StoremonResource
from storemon_pipeline.runs import INGEST_AND_REPORT_JOB, REPORT_JOB, REQUEST_TAG
from storemon_pipeline.storage.database_faults import DatabaseUnavailableError
from storemon_pipeline.storage.heartbeats import record_heartbeat
from storemon_pipeline.storage.report_requests import claim_request
from storemon_pipeline.storage.reports import fail_report, start_report
from storemon_pipeline.storage.schema_version import NewerDatabaseError
from storemon_pipeline.uptime.messages import shorten
from storemon_pipeline.uptime.report_request import ReportRequest

_REPORT_JOBS = (REPORT_JOB, INGEST_AND_REPORT_JOB)


def is_report_run(run: dg.DagsterRun) -> bool:
    """Return whether a run makes a report."""
    if run.asset_selection:  # assets selected in the UI
        return dg.AssetKey("uptime_report") in run.asset_selection
    return run.job_name in _REPORT_JOBS


def mark_report_started(
    storemon: StoremonResource, run: dg.DagsterRun, request: ReportRequest | None
) -> None:
    """Mark the run's report as Running, with its request, if the run makes a report.

    Raises
    ------
    ReportError
        If another run makes the report of the same request, or the request was canceled.
    """
    if not is_report_run(run):
        return
    request_id = run.tags.get(REQUEST_TAG)
    with storemon.database.registry_transaction() as connection:
        if request_id and not claim_request(connection, request_id, run.run_id, run.root_run_id):
            msg = (
                f"request {request_id} was canceled or is handled by another run: this run ends "
                "without a report"
            )
            raise ReportError(msg)
        now = datetime.now(UTC)
        # a Running report without a heartbeat would count as dead
        record_heartbeat(connection, run.run_id, now)
        start_report(connection, run.run_id, request, now, root_run_id=run.root_run_id)


def failure_reason(error: BaseException | None) -> str:
    """Return the error to store with a failed report."""
    if isinstance(error, dg.Failure):
        return error.description or "the run failed"
    return shorten(f"{type(error).__name__}: {error}")


# requires the heartbeat, so that it starts before the first step of every asset run
@dg.failure_hook(required_resource_keys={"storemon", "heartbeat"})
def mark_report_failed(context: dg.HookContext) -> None:
    """Mark the run's report as Failed with the cause, if the run makes a report."""
    storemon: StoremonResource = context.resources.storemon
    try:
        with storemon.database.registry_transaction() as connection:
            fail_report(
                connection,
                context.run_id,
                error=failure_reason(context.op_exception),
                failed_at=datetime.now(UTC),
            )
    except (DatabaseUnavailableError, NewerDatabaseError) as error:
        # report_status_sensor will do it
        context.log.error("The report could not be marked as Failed: %s", error)  # noqa: TRY400
