"""new_files_sensor runs once for each state of the files that settles, and again if that fails."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import dagster as dg
import pytest

from storemon_pipeline.definitions import defs
from storemon_pipeline.defs.jobs import ingest_and_report_job
from storemon_pipeline.defs.resources import StoremonResource
from storemon_pipeline.defs.sensors import new_files
from storemon_pipeline.defs.sensors.new_files import (
    MAX_TRIES,
    MAX_UNSETTLED_TICKS,
    Decision,
    FileCursor,
    Try,
    decide,
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


# What is decided


def settled(files: Files = FIRST) -> FileCursor:
    return FileCursor(files)


def ingested(files: Files | None, at: datetime = NOW - MINUTE) -> IngestRun:
    return IngestRun("by-hand", "Succeeded", files, at - MINUTE, at, None)


def failed(count: int, *, last: datetime = NOW) -> list[Try]:
    return [Try(f"try-{n}", Status.FAILURE, last) for n in range(count, 0, -1)]


def ticks(*states: Files) -> list[int]:
    """After which ticks, counted from 1, runs start; each of them succeeds at once."""
    watch, last, at = FileCursor(), None, []
    for number, files in enumerate(states, 1):
        decision = decide(watch, files, last, [], NOW)
        watch = decision.watch
        if decision.run_key:
            at.append(number)
            last = replace(ingested(files), run_id=str(number))
    return at


def test_files_that_settle_start_one_run() -> None:
    assert ticks({}, FIRST, FIRST, FIRST, GROWN, GROWN, GROWN) == [3, 6]


def test_files_put_back_as_before_start_another_run() -> None:
    assert ticks(FIRST, FIRST, GROWN, GROWN, FIRST, FIRST) == [2, 4, 6]


def test_files_being_written_start_a_run_at_rest() -> None:
    growing: list[Files] = [{POLLS: [size, size]} for size in range(1, 6)]
    assert ticks(*growing, growing[-1]) == [6]


def test_files_that_never_rest_start_when_patience_ends() -> None:
    growing: list[Files] = [{POLLS: [size, size]} for size in range(1, 2 * MAX_UNSETTLED_TICKS + 1)]
    assert ticks(*growing) == [MAX_UNSETTLED_TICKS, 2 * MAX_UNSETTLED_TICKS]


def test_directory_emptied_and_filled_again_starts_nothing() -> None:
    assert ticks(FIRST, FIRST, {}, {}, FIRST, FIRST) == [2]


@pytest.mark.parametrize("watch", [settled(), FileCursor()])
def test_files_ingested_by_any_run_start_nothing(watch: FileCursor) -> None:
    assert decide(watch, FIRST, ingested(FIRST), [], NOW) == Decision(
        settled(), reason="nothing is new"
    )


@pytest.mark.parametrize("status", [Status.QUEUED, Status.STARTING, Status.STARTED])
def test_run_in_progress_is_waited_for(status: Status) -> None:
    decision = decide(settled(), FIRST, None, [Try("a-run", status, NOW)], NOW + 60 * MINUTE)
    assert decision.run_key is None
    assert decision.reason == "run a-run is in progress"


@pytest.mark.parametrize(("failures", "minutes"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 15)])
def test_failed_run_is_tried_again_after_its_delay(failures: int, minutes: int) -> None:
    tries = failed(failures)
    retry_at = NOW + minutes * MINUTE
    early = decide(settled(), FIRST, None, tries, retry_at - timedelta(seconds=1))
    assert early.run_key is None
    assert f"try {failures + 1} of {MAX_TRIES} follows at {retry_at:%H:%M:%S}" in early.reason
    assert decide(settled(), FIRST, None, tries, retry_at).run_key


def test_files_that_always_fail_wait_for_a_change() -> None:
    tries = failed(MAX_TRIES)
    decision = decide(settled(), FIRST, None, tries, NOW + timedelta(days=9))
    assert decision.run_key is None
    assert f"{MAX_TRIES} runs for these files failed, the last one is {tries[0].run_id}" in (
        decision.reason
    )
    assert decide(settled(GROWN), GROWN, None, [], NOW).run_key


def test_run_by_hand_that_succeeds_ends_the_tries() -> None:
    last = ingested(FIRST, NOW + MINUTE)
    decision = decide(settled(), FIRST, last, failed(MAX_TRIES), NOW + timedelta(days=9))
    assert decision.reason == "nothing is new"


def test_report_that_failed_after_its_ingest_is_retried() -> None:
    last = ingested(FIRST, NOW - MINUTE)
    assert decide(settled(), FIRST, last, failed(1), NOW + 5 * MINUTE).run_key


def test_success_in_another_database_is_not_trusted() -> None:
    # the tables were removed, Dagster's history was not
    done = Try("done", Status.SUCCESS, NOW)
    keys = {decide(settled(), FIRST, None, tries, NOW).run_key for tries in ([], [done])}
    assert None not in keys
    assert len(keys) == 2


def test_each_try_has_a_key_of_its_own_and_keeps_it() -> None:
    later = NOW + timedelta(days=1)

    def keys() -> list[str | None]:
        return [decide(settled(), FIRST, None, failed(n), later).run_key for n in range(MAX_TRIES)]

    assert len(set(keys())) == MAX_TRIES
    assert keys() == keys()


# What is done


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], None]:
    """Set the sensor's clock forward."""
    ahead = [timedelta(0)]

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            assert tz is UTC
            return datetime.now(UTC) + ahead[0]

    monkeypatch.setattr(new_files, "datetime", Clock)

    def forward(by: timedelta) -> None:
        ahead[0] += by

    return forward


