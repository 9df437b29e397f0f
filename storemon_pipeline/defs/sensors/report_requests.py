"""The sensors that let no report be lost: of requests that wait, and of runs that have ended.

Both look at what is on record and at what Dagster knows, each time anew, instead of at events: a
tick that fails, or a daemon that was down, costs time and nothing else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg

from storemon_pipeline.defs.dead_runs import end_dead_runs
from storemon_pipeline.defs.errors import skipped_while_database_is_away
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
"""For how long whoever began to launch a run may take, before somebody else does."""

_INTERVAL = 5  # that of the daemon's own loop
_NOT_STARTED = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED]
_EXTERNAL_FAILURE = "marked as failed from outside"
_LAST_EVENTS = 20


def partition_requests(
    waiting: Sequence[StoredRequest], runs: Mapping[str, str]
) -> tuple[list[StoredRequest], list[tuple[StoredRequest, str]]]:
    """Decide for which requests to launch a run, and which have one that nobody has noted.

    Parameters
    ----------
    waiting : sequence of StoredRequest
    runs : mapping
        The runs that Dagster knows: request's id -> run's id.

    Returns
    -------
    new : list of StoredRequest
        In the order they were asked for.
    known : list of (StoredRequest, run_id)
        Whoever launched it could not say so any more.
    """
    new = [request for request in waiting if request.request_id not in runs]
    known = [
        (request, runs[request.request_id]) for request in waiting if request.request_id in runs
    ]
    return new, known


@dg.sensor(
    job=report_job,
    minimum_interval_seconds=_INTERVAL,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Launches the reports that were asked for over REST while Dagster could not be reached, "
        "each once."
    ),
)
@skipped_while_database_is_away
def report_request_sensor(
    context: dg.SensorEvaluationContext, storemon: StoremonResource
) -> dg.SensorResult | dg.SkipReason:
    """Look for requests that wait."""
    offered_before = datetime.now(UTC) - timedelta(seconds=LAUNCH_TIMEOUT_SECONDS)
    with storemon.database.read() as connection:
        waiting = pending_requests(connection, offered_before)
    new, known = partition_requests(waiting, _runs_by_request(context.instance, waiting))
    if known:
        with storemon.database.registry_transaction() as connection:
            for request, run_id in known:
                mark_launched(connection, request, run_id)
    if not new:
        return dg.SkipReason("No request waits for its run")
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(
                run_key=request.request_id,
                run_config=report_run_config(request.spec),
                tags=report_run_tags(request.request_id, request.http_request_id),
            )
            for request in new
        ]
    )


def _runs_by_request(
    instance: dg.DagsterInstance, waiting: Sequence[StoredRequest]
) -> dict[str, str]:
    """The first run of each request that has one."""
    tags = {REQUEST_TAG: [request.request_id for request in waiting]}
    runs = instance.get_runs(dg.RunsFilter(tags=tags)) if waiting else []
    return {run.tags[REQUEST_TAG]: run.run_id for run in runs}  # newest first: the first one stays


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a run has ended that had not completed its report.

    Attributes
    ----------
    run_id : str
    error : str or None
        None where it was canceled.
    """

    run_id: str
    error: str | None


def run_outcome(
    run_id: str, status: dg.DagsterRunStatus, messages: Sequence[str]
) -> RunOutcome | None:
    """Decide what became of a report in progress by what became of its run.

    Parameters
    ----------
    run_id : str
    status : DagsterRunStatus
    messages : sequence of str
        What Dagster said of the run at its end, newest first.

    Returns
    -------
    RunOutcome or None
        None while it has not ended.
    """
    if status is dg.DagsterRunStatus.CANCELED:
        return RunOutcome(run_id, None)
    if status is dg.DagsterRunStatus.FAILURE:
        # that it was marked as failed is no reason; what was said before it is
        said = [each for each in messages if each and _EXTERNAL_FAILURE not in each]
        return RunOutcome(run_id, said[0] if said else "the run failed")
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
    minimum_interval_seconds=_INTERVAL,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Notes in the table `report` which runs are queued, and which were cancelled, failed or "
        "died before their report was complete, with the reason."
    ),
)
@skipped_while_database_is_away
def report_status_sensor(
    context: dg.SensorEvaluationContext, storemon: StoremonResource
) -> dg.SkipReason:
    """Look for runs whose report says something else."""
    instance = context.instance
    context.update_cursor(end_dead_runs(instance, storemon, context.cursor, datetime.now(UTC)))
    queued = [
        run for run in instance.get_runs(dg.RunsFilter(statuses=_NOT_STARTED)) if is_report_run(run)
    ]
    with storemon.database.read() as connection:
        in_progress = runs_in_progress(connection)
    # those of another history of Dagster's are not in this one, and stay as they are
    runs = instance.get_runs(dg.RunsFilter(run_ids=in_progress)) if in_progress else []
    endings = [
        ended
        for run in runs
        if run.is_finished
        and (ended := run_outcome(run.run_id, run.status, _failure_messages(instance, run.run_id)))
    ]
    # a retry makes a report that is on record, and what was asked for over REST is, by its request
    new = [
        run
        for run in queued
        if run.run_id not in in_progress and not run.root_run_id and REQUEST_TAG not in run.tags
    ]
    if not new and not endings:
        return dg.SkipReason(f"{len(in_progress):,} reports are in progress")
    now = datetime.now(UTC)
    with storemon.database.registry_transaction() as connection:
        for run in new:
            queue_report(connection, run.run_id, now)
        for ended in endings:
            if ended.error is None:
                cancel_report(connection, ended.run_id, canceled_at=now)
            else:
                fail_report(connection, ended.run_id, error=ended.error, failed_at=now)
    return dg.SkipReason(f"Noted {len(endings):,} reports that ended and {len(new):,} queued ones")


REPORT_SENSORS = [report_request_sensor, report_status_sensor]
