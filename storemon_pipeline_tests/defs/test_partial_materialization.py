"""Some of the assets can be made alone: they go on from what one earlier run has left, whole."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.utils import make_new_run_id

from storemon_pipeline.definitions import defs
from storemon_pipeline_tests.helpers.runner import (
    failure,
    materialize,
    report_dir,
    report_files,
    report_row,
    request_config,
    rows,
    run,
    table,
)

INTERMEDIATE = (
    "polled_stores",
    "weekly_hours",
    "special_dates",
    "open_hours",
    "status_intervals",
    "current_status",
)
PAST = "2023-01-23T12:00:00Z"


@pytest.fixture
def complete(instance: dg.DagsterInstance, two_stores: Path) -> dg.ExecuteInProcessResult:
    """A run that has made everything."""
    made = run(instance, "ingest_and_report_job")
    assert made.success
    return made


def files(run_id: str) -> set[str]:
    directory = report_dir(run_id)
    return {
        path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()
    }


def fails_at(
    asset: str, instance: dg.DagsterInstance, job: str = "report_job", **asked: object
) -> dg.ExecuteInProcessResult:
    """A run that cannot write an asset's file, since a directory is in its place."""
    run_id = make_new_run_id()
    (report_dir(run_id) / "intermediate" / f"{asset}.parquet" / "in_the_way").mkdir(parents=True)
    failed = defs.resolve_job_def(job).execute_in_process(
        instance=instance,
        run_id=run_id,
        run_config=request_config(**asked),
        raise_on_error=False,
    )
    assert failed.failure_data_for_node(asset) is not None
    return failed


def report_job() -> dg.JobDefinition:
    return defs.resolve_job_def("report_job")


@pytest.fixture
def retry(instance: dg.DagsterInstance) -> Iterator[object]:
    """Retry a run of report_job from where it failed."""

    def retried(run_id: str) -> str:
        done = dg.execute_job(
            dg.reconstructable(report_job),
            instance=instance,
            reexecution_options=dg.ReexecutionOptions.from_failure(run_id, instance),
        )
        assert done.success
        return done.run_id

    return retried


def test_uptime_report_alone_gives_the_same_report_under_its_own_run_id(
    instance: dg.DagsterInstance, complete: dg.ExecuteInProcessResult
) -> None:
    alone = materialize(instance, "uptime_report")
    assert alone.success
    assert files(alone.run_id) == {
        "report.csv",
        "report_full.csv",
        "report.html",
        "intermediate/continues",
    }
    for name in ("report.csv", "report_full.csv"):
        made, before = report_dir(alone.run_id) / name, report_dir(complete.run_id) / name
        assert made.read_bytes() == before.read_bytes()
    row = report_row(alone.run_id)
    assert (row["status"], row["stores"]) == ("Complete", 2)
    assert row["request"] == report_row(complete.run_id)["request"]


def test_downtime_events_alone_are_a_file_but_no_report(
    instance: dg.DagsterInstance, complete: dg.ExecuteInProcessResult
) -> None:
    alone = materialize(instance, "downtime_events")
    assert alone.success
    assert files(alone.run_id) == {"downtime_events.csv", "intermediate/continues"}
    made, before = (report_dir(each.run_id) / "downtime_events.csv" for each in (alone, complete))
    assert made.read_bytes() == before.read_bytes()
    assert [row["report_id"] for row in table("report")] == [complete.run_id]


def test_what_a_run_has_made_anew_is_what_the_next_one_goes_on_from(
    instance: dg.DagsterInstance, complete: dg.ExecuteInProcessResult
) -> None:
    hours = materialize(instance, "open_hours")
    assert hours.success
    # were it read from the complete run, there would be no hours now
    (report_dir(complete.run_id) / "intermediate" / "open_hours.parquet").unlink()
    alone = materialize(instance, "uptime_report")
    assert alone.success
    made, before = (report_dir(each.run_id) / "report_full.csv" for each in (alone, complete))
    assert made.read_bytes() == before.read_bytes()


def test_a_new_request_alone_is_not_mixed_with_what_was_made_for_another(
    instance: dg.DagsterInstance, complete: dg.ExecuteInProcessResult
) -> None:
    assert materialize(instance, "report_request", windows=["month"]).success
    alone = materialize(instance, "uptime_report")
    assert alone.success
    assert report_row(alone.run_id)["request"] == report_row(complete.run_id)["request"]
    assert (report_dir(alone.run_id) / "report.csv").read_bytes() == (
        report_dir(complete.run_id) / "report.csv"
    ).read_bytes()


