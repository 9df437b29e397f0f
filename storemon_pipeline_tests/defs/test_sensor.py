"""new_files_sensor starts one run for each change of the data directory, when it has come to rest."""

import json
import os
import shutil
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import dagster as dg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storemon_pipeline.defs.sensors import PATIENCE, Watch, look, new_files_sensor
from storemon_pipeline_tests.defs.running import GOLDEN, copy_data

POLLS, HOURS = "store_status.csv", "menu_hours.csv"
FIRST = {POLLS: [100, 1]}
GROWN = {POLLS: [200, 2]}
BESIDE = {POLLS: [100, 1], HOURS: [50, 3]}

Files = dict[str, list[int]]


def started(watch: Watch, *looks: Files) -> tuple[Watch, list[int], list[str]]:
    """After which of the looks, counted from 1, runs start, and their keys."""
    at, keys = [], []
    for number, files in enumerate(looks, 1):
        watch, key = look(watch, files)
        if key:
            at.append(number)
            keys.append(key)
    return watch, at, keys


def starts(*looks: Files) -> list[int]:
    return started(Watch(), *looks)[1]


def test_new_files_start_a_run_once_they_have_not_changed_between_two_looks() -> None:
    assert starts({}, FIRST, FIRST, FIRST, FIRST) == [3]


def test_a_changed_file_starts_another_run() -> None:
    assert starts(FIRST, FIRST, GROWN, GROWN, GROWN) == [2, 4]


def test_a_new_file_beside_the_others_starts_another_run() -> None:
    assert starts(FIRST, FIRST, BESIDE, BESIDE, BESIDE) == [2, 4]


def test_a_file_that_is_taken_away_starts_another_run() -> None:
    assert starts(BESIDE, BESIDE, FIRST, FIRST, FIRST) == [2, 4]


def test_files_that_are_still_being_written_are_waited_for() -> None:
    growing: list[Files] = [{POLLS: [size, size]} for size in range(1, 6)]
    assert starts(*growing, growing[-1]) == [6]


def test_files_that_never_come_to_rest_are_ingested_when_patience_ends() -> None:
    growing: list[Files] = [{POLLS: [size, size]} for size in range(1, 2 * PATIENCE + 1)]
    assert starts(*growing) == [PATIENCE, 2 * PATIENCE]


def test_a_directory_that_is_emptied_starts_nothing_nor_when_the_same_files_are_back() -> None:
    assert starts(FIRST, FIRST, {}, {}, FIRST, FIRST) == [2]


def test_files_that_are_as_they_were_before_a_change_start_a_run_with_a_key_of_its_own() -> None:
    # an older snapshot that is put back, with its time: Dagster starts no run for a key it knows
    _, at, keys = started(Watch(), FIRST, FIRST, BESIDE, BESIDE, FIRST, FIRST, BESIDE, BESIDE)
    assert at == [2, 4, 6, 8]
    assert len(set(keys)) == 4


def test_the_same_look_twice_has_the_same_key() -> None:
    # a daemon that dies before it has kept the cursor looks again, and must not start two runs
    watch, _, _ = started(Watch(), FIRST)
    assert look(watch, FIRST) == look(watch, FIRST)


@settings(deadline=None)  # a busy machine is no failure
@given(
    states=st.lists(st.sampled_from([{}, FIRST, GROWN, BESIDE]), max_size=12),
    rests=st.lists(st.integers(1, 3), min_size=12, max_size=12),
)
def test_each_state_that_is_settled_and_is_not_the_last_ingested_one_starts_exactly_one_run(
    states: list[Files], rests: list[int]
) -> None:
    looks = [files for files, rest in zip(states, rests, strict=False) for _ in range(rest)]
    expected: list[Files] = []
    unrest = 0
    for files, group in groupby(looks):
        seen = len(list(group))
        unrest = 0 if seen > 1 or not files else unrest + 1
        is_settled = seen > 1 and bool(files)
        if is_settled and (not expected or files != expected[-1]):
            expected.append(files)
        # patience has a test of its own
        if unrest >= PATIENCE - 1:
            return
    watch, ingested, keys = Watch(), [], []
    for files in looks:
        watch, key = look(watch, files)
        if key:
            ingested.append(files)
            keys.append(key)
            assert watch.ingested == files
    assert ingested == expected
    assert len(set(keys)) == len(keys)


Looked = dg.SensorResult | dg.SkipReason


@pytest.fixture
def tick(instance: dg.DagsterInstance) -> Callable[[], Looked]:
    """Look as the daemon does: with the cursor of the look before."""
    cursor: list[str | None] = [None]

    def looked() -> Looked:
        context = dg.build_sensor_context(
            instance=instance, cursor=cursor[0], sensor_name="new_files_sensor"
        )
        said = new_files_sensor(context)
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
    assert reason(tick()) == f"In {data_dir}, nothing is new"
    copy_data(GOLDEN / "past_midnight_and_split_shifts", data_dir)
    assert reason(tick()) == f"In {data_dir}, files are still changing"
    assert len(run_keys(tick())) == 1
    assert reason(tick()) == f"In {data_dir}, nothing is new"


def settled(tick: Callable[[], Looked]) -> None:
    tick()
    assert len(run_keys(tick())) == 1


def test_the_sensor_starts_on_a_file_that_has_grown(
    tick: Callable[[], Looked], two_stores: Path
) -> None:
    settled(tick)
    with (two_stores / POLLS).open("a") as polls:
        polls.write("s1,active,2023-01-25 00:40:00 UTC\n")
    settled(tick)


def test_the_sensor_starts_on_a_file_of_the_same_size_that_was_written_anew(
    tick: Callable[[], Looked], two_stores: Path
) -> None:
    settled(tick)
    later = (two_stores / HOURS).stat().st_mtime + 60
    os.utime(two_stores / HOURS, (later, later))
    settled(tick)


def test_the_sensor_starts_on_a_new_file_of_polls_beside_the_others(
    tick: Callable[[], Looked], two_stores: Path
) -> None:
    settled(tick)
    shutil.copyfile(two_stores / POLLS, two_stores / "store_status_2023-02.csv")
    settled(tick)


def test_the_sensor_passes_over_files_that_are_not_raw_files(
    tick: Callable[[], Looked], two_stores: Path
) -> None:
    settled(tick)
    (two_stores / "notes.csv").write_text("store_id\n")
    (two_stores / ".store_status.csv.part").write_text("store_id\n")
    assert [run_keys(tick()) for _ in range(3)] == [[], [], []]


def test_a_directory_that_cannot_be_read_is_a_reason_and_forgets_nothing(
    tick: Callable[[], Looked], two_stores: Path
) -> None:
    settled(tick)
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
