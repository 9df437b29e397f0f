"""The sensors that let no report be lost: what they decide, and what they do on a real instance."""

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
ASKED = ReportSpec(windows=("day",), store_ids=("s1",))


# What is decided


def request(request_id: str) -> StoredRequest:
    return StoredRequest(request_id, "Pending", ASKED, LONG_AGO, None, None, None, None)


def test_a_request_is_launched_unless_it_has_a_run() -> None:
    one, two, three = waiting = [request(each) for each in "123"]
    assert partition_requests(waiting, {}) == (waiting, [])
    assert partition_requests(waiting, {"2": "run", "9": "other"}) == ([one, three], [(two, "run")])
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
def test_how_a_report_ends_is_how_its_run_does(
    status: Status, messages: list[str], error: str | None
) -> None:
    assert run_outcome("a-run", status, messages) == RunOutcome("a-run", error)


@pytest.mark.parametrize(
    "status",
    [each for each in Status if each not in (Status.CANCELED, Status.FAILURE, Status.SUCCESS)],
)
def test_a_run_that_has_not_ended_ends_no_report(status: Status) -> None:
    assert run_outcome("a-run", status, ["whatever"]) is None


# What is done


def keep(request_id: str, asked: ReportSpec = ASKED, *, now: datetime = LONG_AGO) -> StoredRequest:
    with StoremonResource().database.registry_transaction(lock="requests") as connection:
        return create_or_get_request(
            connection, asked, request_id, now, max_queued=99, http_request_id=f"http-{request_id}"
        )


def kept(request_id: str) -> StoredRequest:
    with StoremonResource().database.read() as connection:
        found = find_request(connection, request_id)
    assert found is not None
    return found


def state(report_id: str) -> ReportRecord:
    with StoremonResource().database.read() as connection:
        found = find_report(connection, report_id)
    assert found is not None
    return found


def looked_for_requests(instance: dg.DagsterInstance) -> list[dg.RunRequest]:
    """What the sensor asks to be launched."""
    with dg.build_sensor_context(instance, resources={"storemon": StoremonResource()}) as context:
        told = report_request_sensor(context)
    if isinstance(told, dg.SkipReason):
        return []
    assert isinstance(told, dg.SensorResult)
    return list(told.run_requests or [])


def looked_at_runs(instance: dg.DagsterInstance) -> str:
    """What the sensor says to have noted."""
    with dg.build_sensor_context(instance, resources={"storemon": StoremonResource()}) as context:
        told = report_status_sensor(context)
    assert isinstance(told, dg.SkipReason)
    return told.skip_message or ""


def put_run(
    instance: dg.DagsterInstance,
    status: Status,
    *,
    job: str = "report_job",
    tags: dict[str, str] | None = None,
    retries: str | None = None,
) -> str:
    run_id = make_new_run_id()
    instance.add_run(
        dg.DagsterRun(
            job_name=job,
            run_id=run_id,
            status=status,
            tags=tags or {},
            root_run_id=retries,
            parent_run_id=retries,
        )
    )
    return run_id


def test_a_request_that_waits_is_launched_as_it_was_asked_for(instance: dg.DagsterInstance) -> None:
    keep("1")
    keep("2", ReportSpec(), now=LONG_AGO + timedelta(seconds=1))
    one, two = looked_for_requests(instance)
    assert (one.run_key, one.run_config, two.run_key) == ("1", report_run_config(ASKED), "2")
    assert one.tags == {REQUEST_TAG: "1", HTTP_REQUEST_TAG: "http-1"}
    # until a run claims it, or is found, it waits
    assert kept("1").status == "Pending"


def test_what_nobody_waits_for_is_not_launched(instance: dg.DagsterInstance) -> None:
    assert looked_for_requests(instance) == []
    now = datetime.now(UTC)
    keep("canceled")
    keep("being launched", ReportSpec(), now=now)
    has_one = keep("launched", ReportSpec(windows=("hour",)))
    with StoremonResource().database.registry_transaction() as connection:
        cancel_request(connection, "canceled")
        mark_launched(connection, has_one, "a-run")
    assert looked_for_requests(instance) == []
    with StoremonResource().database.registry_transaction() as connection:
        release_request(connection, "being launched")
    assert [each.run_key for each in looked_for_requests(instance)] == ["being launched"]


def test_who_began_to_launch_and_did_not_come_back_is_not_waited_for(
    instance: dg.DagsterInstance,
) -> None:
    keep("1", now=datetime.now(UTC) - timedelta(seconds=LAUNCH_TIMEOUT_SECONDS + 1))
    assert [each.run_key for each in looked_for_requests(instance)] == ["1"]


