"""new_files_sensor starts one run per stable state of the files, and retries failures."""

import json
import os
import shutil
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from storemon_pipeline.definitions import defs
from storemon_pipeline.defs.jobs import ingest_and_report_job
from storemon_pipeline.defs.resources import StoremonResource
from storemon_pipeline.defs.sensors import new_files
from storemon_pipeline.defs.sensors.new_files import (
    MAX_ATTEMPTS,
    MAX_UNSETTLED_TICKS,
    Attempt,
    Decision,
    FileCursor,
    evaluate_files,
    new_files_sensor,
)
from storemon_pipeline.storage.ingest_runs import IngestRun
from storemon_pipeline_tests.helpers.runner import GOLDEN, copy_data, materialize, run, table

POLLS, HOURS = "store_status.csv", "menu_hours.csv"
FIRST = {POLLS: [100, 1]}
GROWN = {POLLS: [200, 2]}
NOW = datetime(2023, 1, 25, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
Status = dg.DagsterRunStatus

Files = dict[str, list[int]]
Outcome = dg.SensorResult | dg.SkipReason


# Decisions


def settled(files: Files = FIRST) -> FileCursor:
    return FileCursor(files)


def ingested(files: Files | None, at: datetime = NOW - MINUTE) -> IngestRun:
    return IngestRun("by-hand", "Succeeded", files, at - MINUTE, at, None)


def failed(count: int, *, last: datetime = NOW) -> list[Attempt]:
    return [Attempt(f"attempt-{n}", Status.FAILURE, last) for n in range(count, 0, -1)]


def ticks(*states: Files) -> list[int]:
    """Return the ticks, counted from 1, that start runs; each run succeeds at once."""
    cursor, last, started = FileCursor(), None, []
    for number, files in enumerate(states, 1):
        decision = evaluate_files(cursor, files, last, [], NOW)
        cursor = decision.cursor
        if decision.run_key:
            started.append(number)
            last = replace(ingested(files), run_id=str(number))
    return started


def test_files_that_settle_start_one_run() -> None:
    assert ticks({}, FIRST, FIRST, FIRST, GROWN, GROWN, GROWN) == [3, 6]


def test_files_put_back_as_before_start_another_run() -> None:
    assert ticks(FIRST, FIRST, GROWN, GROWN, FIRST, FIRST) == [2, 4, 6]


def test_files_being_written_start_a_run_at_rest() -> None:
    growing: list[Files] = [{POLLS: [size, size]} for size in range(1, 6)]
    assert ticks(*growing, growing[-1]) == [6]


def test_files_that_never_settle_start_a_run_eventually() -> None:
    growing: list[Files] = [{POLLS: [size, size]} for size in range(1, 2 * MAX_UNSETTLED_TICKS + 1)]
    assert ticks(*growing) == [MAX_UNSETTLED_TICKS, 2 * MAX_UNSETTLED_TICKS]


def test_directory_emptied_and_filled_again_starts_nothing() -> None:
    assert ticks(FIRST, FIRST, {}, {}, FIRST, FIRST) == [2]


@pytest.mark.parametrize("cursor", [settled(), FileCursor()])
def test_files_ingested_by_any_run_start_nothing(cursor: FileCursor) -> None:
    assert evaluate_files(cursor, FIRST, ingested(FIRST), [], NOW) == Decision(
        settled(), reason="no new or changed files"
    )


@pytest.mark.parametrize("status", [Status.QUEUED, Status.STARTING, Status.STARTED])
def test_run_in_progress_is_waited_for(status: Status) -> None:
    decision = evaluate_files(
        settled(), FIRST, None, [Attempt("a-run", status, NOW)], NOW + 60 * MINUTE
    )
    assert decision.run_key is None
    assert decision.reason == "run a-run is in progress"


@pytest.mark.parametrize(("failures", "minutes"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 15)])
def test_failed_run_is_retried_after_its_delay(failures: int, minutes: int) -> None:
    attempts = failed(failures)
    retry_at = NOW + minutes * MINUTE
    early = evaluate_files(settled(), FIRST, None, attempts, retry_at - timedelta(seconds=1))
    assert early.run_key is None
    assert f"attempt {failures + 1} of {MAX_ATTEMPTS} at {retry_at:%H:%M:%S}" in early.reason
    assert evaluate_files(settled(), FIRST, None, attempts, retry_at).run_key


def test_files_that_always_fail_wait_for_a_change() -> None:
    attempts = failed(MAX_ATTEMPTS)
    decision = evaluate_files(settled(), FIRST, None, attempts, NOW + timedelta(days=9))
    assert decision.run_key is None
    assert f"{MAX_ATTEMPTS} runs for these files failed, most recently {attempts[0].run_id}" in (
        decision.reason
    )
    assert evaluate_files(settled(GROWN), GROWN, None, [], NOW).run_key


