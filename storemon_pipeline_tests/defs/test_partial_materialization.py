"""A run of only some assets reads the others from one earlier, complete run."""

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
    """A run of all assets."""
    made = run(instance, "ingest_and_report_job")
    assert made.success
    return made


def files(run_id: str) -> set[str]:
    directory = report_dir(run_id)
    return {
        path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()
    }


def fails_at(
    asset: str, instance: dg.DagsterInstance, job: str = "report_job", **config: object
) -> dg.ExecuteInProcessResult:
    """Run a job that fails to write an asset: a file is where its directory belongs."""
    run_id = make_new_run_id()
    blocked = report_dir(run_id) / "intermediate" / f"{asset}.parquet"
    blocked.parent.mkdir(parents=True)
    blocked.touch()
    failed = defs.resolve_job_def(job).execute_in_process(
        instance=instance,
        run_id=run_id,
        run_config=request_config(**config),
        raise_on_error=False,
    )
    assert failed.failure_data_for_node("report") is not None
    return failed


def report_job() -> dg.JobDefinition:
    return defs.resolve_job_def("report_job")


@pytest.fixture
def retry(instance: dg.DagsterInstance) -> Iterator[object]:
    """Return a function that retries a run of report_job from its failure."""

    def retried(run_id: str) -> str:
        done = dg.execute_job(
            dg.reconstructable(report_job),
            instance=instance,
            reexecution_options=dg.ReexecutionOptions.from_failure(run_id, instance),
        )
        assert done.success
        return done.run_id

    return retried


def test_uptime_report_alone_gives_the_same_report(
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
        new, before = report_dir(alone.run_id) / name, report_dir(complete.run_id) / name
        assert new.read_bytes() == before.read_bytes()
    row = report_row(alone.run_id)
    assert (row["status"], row["stores"]) == ("Complete", 2)
    assert row["request"] == report_row(complete.run_id)["request"]


def test_downtime_events_alone_make_no_report(
    instance: dg.DagsterInstance, complete: dg.ExecuteInProcessResult
) -> None:
    alone = materialize(instance, "downtime_events")
    assert alone.success
    assert files(alone.run_id) == {"downtime_events.csv", "intermediate/continues"}
    new, before = (report_dir(made.run_id) / "downtime_events.csv" for made in (alone, complete))
    assert new.read_bytes() == before.read_bytes()
    assert [row["report_id"] for row in table("report")] == [complete.run_id]


def test_recomputed_asset_is_input_of_the_next_run(
    instance: dg.DagsterInstance, complete: dg.ExecuteInProcessResult
) -> None:
    hours = materialize(instance, "open_hours")
    assert hours.success
    # a run that reads from the complete run would fail now
    shutil.rmtree(report_dir(complete.run_id) / "intermediate" / "open_hours.parquet")
    alone = materialize(instance, "uptime_report")
    assert alone.success
    new, before = (report_dir(made.run_id) / "report_full.csv" for made in (alone, complete))
    assert new.read_bytes() == before.read_bytes()


def test_new_request_alone_is_not_mixed_with_other_tables(
    instance: dg.DagsterInstance, complete: dg.ExecuteInProcessResult
) -> None:
    assert materialize(instance, "report_request", windows=["month"]).success
    alone = materialize(instance, "uptime_report")
    assert alone.success
    assert report_row(alone.run_id)["request"] == report_row(complete.run_id)["request"]
    assert (report_dir(alone.run_id) / "report.csv").read_bytes() == (
        report_dir(complete.run_id) / "report.csv"
    ).read_bytes()


def test_request_and_report_without_assets_between_fail(
    instance: dg.DagsterInstance, complete: dg.ExecuteInProcessResult
) -> None:
    message = failure(materialize(instance, "report_request", "uptime_report"), "report")
    assert message == (
        "polled_stores is missing for this run's report_request: also materialize the assets in "
        "between, or run report_job"
    )


def test_report_without_earlier_run_names_the_job(
    instance: dg.DagsterInstance, two_stores: Path
) -> None:
    assert run(instance, "ingest_job").success
    message = failure(materialize(instance, "uptime_report"), "report")
    assert message == (
        "no run has produced polled_stores yet: run report_job, which makes a complete report"
    )
    assert table("report") == []


def test_report_after_removal_of_latest_run_names_the_job(
    instance: dg.DagsterInstance, complete: dg.ExecuteInProcessResult
) -> None:
    shutil.rmtree(report_dir(complete.run_id))
    message = failure(materialize(instance, "uptime_report"), "report")
    assert "run report_job, which makes a complete report" in message
    assert not report_dir(complete.run_id).exists()


def test_report_after_removal_of_parent_run_names_the_job(
    instance: dg.DagsterInstance, complete: dg.ExecuteInProcessResult
) -> None:
    newest = materialize(instance, "status_intervals")
    assert newest.success
    shutil.rmtree(report_dir(complete.run_id))
    message = failure(materialize(instance, "uptime_report"), "report")
    assert "run report_job, which makes a complete report" in message


def test_all_intermediate_assets_are_inputs_of_the_next_run(
    instance: dg.DagsterInstance, complete: dg.ExecuteInProcessResult
) -> None:
    chain = materialize(instance, "report_request", *INTERMEDIATE, as_of=PAST)
    assert chain.success
    assert materialize(instance, "uptime_report", "downtime_events", "downtime_by_hour").success
    newest = table("report")[-1]
    assert newest["as_of"].isoformat() == "2023-01-23T12:00:00+00:00"
    assert set(files(newest["report_id"])) >= {"report.csv", "downtime_events.csv"}


def test_failed_run_is_no_parent(
    instance: dg.DagsterInstance, complete: dg.ExecuteInProcessResult
) -> None:
    fails_at("open_hours", instance, as_of=PAST)
    alone = materialize(instance, "uptime_report")
    assert alone.success
    assert report_row(alone.run_id)["as_of"] == report_row(complete.run_id)["as_of"]


def test_retry_reads_from_the_run_it_retries(
    instance: dg.DagsterInstance, complete: dg.ExecuteInProcessResult, retry
) -> None:
    expected = run(instance, "report_job", as_of=PAST)
    failed = fails_at("status_intervals", instance, as_of=PAST)
    assert run(instance, "report_job").success
    retried = retry(failed.run_id)
    assert "intermediate/report_request.json" not in files(retried)
    assert report_files(retried) == report_files(expected.run_id)
    # the retry completes the report of the run that it retries
    row = report_row(failed.run_id)
    assert (row["status"], row["run_id"]) == ("Complete", retried)


def test_retry_is_a_parent_like_any_run(
    instance: dg.DagsterInstance, complete: dg.ExecuteInProcessResult, retry
) -> None:
    failed = fails_at("status_intervals", instance, as_of=PAST)
    retried = retry(failed.run_id)
    alone = materialize(instance, "uptime_report")
    assert alone.success
    assert rows(report_dir(alone.run_id) / "report.csv") == rows(report_dir(retried) / "report.csv")


def test_request_alone_makes_no_report(
    instance: dg.DagsterInstance, complete: dg.ExecuteInProcessResult
) -> None:
    assert materialize(instance, "report_request").success
    assert materialize(instance, "store_status", "report_request").success
    assert [row["report_id"] for row in table("report")] == [complete.run_id]
