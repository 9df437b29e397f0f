"""report_request_sensor and report_status_sensor: decisions, and effects on a real instance."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.utils import make_new_run_id

from storemon_pipeline.definitions import defs
from storemon_pipeline.defs.resources import StoremonResource
from storemon_pipeline.defs.sensors.report_requests import (
    LAUNCH_TIMEOUT_SECONDS,
    RunOutcome,
    partition_requests,
    report_request_sensor,
    report_status_sensor,
    run_outcome,
)
from storemon_pipeline.runs import HTTP_REQUEST_TAG, REQUEST_TAG, report_run_config, report_run_tags
from storemon_pipeline.storage.report_requests import (
    StoredRequest,
    cancel_request,
    create_or_get_request,
    find_request,
    mark_launched,
    release_request,
)
from storemon_pipeline.storage.reports import ReportRecord, find_report, start_report
from storemon_pipeline.uptime.report_request import ReportSpec
from storemon_pipeline_tests.helpers.runner import failure, report_dir, report_row, run, table

Status = dg.DagsterRunStatus
LONG_AGO = datetime(2023, 1, 25, 12, tzinfo=UTC)
SPEC = ReportSpec(windows=("day",), store_ids=("s1",))


# Decisions


def request(request_id: str) -> StoredRequest:
    return StoredRequest(request_id, "Pending", SPEC, LONG_AGO, None, None, None, None)


def test_request_without_run_is_launched() -> None:
    first, second, third = waiting = [request(name) for name in "123"]
    assert partition_requests(waiting, {}) == (waiting, [])
    assert partition_requests(waiting, {"2": "run", "9": "other"}) == (
        [first, third],
        [(second, "run")],
    )
    assert partition_requests([], {"2": "run"}) == ([], [])


@pytest.mark.parametrize(
    ("status", "messages", "error"),
    [
        (Status.CANCELED, ["canceled"], None),
        (Status.FAILURE, ["the step failed", "earlier"], "the step failed"),
        (
            Status.FAILURE,
            ["", "This run has been marked as failed from outside the execution.", "it died"],
            "it died",
        ),
        (Status.FAILURE, ["marked as failed from outside"], "the run failed"),
        (Status.FAILURE, [], "the run failed"),
        (Status.SUCCESS, ["all well"], "the run ended without its report"),
    ],
)
def test_outcome_follows_from_the_ended_run(
    status: Status, messages: list[str], error: str | None
) -> None:
    assert run_outcome("a-run", status, messages) == RunOutcome("a-run", error)


@pytest.mark.parametrize(
    "status",
    [
        status
        for status in Status
        if status not in (Status.CANCELED, Status.FAILURE, Status.SUCCESS)
    ],
)
def test_run_in_progress_has_no_outcome(status: Status) -> None:
    assert run_outcome("a-run", status, ["a message"]) is None


# Evaluations


def add_request(
    request_id: str, spec: ReportSpec = SPEC, *, now: datetime = LONG_AGO
) -> StoredRequest:
    with StoremonResource().database.registry_transaction(lock="requests") as connection:
        return create_or_get_request(
            connection, spec, request_id, now, max_queued=99, http_request_id=f"http-{request_id}"
        )


def stored_request(request_id: str) -> StoredRequest:
    with StoremonResource().database.read() as connection:
        request = find_request(connection, request_id)
    assert request is not None
    return request


def stored_report(report_id: str) -> ReportRecord:
    with StoremonResource().database.read() as connection:
        report = find_report(connection, report_id)
    assert report is not None
    return report


def requested_runs(instance: dg.DagsterInstance) -> list[dg.RunRequest]:
    """Tick report_request_sensor; return the requested runs."""
    with dg.build_sensor_context(instance, resources={"storemon": StoremonResource()}) as context:
        result = report_request_sensor(context)
    if isinstance(result, dg.SkipReason):
        assert result.skip_message == "No pending requests"
        return []
    assert isinstance(result, dg.SensorResult)
    return list(result.run_requests or [])


def update_reports(instance: dg.DagsterInstance) -> str:
    """Tick report_status_sensor; return its message."""
    with dg.build_sensor_context(instance, resources={"storemon": StoremonResource()}) as context:
        skipped = report_status_sensor(context)
    assert isinstance(skipped, dg.SkipReason)
    return skipped.skip_message or ""


def add_run(
    instance: dg.DagsterInstance,
    status: Status,
    *,
    job: str = "report_job",
    tags: dict[str, str] | None = None,
    retry_of: str | None = None,
) -> str:
    run_id = make_new_run_id()
    instance.add_run(
        dg.DagsterRun(
            job_name=job,
            run_id=run_id,
            status=status,
            tags=tags or {},
            root_run_id=retry_of,
            parent_run_id=retry_of,
        )
    )
    return run_id


def test_pending_request_is_launched_with_its_parameters(instance: dg.DagsterInstance) -> None:
    add_request("1")
    add_request("2", ReportSpec(), now=LONG_AGO + timedelta(seconds=1))
    first, second = requested_runs(instance)
    assert (first.run_key, first.run_config, second.run_key) == ("1", report_run_config(SPEC), "2")
    assert first.tags == {REQUEST_TAG: "1", HTTP_REQUEST_TAG: "http-1"}
    # pending until a run claims it or is found
    assert stored_request("1").status == "Pending"


def test_canceled_or_launched_request_is_not_launched(instance: dg.DagsterInstance) -> None:
    assert requested_runs(instance) == []
    now = datetime.now(UTC)
    add_request("canceled")
    add_request("being launched", ReportSpec(), now=now)
    launched = add_request("launched", ReportSpec(windows=("hour",)))
    with StoremonResource().database.registry_transaction() as connection:
        cancel_request(connection, "canceled")
        mark_launched(connection, launched, "a-run")
    assert requested_runs(instance) == []
    with StoremonResource().database.registry_transaction() as connection:
        release_request(connection, "being launched")
    assert [run.run_key for run in requested_runs(instance)] == ["being launched"]


def test_launch_that_timed_out_is_repeated(instance: dg.DagsterInstance) -> None:
    add_request("1", now=datetime.now(UTC) - timedelta(seconds=LAUNCH_TIMEOUT_SECONDS + 1))
    assert [run.run_key for run in requested_runs(instance)] == ["1"]


def test_launched_run_that_was_not_recorded_is_found(instance: dg.DagsterInstance) -> None:
    add_request("1")
    first = add_run(instance, Status.FAILURE, tags=report_run_tags("1", None))
    add_run(instance, Status.NOT_STARTED, tags=report_run_tags("1", None))
    assert requested_runs(instance) == []
    assert (stored_request("1").status, stored_request("1").run_id) == ("Launched", first)
    assert (stored_report("1").report_id, stored_report("1").requested_at) == (first, LONG_AGO)


def test_queued_run_becomes_a_queued_report(instance: dg.DagsterInstance) -> None:
    manual = add_run(instance, Status.NOT_STARTED)
    add_run(instance, Status.NOT_STARTED, job="ingest_job")
    # REST requests and retries already have a report
    add_run(instance, Status.NOT_STARTED, tags=report_run_tags("a-request", None))
    add_run(instance, Status.NOT_STARTED, retry_of=add_run(instance, Status.FAILURE))
    assert update_reports(instance) == "Updated 0 finished and 1 queued reports"
    (row,) = table("report")
    assert (row["report_id"], row["status"]) == (manual, "Queued")
    assert update_reports(instance) == "1 reports in progress"


@pytest.mark.parametrize(
    ("status", "expected", "error"),
    [
        (Status.FAILURE, "Failed", "the run failed"),
        (Status.CANCELED, "Canceled", None),
        (Status.SUCCESS, "Failed", "the run ended without its report"),
        (Status.STARTED, "Running", None),
        (Status.CANCELING, "Running", None),
    ],
)
def test_report_status_follows_its_run(
    instance: dg.DagsterInstance, status: Status, expected: str, error: str | None
) -> None:
    run_id = add_run(instance, status)
    unknown = make_new_run_id()
    for report_id in (run_id, unknown):
        with StoremonResource().database.registry_transaction() as connection:
            start_report(connection, report_id, None, LONG_AGO)
    update_reports(instance)
    row = report_row(run_id)
    assert (row["status"], row["error"]) == (expected, error)
    assert (row["finished_at"] is None) is (expected == "Running")
    # a run of another instance is unknown
    assert report_row(unknown)["status"] == "Running"


def test_error_is_the_message_before_external_failure(
    instance: dg.DagsterInstance,
) -> None:
    run_id = add_run(instance, Status.STARTED)
    with StoremonResource().database.registry_transaction() as connection:
        start_report(connection, run_id, None, LONG_AGO)
    stored = instance.get_run_by_id(run_id)
    assert stored is not None
    instance.report_engine_event("the run's process was lost", stored)
    instance.report_run_failed(stored)
    update_reports(instance)
    assert report_row(run_id)["error"] == "the run's process was lost"


def test_complete_report_ignores_a_later_run_failure(
    instance: dg.DagsterInstance, two_stores: Path
) -> None:
    made = run(instance, "ingest_and_report_job")
    before = report_row(made.run_id)
    stored = instance.get_run_by_id(made.run_id)
    assert stored is not None
    instance.report_run_failed(stored)
    update_reports(instance)
    assert report_row(made.run_id) == before


def run_request(instance: dg.DagsterInstance, request_id: str) -> dg.ExecuteInProcessResult:
    """Run report_job as the API and the sensor launch it."""
    return defs.resolve_job_def("report_job").execute_in_process(
        instance=instance,
        run_config=report_run_config(SPEC),
        tags=report_run_tags(request_id, None),
        raise_on_error=False,
    )


def test_second_run_of_a_request_ends_without_report(
    instance: dg.DagsterInstance, two_stores: Path
) -> None:
    assert run(instance, "ingest_job").success
    add_request("1")
    first = run_request(instance, "1")
    assert first.success
    before = table("report")
    second = run_request(instance, "1")
    assert "is handled by another run: this run ends without" in failure(second, "report_request")
    assert table("report") == before
    assert not (report_dir(second.run_id) / "report.csv").exists()
    assert (stored_report("1").report_id, stored_report("1").status) == (first.run_id, "Complete")
    update_reports(instance)
    assert table("report") == before


@pytest.mark.parametrize("is_stored", [True, False])
def test_run_of_canceled_or_removed_request_ends(
    instance: dg.DagsterInstance, two_stores: Path, is_stored: bool
) -> None:
    assert run(instance, "ingest_job").success
    if is_stored:
        add_request("1")
        with StoremonResource().database.registry_transaction() as connection:
            cancel_request(connection, "1")
    assert "canceled" in failure(run_request(instance, "1"), "report_request")
    assert table("report") == []