def test_successful_manual_run_ends_the_attempts() -> None:
    last = ingested(FIRST, NOW + MINUTE)
    decision = evaluate_files(settled(), FIRST, last, failed(MAX_ATTEMPTS), NOW + timedelta(days=9))
    assert decision.reason == "no new or changed files"


def test_report_that_failed_after_its_ingest_is_retried() -> None:
    last = ingested(FIRST, NOW - MINUTE)
    assert evaluate_files(settled(), FIRST, last, failed(1), NOW + 5 * MINUTE).run_key


def test_success_in_another_database_is_not_trusted() -> None:
    # the tables were removed, Dagster's history was not
    done = Attempt("done", Status.SUCCESS, NOW)
    keys = {
        evaluate_files(settled(), FIRST, None, attempts, NOW).run_key for attempts in ([], [done])
    }
    assert None not in keys
    assert len(keys) == 2


def test_each_attempt_has_its_own_stable_key() -> None:
    later = NOW + timedelta(days=1)

    def keys() -> list[str | None]:
        return [
            evaluate_files(settled(), FIRST, None, failed(n), later).run_key
            for n in range(MAX_ATTEMPTS)
        ]

    assert len(set(keys())) == MAX_ATTEMPTS
    assert keys() == keys()


# Evaluations


@dataclass
class Sensor:
    """The evaluation of the sensor on an instance, with a clock that the test controls."""

    instance: dg.DagsterInstance
    cursor: str | None = None
    ahead: timedelta = timedelta(0)

    def tick(self) -> Outcome:
        outcome = new_files.evaluate_directory(
            self.instance, StoremonResource(), self.cursor, datetime.now(UTC) + self.ahead
        )
        # a SkipReason leaves the cursor unchanged
        if isinstance(outcome, dg.SensorResult):
            self.cursor = outcome.cursor
        return outcome


@pytest.fixture
def sensor(instance: dg.DagsterInstance) -> Sensor:
    return Sensor(instance)


def run_keys(outcome: Outcome) -> list[str | None]:
    return (
        [request.run_key for request in outcome.run_requests or []]
        if isinstance(outcome, dg.SensorResult)
        else []
    )


def reason(outcome: Outcome) -> str:
    skipped = outcome.skip_reason if isinstance(outcome, dg.SensorResult) else outcome
    text = skipped.skip_message if isinstance(skipped, dg.SkipReason) else skipped
    assert text
    return text


def test_first_files_start_a_run_once_settled(sensor: Sensor, data_dir: Path) -> None:
    assert reason(sensor.tick()) == f"{data_dir}: no files"
    copy_data(GOLDEN / "past_midnight_and_split_shifts", data_dir)
    assert reason(sensor.tick()) == f"{data_dir}: files are still changing"
    assert len(run_keys(sensor.tick())) == 1


def launch(instance: dg.DagsterInstance, outcome: Outcome) -> dg.DagsterRun:
    """Create the requested run, as the daemon does."""
    assert isinstance(outcome, dg.SensorResult)
    (request,) = outcome.run_requests or []
    tags = {**request.tags, "dagster/run_key": str(request.run_key)}
    return instance.create_run_for_job(defs.resolve_job_def(ingest_and_report_job.name), tags=tags)


def settle(sensor: Sensor, instance: dg.DagsterInstance) -> None:
    """Tick twice, and execute the run that the second tick requests."""
    sensor.tick()
    outcome = sensor.tick()
    assert isinstance(outcome, dg.SensorResult)
    (request,) = outcome.run_requests or []
    result = defs.resolve_job_def(ingest_and_report_job.name).execute_in_process(
        instance=instance, tags=request.tags
    )
    assert result.success
    assert "no new or changed files" in reason(sensor.tick())


def test_killed_runs_are_retried_until_one_succeeds(
    sensor: Sensor,
    instance: dg.DagsterInstance,
    two_stores: Path,
) -> None:
    sensor.tick()
    killed = launch(instance, sensor.tick())
    assert "is in progress" in reason(sensor.tick())
    instance.report_run_failed(killed, "killed")
    assert f"run {killed.run_id} failed; attempt 2 of {MAX_ATTEMPTS}" in reason(sensor.tick())
    sensor.ahead += MINUTE
    settle(sensor, instance)


