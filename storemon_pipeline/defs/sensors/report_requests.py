"""Sensors that reconcile reports with Dagster's runs: pending requests, and runs that have ended.

Each tick compares the stored state with Dagster's instead of handling events, so a failed tick or a
stopped daemon delays updates but loses none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg

from storemon_pipeline.defs.dead_runs import end_dead_runs
from storemon_pipeline.defs.failures import skip_if_database_unavailable
from storemon_pipeline.defs.jobs import report_job
from storemon_pipeline.defs.report_lifecycle import is_report_run
from storemon_pipeline.defs.resources import StoremonResource
from storemon_pipeline.runs import REQUEST_TAG, report_run_config, report_run_tags
from storemon_pipeline.storage.report_requests import StoredRequest, mark_launched, pending_requests
from storemon_pipeline.storage.reports import (
    cancel_report,
    fail_report,
    queue_report,
    runs_in_progress,
)

LAUNCH_TIMEOUT_SECONDS = 30
"""Time allowed for a launch in progress before the sensor launches the run itself."""

_INTERVAL_SECONDS = 5  # the interval of the daemon's own loop
_NOT_STARTED = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED]
_EXTERNAL_FAILURE = "marked as failed from outside"
_LAST_EVENTS = 20


def partition_requests(
    waiting: Sequence[StoredRequest], runs: Mapping[str, str]
) -> tuple[list[StoredRequest], list[tuple[StoredRequest, str]]]:
    """Split pending requests into those to launch and those that already have a run.

    Parameters
    ----------
    waiting : sequence of StoredRequest
    runs : mapping
        Dagster's runs: request id -> run id.

    Returns
    -------
    to_launch : list of StoredRequest
        In the order of submission.
    launched : list of (StoredRequest, run_id)
        Requests whose launcher died before it could record the run.
    """
    to_launch = [request for request in waiting if request.request_id not in runs]
    launched = [
        (request, runs[request.request_id]) for request in waiting if request.request_id in runs
    ]
    return to_launch, launched


@dg.sensor(
    job=report_job,
    minimum_interval_seconds=_INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Launches reports that were requested over REST while Dagster was unavailable, each once."
    ),
)
@skip_if_database_unavailable
def report_request_sensor(
    context: dg.SensorEvaluationContext, storemon: StoremonResource
) -> dg.SensorResult | dg.SkipReason:
    """Launch pending requests."""
    launched_before = datetime.now(UTC) - timedelta(seconds=LAUNCH_TIMEOUT_SECONDS)
    with storemon.database.read() as connection:
        waiting = pending_requests(connection, launched_before)
    to_launch, launched = partition_requests(waiting, _runs_by_request(context.instance, waiting))
    if launched:
        with storemon.database.registry_transaction() as connection:
            for request, run_id in launched:
                mark_launched(connection, request, run_id)
    if not to_launch:
        return dg.SkipReason("No pending requests")
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(
                run_key=request.request_id,
                run_config=report_run_config(request.spec),
                tags=report_run_tags(request.request_id, request.http_request_id),
            )
            for request in to_launch
        ]
    )


def _runs_by_request(
    instance: dg.DagsterInstance, waiting: Sequence[StoredRequest]
) -> dict[str, str]:
    """Return the first run of each request that has a run."""
    tags = {REQUEST_TAG: [request.request_id for request in waiting]}
    runs = instance.get_runs(dg.RunsFilter(tags=tags)) if waiting else []
    # newest first, so the oldest run of a request wins
    return {run.tags[REQUEST_TAG]: run.run_id for run in runs}


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """Outcome of a run that ended before its report was complete.

    Attributes
    ----------
    run_id : str
    error : str or None
        None if the run was canceled.
    """

    run_id: str
    error: str | None


def run_outcome(
    run_id: str, status: dg.DagsterRunStatus, messages: Sequence[str]
) -> RunOutcome | None:
    """Derive the outcome of an unfinished report from its run.

    Parameters
    ----------
    run_id : str
    status : DagsterRunStatus
    messages : sequence of str
        Dagster's last messages about the run, newest first.

    Returns
    -------
    RunOutcome or None
        None while the run is in progress.
    """
    if status is dg.DagsterRunStatus.CANCELED:
        return RunOutcome(run_id, None)
    if status is dg.DagsterRunStatus.FAILURE:
        # "marked as failed" does not give a reason; the message before it does
        reasons = [text for text in messages if text and _EXTERNAL_FAILURE not in text]
        return RunOutcome(run_id, reasons[0] if reasons else "the run failed")
    if status is dg.DagsterRunStatus.SUCCESS:
        return RunOutcome(run_id, "the run ended without its report")
    return None


def _failure_messages(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    records = instance.get_records_for_run(run_id, limit=_LAST_EVENTS, ascending=False).records
    events = [record.event_log_entry for record in records]
    return [
        event.dagster_event.message or ""
        for event in events
        if event.dagster_event is not None
        and (event.dagster_event.is_engine_event or event.dagster_event.is_run_failure)
    ]


@dg.sensor(
    minimum_interval_seconds=_INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Updates the table `report`: runs that are queued, and runs that were canceled, failed or "
        "died before their report was complete, with the reason."
    ),
)
@skip_if_database_unavailable
def report_status_sensor(
    context: dg.SensorEvaluationContext, storemon: StoremonResource
) -> dg.SkipReason:
    """Update reports whose status differs from that of their run."""
    instance = context.instance
    context.update_cursor(end_dead_runs(instance, storemon, context.cursor, datetime.now(UTC)))
    queued = [
        run for run in instance.get_runs(dg.RunsFilter(statuses=_NOT_STARTED)) if is_report_run(run)
    ]
    with storemon.database.read() as connection:
        in_progress = runs_in_progress(connection)
    # runs of another Dagster instance are unknown here; their reports stay unchanged
    runs = instance.get_runs(dg.RunsFilter(run_ids=in_progress)) if in_progress else []
    outcomes = [
        outcome
        for run in runs
        if run.is_finished
        and (
            outcome := run_outcome(run.run_id, run.status, _failure_messages(instance, run.run_id))
        )
    ]
    # retries and REST requests already have a row
    new = [
        run
        for run in queued
        if run.run_id not in in_progress and not run.root_run_id and REQUEST_TAG not in run.tags
    ]
    if not new and not outcomes:
        return dg.SkipReason(f"{len(in_progress):,} reports in progress")
    now = datetime.now(UTC)
    with storemon.database.registry_transaction() as connection:
        for run in new:
            queue_report(connection, run.run_id, now)
        for outcome in outcomes:
            if outcome.error is None:
                cancel_report(connection, outcome.run_id, canceled_at=now)
            else:
                fail_report(connection, outcome.run_id, error=outcome.error, failed_at=now)
    return dg.SkipReason(f"Updated {len(outcomes):,} finished and {len(new):,} queued reports")