Looked = dg.SensorResult | dg.SkipReason


@pytest.fixture
def tick(instance: dg.DagsterInstance) -> Callable[[], Looked]:
    """Look as the daemon does: with the cursor of the look before."""
    cursor: list[str | None] = [None]

    def looked() -> Looked:
        context = dg.build_sensor_context(
            instance=instance, cursor=cursor[0], sensor_name="new_files_sensor"
        )
        said = new_files_sensor(context, storemon=StoremonResource())
        assert isinstance(said, dg.SensorResult | dg.SkipReason)
        # a SkipReason leaves the cursor as it is
        if isinstance(said, dg.SensorResult):
            cursor[0] = said.cursor
        assert context.cursor is None or json.loads(context.cursor)
        return said

    return looked


def run_keys(said: Looked) -> list[str | None]:
    return (
        [request.run_key for request in said.run_requests or []]
        if isinstance(said, dg.SensorResult)
        else []
    )


def reason(said: Looked) -> str:
    skipped = said.skip_reason if isinstance(said, dg.SensorResult) else said
    text = skipped.skip_message if isinstance(skipped, dg.SkipReason) else skipped
    assert text
    return text


def test_the_sensor_starts_on_the_first_files_once_they_have_settled(
    tick: Callable[[], Looked], data_dir: Path
) -> None:
    assert reason(tick()) == f"In {data_dir}, there are no files"
    copy_data(GOLDEN / "past_midnight_and_split_shifts", data_dir)
    assert reason(tick()) == f"In {data_dir}, files are still changing"
    assert len(run_keys(tick())) == 1


def launch(instance: dg.DagsterInstance, said: Looked) -> dg.DagsterRun:
    """Do with the sensor's request what the daemon does, as far as the queue."""
    assert isinstance(said, dg.SensorResult)
    (request,) = said.run_requests or []
    tags = {**request.tags, "dagster/run_key": str(request.run_key)}
    return instance.create_run_for_job(defs.resolve_job_def(ingest_and_report_job.name), tags=tags)


def settle(tick: Callable[[], Looked], instance: dg.DagsterInstance) -> None:
    """Two ticks, and the run that the second one launches."""
    tick()
    said = tick()
    assert isinstance(said, dg.SensorResult)
    (request,) = said.run_requests or []
    result = defs.resolve_job_def(ingest_and_report_job.name).execute_in_process(
        instance=instance, tags=request.tags
    )
    assert result.success
    assert "nothing is new" in reason(tick())


def test_killed_runs_are_tried_again_until_one_succeeds(
    tick: Callable[[], Looked],
    instance: dg.DagsterInstance,
    two_stores: Path,
    clock: Callable[[timedelta], None],
) -> None:
    tick()
    killed = launch(instance, tick())
    assert "is in progress" in reason(tick())
    instance.report_run_failed(killed, "killed")
    assert f"run {killed.run_id} failed; try 2 of {MAX_TRIES}" in reason(tick())
    clock(MINUTE)
    settle(tick, instance)