def test_attempts_are_bounded_and_end_with_a_manual_run(
    sensor: Sensor,
    instance: dg.DagsterInstance,
    two_stores: Path,
) -> None:
    sensor.tick()
    for _ in range(MAX_ATTEMPTS):
        instance.report_run_failed(launch(instance, sensor.tick()), "killed")
        sensor.ahead += timedelta(hours=1)
    assert f"{MAX_ATTEMPTS} runs for these files failed" in reason(sensor.tick())
    assert run(instance, "ingest_job").success
    sensor.ahead += timedelta(hours=1)
    assert run_keys(sensor.tick()) == []


def test_lost_cursor_repeats_and_skips_nothing(
    instance: dg.DagsterInstance, two_stores: Path, sensor: Sensor
) -> None:
    sensor.tick()
    killed = launch(instance, sensor.tick())
    instance.report_run_failed(killed, "killed")
    lost = dg.build_sensor_context(instance=instance, cursor=None)
    assert f"run {killed.run_id} failed" in reason(
        new_files_sensor(lost, storemon=StoremonResource())
    )
    assert run(instance, "ingest_job").success
    assert "no new or changed files" in reason(new_files_sensor(lost, storemon=StoremonResource()))


def test_cursor_of_an_older_version_is_read(instance: dg.DagsterInstance, two_stores: Path) -> None:
    old = json.dumps({"ingested": {}, "seen": {}, "unsettled": 3, "runs": 7})
    assert FileCursor.from_cursor(old) == FileCursor({}, 3)
    context = dg.build_sensor_context(instance=instance, cursor=old)
    assert "still changing" in reason(new_files_sensor(context, storemon=StoremonResource()))


def test_failed_ingest_is_recorded_with_its_reason(
    instance: dg.DagsterInstance, two_stores: Path
) -> None:
    (two_stores / POLLS).write_text("what,is,this\n1,2,3\n")
    assert not run(instance, "ingest_job").success
    (row,) = table("ingest_run")
    assert row["status"] == "Failed"
    assert POLLS in row["error"]
    assert row["files"][POLLS][0] == (two_stores / POLLS).stat().st_size
    assert table("run_heartbeat") == []


def test_ingest_of_some_tables_does_not_record_files(
    instance: dg.DagsterInstance, two_stores: Path, sensor: Sensor
) -> None:
    assert materialize(instance, "store_timezones").success
    (row,) = table("ingest_run")
    assert (row["status"], row["files"]) == ("Succeeded", None)
    sensor.tick()
    assert len(run_keys(sensor.tick())) == 1


def test_grown_file_starts_a_run(
    sensor: Sensor, two_stores: Path, instance: dg.DagsterInstance
) -> None:
    settle(sensor, instance)
    with (two_stores / POLLS).open("a") as polls:
        polls.write("s1,active,2023-01-25 00:40:00 UTC\n")
    settle(sensor, instance)


def test_rewritten_file_of_the_same_size_starts_a_run(
    sensor: Sensor, two_stores: Path, instance: dg.DagsterInstance
) -> None:
    settle(sensor, instance)
    later = (two_stores / HOURS).stat().st_mtime + 60
    os.utime(two_stores / HOURS, (later, later))
    settle(sensor, instance)


def test_additional_file_of_polls_starts_a_run(
    sensor: Sensor, two_stores: Path, instance: dg.DagsterInstance
) -> None:
    settle(sensor, instance)
    shutil.copyfile(two_stores / POLLS, two_stores / "store_status_2023-02.csv")
    settle(sensor, instance)


def test_other_files_are_ignored(
    sensor: Sensor, two_stores: Path, instance: dg.DagsterInstance
) -> None:
    settle(sensor, instance)
    (two_stores / "notes.csv").write_text("store_id\n")
    (two_stores / ".store_status.csv.part").write_text("store_id\n")
    assert [run_keys(sensor.tick()) for _ in range(3)] == [[], [], []]


def test_unreadable_directory_is_skipped_and_keeps_the_cursor(
    sensor: Sensor, two_stores: Path, instance: dg.DagsterInstance
) -> None:
    settle(sensor, instance)
    moved = two_stores.with_name("moved")
    two_stores.rename(moved)
    outcome = sensor.tick()
    assert isinstance(outcome, dg.SkipReason)
    assert reason(outcome).startswith(f"the data directory {two_stores} does not exist")
    two_stores.touch()
    outcome = sensor.tick()
    assert isinstance(outcome, dg.SkipReason)
    assert reason(outcome).startswith(f"the data directory {two_stores} cannot be read")
    two_stores.unlink()
    moved.rename(two_stores)
    # the same files start nothing
    assert [run_keys(sensor.tick()) for _ in range(3)] == [[], [], []]