def test_a_new_request_and_its_report_without_what_lies_between_say_what_is_missing(
    instance: dg.DagsterInstance, complete: dg.ExecuteInProcessResult
) -> None:
    told = failure(materialize(instance, "report_request", "uptime_report"), "report")
    assert told == (
        "this run made a new report_request but no current_status for it: materialize all that "
        "lies between as well, or run report_job"
    )


def test_where_no_run_has_left_anything_it_is_said_what_to_run(
    instance: dg.DagsterInstance, two_stores: Path
) -> None:
    assert run(instance, "ingest_job").success
    told = failure(materialize(instance, "uptime_report"), "report")
    assert told == "no run has left current_status yet: run report_job, which makes all of a report"
    assert table("report") == []


def test_where_the_newest_run_was_removed_it_is_said_what_to_run(
    instance: dg.DagsterInstance, complete: dg.ExecuteInProcessResult
) -> None:
    shutil.rmtree(report_dir(complete.run_id))
    told = failure(materialize(instance, "uptime_report"), "report")
    assert "run report_job, which makes all of a report" in told
    assert not report_dir(complete.run_id).exists()


def test_where_the_run_that_the_newest_one_went_on_from_was_removed_it_is_said_what_to_run(
    instance: dg.DagsterInstance, complete: dg.ExecuteInProcessResult
) -> None:
    newest = materialize(instance, "status_intervals")
    assert newest.success
    shutil.rmtree(report_dir(complete.run_id))
    told = failure(materialize(instance, "uptime_report"), "report")
    assert "run report_job, which makes all of a report" in told


def test_a_whole_chain_without_ingestion_is_what_the_next_run_goes_on_from(
    instance: dg.DagsterInstance, complete: dg.ExecuteInProcessResult
) -> None:
    chain = materialize(instance, "report_request", *INTERMEDIATE, as_of=PAST)
    assert chain.success
    assert materialize(instance, "uptime_report", "downtime_events", "downtime_by_hour").success
    newest = table("report")[-1]
    assert newest["as_of"].isoformat() == "2023-01-23T12:00:00+00:00"
    assert set(files(newest["report_id"])) >= {"report.csv", "downtime_events.csv"}


def test_a_newer_run_that_failed_half_way_is_not_gone_on_from(
    instance: dg.DagsterInstance, complete: dg.ExecuteInProcessResult
) -> None:
    fails_at("open_hours", instance, as_of=PAST)
    alone = materialize(instance, "uptime_report")
    assert alone.success
    assert report_row(alone.run_id)["as_of"] == report_row(complete.run_id)["as_of"]


def test_a_retried_run_goes_on_from_the_run_it_retries_not_from_a_newer_one(
    instance: dg.DagsterInstance, complete: dg.ExecuteInProcessResult, retry
) -> None:
    wanted = run(instance, "report_job", as_of=PAST)
    failed = fails_at("status_intervals", instance, as_of=PAST)
    assert run(instance, "report_job").success
    retried = retry(failed.run_id)
    assert "intermediate/report_request.json" not in files(retried)
    assert report_files(retried) == report_files(wanted.run_id)
    # one report: the retry makes that of the run it retries
    row = report_row(failed.run_id)
    assert (row["status"], row["run_id"]) == ("Complete", retried)


def test_a_run_goes_on_from_a_retried_one_like_from_any_other(
    instance: dg.DagsterInstance, complete: dg.ExecuteInProcessResult, retry
) -> None:
    failed = fails_at("status_intervals", instance, as_of=PAST)
    retried = retry(failed.run_id)
    alone = materialize(instance, "uptime_report")
    assert alone.success
    assert rows(report_dir(alone.run_id) / "report.csv") == rows(report_dir(retried) / "report.csv")


def test_a_request_alone_is_no_report_and_is_not_said_to_be_running(
    instance: dg.DagsterInstance, complete: dg.ExecuteInProcessResult
) -> None:
    assert materialize(instance, "report_request").success
    assert materialize(instance, "store_status", "report_request").success
    assert [row["report_id"] for row in table("report")] == [complete.run_id]