def test_tries_are_bounded_and_end_with_a_run_by_hand(
    tick: Callable[[], Looked],
    instance: dg.DagsterInstance,
    two_stores: Path,
    clock: Callable[[timedelta], None],
) -> None:
    tick()
    for _ in range(MAX_TRIES):
        instance.report_run_failed(launch(instance, tick()), "killed")
        clock(timedelta(hours=1))
    assert f"{MAX_TRIES} runs for these files failed" in reason(tick())
    assert run(instance, "ingest_job").success
    clock(timedelta(hours=1))
    assert run_keys(tick()) == []


def test_lost_cursor_repeats_nothing_and_loses_nothing(
    instance: dg.DagsterInstance, two_stores: Path, tick: Callable[[], Looked]
) -> None:
    tick()
    killed = launch(instance, tick())
    instance.report_run_failed(killed, "killed")
    lost = dg.build_sensor_context(instance=instance, cursor=None)
    assert f"run {killed.run_id} failed" in reason(
        new_files_sensor(lost, storemon=StoremonResource())
    )
    assert run(instance, "ingest_job").success
    assert "nothing is new" in reason(new_files_sensor(lost, storemon=StoremonResource()))


def test_cursor_of_an_older_version_is_read(instance: dg.DagsterInstance, two_stores: Path) -> None:
    old = json.dumps({"ingested": {}, "seen": {}, "unsettled": 3, "runs": 7})
    context = dg.build_sensor_context(instance=instance, cursor=old)
    assert "still changing" in reason(new_files_sensor(context, storemon=StoremonResource()))


def test_failed_ingest_is_on_record_with_its_reason(
    instance: dg.DagsterInstance, two_stores: Path
) -> None:
    (two_stores / POLLS).write_text("what,is,this\n1,2,3\n")
    assert not run(instance, "ingest_job").success
    (row,) = table("ingest_run")
    assert row["status"] == "Failed"
    assert POLLS in row["error"]
    assert row["files"][POLLS][0] == (two_stores / POLLS).stat().st_size
    assert table("run_heartbeat") == []


def test_ingest_of_some_tables_says_nothing_of_the_files(
    instance: dg.DagsterInstance, two_stores: Path, tick: Callable[[], Looked]
) -> None:
    assert materialize(instance, "store_timezones").success
    (row,) = table("ingest_run")
    assert (row["status"], row["files"]) == ("Succeeded", None)
    tick()
    assert len(run_keys(tick())) == 1


def test_the_sensor_starts_on_a_file_that_has_grown(
    tick: Callable[[], Looked], two_stores: Path, instance: dg.DagsterInstance
) -> None:
    settle(tick, instance)
    with (two_stores / POLLS).open("a") as polls:
        polls.write("s1,active,2023-01-25 00:40:00 UTC\n")
    settle(tick, instance)


def test_the_sensor_starts_on_a_file_of_the_same_size_that_was_written_anew(
    tick: Callable[[], Looked], two_stores: Path, instance: dg.DagsterInstance
) -> None:
    settle(tick, instance)
    later = (two_stores / HOURS).stat().st_mtime + 60
    os.utime(two_stores / HOURS, (later, later))
    settle(tick, instance)


def test_the_sensor_starts_on_a_new_file_of_polls_beside_the_others(
    tick: Callable[[], Looked], two_stores: Path, instance: dg.DagsterInstance
) -> None:
    settle(tick, instance)
    shutil.copyfile(two_stores / POLLS, two_stores / "store_status_2023-02.csv")
    settle(tick, instance)


def test_the_sensor_passes_over_files_that_are_not_raw_files(
    tick: Callable[[], Looked], two_stores: Path, instance: dg.DagsterInstance
) -> None:
    settle(tick, instance)
    (two_stores / "notes.csv").write_text("store_id\n")
    (two_stores / ".store_status.csv.part").write_text("store_id\n")
    assert [run_keys(tick()) for _ in range(3)] == [[], [], []]


def test_a_directory_that_cannot_be_read_is_a_reason_and_forgets_nothing(
    tick: Callable[[], Looked], two_stores: Path, instance: dg.DagsterInstance
) -> None:
    settle(tick, instance)
    away = two_stores.with_name("away")
    two_stores.rename(away)
    said = tick()
    assert isinstance(said, dg.SkipReason)
    assert reason(said).startswith(f"there is no data directory {two_stores}")
    two_stores.touch()
    said = tick()
    assert isinstance(said, dg.SkipReason)
    assert reason(said).startswith(f"the data directory {two_stores} cannot be read")
    two_stores.unlink()
    away.rename(two_stores)
    # still known: the same files start nothing
    assert [run_keys(tick()) for _ in range(3)] == [[], [], []]
