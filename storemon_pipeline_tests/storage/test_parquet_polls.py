"""Polls in Parquet files: the same polls come back, whatever was appended, removed and merged."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from upath import UPath

from storemon_pipeline.storage import parquet_polls, poll_files
from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.parquet_polls import GRACE, ParquetPolls
from storemon_pipeline.storage.poll_rows import sort_and_deduplicate
from storemon_pipeline_tests.helpers.stored_polls import all_polls

NOW = datetime.now(UTC)
NOON = datetime(2023, 1, 25, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
STORES = ["10", "9", "A", "a", "x" * 64]

Poll = tuple[str, datetime, str]
Known = dict[tuple[str, datetime], str]


@pytest.fixture(params=["directory", "fsspec"])
def polls(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ParquetPolls]:
    """Yield files in a local directory, and in a file system that only fsspec knows."""
    database = Database(f"sqlite:///{tmp_path}/storemon.db")
    root = UPath(
        tmp_path / "polls" if request.param == "directory" else f"memory://{tmp_path.name}"
    )
    yield ParquetPolls(database, root)
    database.close()


def append(polls: ParquetPolls, *batch: Poll) -> None:
    table = pd.DataFrame(batch, columns=["store_id", "timestamp_utc", "status"]).astype(
        {"store_id": "str", "timestamp_utc": "datetime64[us, UTC]", "status": "str"}
    )
    with polls._database.data_transaction() as connection:
        polls.append(connection, sort_and_deduplicate(table))


def everything(polls: ParquetPolls) -> Known:
    return {(store, at): status for store, at, status in all_polls(polls)}


def count(polls: ParquetPolls) -> int:
    with polls._database.read() as connection:
        return polls.count(connection)


def files(polls: ParquetPolls) -> list[str]:
    return sorted(polls._files.names_before(NOW + HOUR))


instants = st.integers(0, 60).map(lambda hours: NOON - HOUR * hours)
batches = st.lists(
    st.tuples(st.sampled_from(STORES), instants, st.sampled_from(["active", "inactive"])),
    min_size=1,
    max_size=12,
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), batches),
        st.tuples(st.just("remove"), st.tuples(st.sampled_from(STORES), instants)),
        st.tuples(st.just("compact"), st.none()),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(steps)
def test_any_history_of_writes_reads_like_a_dictionary(steps):
    with TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/storemon.db")
        polls = ParquetPolls(database, UPath(folder) / "polls")
        known: Known = {}
        for step, argument in steps:
            if step == "append":
                append(polls, *argument)
                known |= {(store, at): status for store, at, status in argument}
            elif step == "remove":
                store, start = argument
                end = start + 5 * HOUR
                gone = [key for key in known if key[0] == store and start <= key[1] < end]
                with database.data_transaction() as connection:
                    removed = polls.remove(connection, store, start, end)
                assert list(removed["timestamp_utc"]) == sorted(at for _, at in gone)
                for key in gone:
                    del known[key]
            else:
                polls.compact(max_files=1)
            assert everything(polls) == known
            assert count(polls) == len(known)
        database.close()


def test_correction_of_a_poll_is_read_after_it(polls):
    append(polls, ("10", NOON, "active"))
    append(polls, ("10", NOON, "inactive"))
    assert everything(polls) == {("10", NOON): "inactive"}
    assert count(polls) == 1


def test_repeated_batch_adds_no_file_that_counts(polls):
    append(polls, ("10", NOON, "active"), ("9", NOON, "active"))
    append(polls, ("9", NOON, "active"))
    polls.vacuum(NOW + 2 * GRACE)
    assert len(files(polls)) == 1


def test_merge_in_many_store_ranges_keeps_all_rows(polls, monkeypatch):
    monkeypatch.setattr(poll_files, "MERGED_ROWS", 40)
    monkeypatch.setattr(poll_files, "ROW_GROUP_ROWS", 7)
    batch = [(f"{n:03}", NOON - HOUR * hour, "active") for n in range(50) for hour in range(3)]
    append(polls, *batch)
    append(polls, *[(store, at, "inactive") for store, at, _ in batch[::2]])
    expected = {
        (s, at): "inactive" if i % 2 == 0 else "active" for i, (s, at, _) in enumerate(batch)
    }
    assert polls.compact(max_files=1) == ["2023-01-25"]
    assert everything(polls) == expected
    polls.vacuum(NOW + 2 * GRACE)
    assert len(files(polls)) == 1


def test_append_during_compaction_stays_above_the_merged_file(polls, monkeypatch):
    append(polls, ("10", NOON, "active"))
    append(polls, ("9", NOON, "active"))
    merge = polls._merge

    def append_meanwhile(*args, **kwargs):
        merged = merge(*args, **kwargs)
        append(polls, ("10", NOON, "inactive"))
        return merged

    monkeypatch.setattr(polls, "_merge", append_meanwhile)
    assert polls.compact(max_files=1)
    assert everything(polls) == {("10", NOON): "inactive", ("9", NOON): "active"}


def test_removal_during_compaction_is_not_undone(polls, monkeypatch):
    append(polls, ("10", NOON, "active"))
    append(polls, ("9", NOON, "active"))
    merge = polls._merge

    def remove_meanwhile(*args, **kwargs):
        monkeypatch.undo()
        merged = merge(*args, **kwargs)
        with polls._database.data_transaction() as connection:
            polls.remove(connection, "10", NOON, NOON + HOUR)
        return merged

    monkeypatch.setattr(polls, "_merge", remove_meanwhile)
    assert polls.compact(max_files=1) == []
    assert everything(polls) == {("9", NOON): "active"}


def test_files_of_a_failed_transaction_do_not_count(polls):
    append(polls, ("10", NOON, "active"))
    table = pd.DataFrame(
        {"store_id": ["9"], "timestamp_utc": pd.to_datetime([NOON]), "status": ["active"]}
    )
    with (  # noqa: PT012 - the error ends the transaction
        pytest.raises(ZeroDivisionError),
        polls._database.data_transaction() as connection,
    ):
        polls.append(connection, sort_and_deduplicate(table))
        raise ZeroDivisionError
    assert everything(polls) == {("10", NOON): "active"}
    assert len(files(polls)) == 2
    assert polls.vacuum(NOW) == 0, "it may be of a transaction that is not committed yet"
    assert polls.vacuum(NOW + GRACE + HOUR) == 1
    assert everything(polls) == {("10", NOON): "active"}


def test_replaced_file_stays_for_readers_that_listed_it(polls):
    append(polls, ("10", NOON, "active"))
    append(polls, ("9", NOON, "active"))
    polls.compact(max_files=1)
    assert polls.vacuum(NOW + GRACE - HOUR) == 0
    assert polls.vacuum(NOW + GRACE + HOUR) == 2
    assert len(everything(polls)) == 2


def test_days_before_the_first_kept_month_are_dropped(polls):
    append(polls, ("10", NOON - 40 * 24 * HOUR, "active"), ("10", NOON, "active"))
    with polls._database.data_transaction() as connection:
        assert polls.drop_before(connection, datetime(2023, 1, 1, tzinfo=UTC)) == (1, 1)
    assert everything(polls) == {("10", NOON): "active"}


def test_outermost_polls_are_found_in_distant_days(polls):
    old = NOON - 40 * 24 * HOUR
    append(polls, ("10", old, "active"), ("9", NOON - HOUR, "active"), ("9", NOON, "active"))
    ids = pd.Series(["10", "9"])
    with polls._database.read() as connection:
        assert polls.newest(connection, NOON - HOUR / 2) == NOON - HOUR
        assert polls.newest(connection, old - HOUR) is None
        last = polls.last_polls(connection, ids, NOON - HOUR / 2)
        first = polls.first_polls(connection, ids, old)
        assert polls.count_of_store(connection, "9") == 2
    assert last.to_dict() == {"10": old, "9": NOON - HOUR}
    assert first.to_dict() == {"10": old, "9": NOON - HOUR}


def test_crowded_day_is_compacted_at_the_limit(polls):
    for minute in range(parquet_polls.MAX_FILES_PER_DAY + 1):
        append(polls, ("10", NOON + timedelta(minutes=minute), "active"))
        expected = ["2023-01-25"] if minute == parquet_polls.MAX_FILES_PER_DAY else []
        assert polls.compact() == expected