def test_a_run_that_was_launched_and_not_noted_is_found(instance: dg.DagsterInstance) -> None:
    keep("1")
    first = put_run(instance, Status.FAILURE, tags=report_run_tags("1", None))
    put_run(instance, Status.NOT_STARTED, tags=report_run_tags("1", None))
    assert looked_for_requests(instance) == []
    assert (kept("1").status, kept("1").run_id) == ("Launched", first)
    assert (state("1").report_id, state("1").requested_at) == (first, LONG_AGO)


def test_a_run_that_is_queued_is_a_report_that_is(instance: dg.DagsterInstance) -> None:
    by_hand = put_run(instance, Status.NOT_STARTED)
    put_run(instance, Status.NOT_STARTED, job="ingest_job")
    # what was asked for over REST is noted with its request, and a retry is of a report that is
    put_run(instance, Status.NOT_STARTED, tags=report_run_tags("a-request", None))
    put_run(instance, Status.NOT_STARTED, retries=put_run(instance, Status.FAILURE))
    looked_at_runs(instance)
    (row,) = table("report")
    assert (row["report_id"], row["status"]) == (by_hand, "Queued")
    assert "1 reports are in progress" in looked_at_runs(instance)


@pytest.mark.parametrize(
    ("status", "becomes", "error"),
    [
        (Status.FAILURE, "Failed", "the run failed"),
        (Status.CANCELED, "Canceled", None),
        (Status.SUCCESS, "Failed", "the run ended without its report"),
        (Status.STARTED, "Running", None),
        (Status.CANCELING, "Running", None),
    ],
)
def test_a_report_ends_with_its_run(
    instance: dg.DagsterInstance, status: Status, becomes: str, error: str | None
) -> None:
    run_id = put_run(instance, status)
    elsewhere = make_new_run_id()
    for each in (run_id, elsewhere):
        with StoremonResource().database.registry_transaction() as connection:
            start_report(connection, each, None, LONG_AGO)
    looked_at_runs(instance)
    row = report_row(run_id)
    assert (row["status"], row["error"]) == (becomes, error)
    assert (row["finished_at"] is None) is (becomes == "Running")
    # what Dagster does not know, it says nothing of
    assert report_row(elsewhere)["status"] == "Running"


def test_the_reason_is_what_dagster_said_before_it_gave_the_run_up(
    instance: dg.DagsterInstance,
) -> None:
    run_id = put_run(instance, Status.STARTED)
    with StoremonResource().database.registry_transaction() as connection:
        start_report(connection, run_id, None, LONG_AGO)
    one = instance.get_run_by_id(run_id)
    assert one is not None
    instance.report_engine_event("the run's process was lost", one)
    instance.report_run_failed(one)
    looked_at_runs(instance)
    assert report_row(run_id)["error"] == "the run's process was lost"


def test_a_report_that_is_complete_stays_so_whatever_becomes_of_its_run(
    instance: dg.DagsterInstance, two_stores: Path
) -> None:
    made = run(instance, "ingest_and_report_job")
    before = report_row(made.run_id)
    one = instance.get_run_by_id(made.run_id)
    assert one is not None
    instance.report_run_failed(one)
    looked_at_runs(instance)
    assert report_row(made.run_id) == before


def make(instance: dg.DagsterInstance, request_id: str) -> dg.ExecuteInProcessResult:
    """Run the job as the API and the sensor launch it."""
    return defs.resolve_job_def("report_job").execute_in_process(
        instance=instance,
        run_config=report_run_config(ASKED),
        tags=report_run_tags(request_id, None),
        raise_on_error=False,
    )


def test_of_two_runs_for_one_request_the_second_stops_and_leaves_nothing(
    instance: dg.DagsterInstance, two_stores: Path
) -> None:
    assert run(instance, "ingest_job").success
    keep("1")
    first = make(instance, "1")
    assert first.success
    before = table("report")
    second = make(instance, "1")
    told = failure(second, "report_request")
    assert "made by another run" in told
    assert "this run stops" in told
    assert table("report") == before
    assert not (report_dir(second.run_id) / "report.csv").exists()
    assert (state("1").report_id, state("1").status) == (first.run_id, "Complete")
    looked_at_runs(instance)
    assert table("report") == before


@pytest.mark.parametrize("asked", [True, False])
def test_a_run_whose_request_was_canceled_or_removed_stops(
    instance: dg.DagsterInstance, two_stores: Path, asked: bool
) -> None:
    assert run(instance, "ingest_job").success
    if asked:
        keep("1")
        with StoremonResource().database.registry_transaction() as connection:
            cancel_request(connection, "1")
    assert "canceled" in failure(make(instance, "1"), "report_request")
    assert table("report") == []
