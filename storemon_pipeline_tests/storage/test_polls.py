"""Polls: stored and read unchanged, in the same order on both databases."""

from datetime import UTC, datetime, timedelta, timezone

import pandas as pd
import pytest
from sqlalchemy import inspect

from storemon_pipeline.storage import bulk_load
from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.poll_store import upsert_polls
from storemon_pipeline.storage.polled_stores import (
    filter_unknown_stores,
    newest_poll,
    oldest_poll,
    read_polled_stores,
)
from storemon_pipeline.storage.sql_polls import SqlPolls
from storemon_pipeline.uptime.report_request import MOST_STORES

# in code point order, unlike the collation of any language
IDS = [
    "007",
    "10",
    "3fa85f64-5717-4562-b3fc-2c963f66afa6",
    "9",
    "9222367000000000000",
    "9222367000000000001",
    "A",
    "A-1",
    "A.1",
    "A:1",
    "A_1",
    "Aa",
    "B",
    "NULL",
    "a",
    "a-1",
    "a1",
    "a_1",
    "b",
    "x" * 64,
]
NOON = datetime(2023, 1, 25, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MICROSECOND = timedelta(microseconds=1)
BEGINNING, END = datetime(1, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)

Poll = tuple[str, datetime, str]


def insert(database: Database, *polls: Poll) -> int:
    table = pd.DataFrame(polls, columns=["store_id", "timestamp_utc", "status"]).astype(
        {"store_id": "str", "timestamp_utc": "datetime64[us, UTC]", "status": "str"}
    )
    with database.data_transaction() as connection:
        return upsert_polls(database.polls, connection, table)


def read(
    database: Database, store_ids: list[str], as_of: datetime = END, since: datetime = BEGINNING
) -> list[Poll]:
    polls = database.polls.read(pd.Series(store_ids, dtype="str"), since, as_of)
    # of two rows for one store and instant, the later one counts
    latest = {(row.store_id, row.timestamp_utc): row.status for row in polls.itertuples()}
    return sorted((store, at.to_pydatetime(), status) for (store, at), status in latest.items())


def test_polls_round_trip_with_microseconds(database: Database):
    polls = [
        ("1", datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), "inactive"),
        ("1", datetime(1970, 1, 1, tzinfo=UTC), "active"),
        ("1", datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC), "inactive"),
        ("1", NOON, "active"),
        ("1", NOON + MICROSECOND, "inactive"),
        ("1", NOON.replace(microsecond=999999), "active"),
        ("1", datetime(2100, 2, 28, 23, 59, 59, 123456, tzinfo=UTC), "inactive"),
        ("1", datetime(2100, 12, 31, tzinfo=UTC), "active"),
    ]
    assert insert(database, *reversed(polls)) == len(polls)
    assert read(database, ["1"]) == polls


@pytest.mark.parametrize("count", [1, 49, 50, 51, 99, 100, 101, 250])
def test_upsert_of_any_number_of_polls(database: Database, monkeypatch, count):
    monkeypatch.setattr(bulk_load, "_COPIED_ROWS", 60)
    monkeypatch.setattr(bulk_load, "ROWS_PER_LIST", 110)
    ids = [f"{n:03}" for n in range(count)]
    for status in ("active", "inactive"):  # new, then known polls
        polls = [(store, NOON, status) for store in ids]
        assert insert(database, *polls) == count
        assert read(database, ids) == polls


def test_upsert_keeps_the_later_of_duplicate_rows(database: Database):
    long_ago = datetime(1, 1, 1, tzinfo=UTC)
    for first in (NOON, long_ago):  # the latter overflows the composite key
        ids = [f"{n:03}" for n in range(400)]
        rows = [(s, at, x) for x in ("active", "inactive") for at in (NOON, first) for s in ids]
        assert insert(database, *rows) == 400 * len({NOON, first})
        assert {status for _, _, status in read(database, ids)} == {"inactive"}


def test_read_polls_returns_documented_dtypes(database: Database):
    insert(database, ("1", NOON, "active"))
    for store_ids in (["1"], ["2"], []):
        polls = database.polls.read(pd.Series(store_ids, dtype="str"), BEGINNING, END)
        assert polls.columns.tolist() == ["store_id", "timestamp_utc", "status"]
        assert isinstance(polls["store_id"].dtype, pd.CategoricalDtype)
        assert isinstance(polls["status"].dtype, pd.CategoricalDtype)
        assert str(polls["timestamp_utc"].dtype) == "datetime64[us, UTC]"


def test_ids_are_sorted_by_code_points(database: Database):
    insert(database, *((store, NOON, "active") for store in reversed(IDS)))
    assert sorted(IDS) == IDS
    with database.read() as connection:
        assert read_polled_stores(database.polls, connection, END)["store_id"].tolist() == IDS
    assert [store for store, _, _ in read(database, IDS)] == IDS


@pytest.mark.parametrize(("first", "last"), [("10", "9"), ("A", "A_1"), ("A_1", "a")])
def test_range_of_stores_is_by_code_points(database: Database, first, last):
    insert(database, *((store, NOON, "active") for store in IDS))
    expected = [store for store in IDS if first <= store <= last]
    assert [store for store, _, _ in read(database, [first, last])] == expected


def test_read_polls_without_stores_is_empty(database: Database):
    insert(database, ("1", NOON, "active"))
    assert read(database, []) == []


def test_read_polls_includes_both_ends(database: Database):
    before, after = NOON - MICROSECOND, NOON + MICROSECOND
    insert(
        database,
        *((store, at, "active") for store in ("b", "a", "c") for at in (after, NOON, before)),
    )
    assert read(database, ["a", "b"], NOON) == [
        (store, at, "active") for store in ("a", "b") for at in (before, NOON)
    ]
    assert read(database, ["a", "c"], before - MICROSECOND) == []
    assert read(database, ["c"], END, NOON) == [("c", NOON, "active"), ("c", after, "active")]


def test_read_poll_ranges_reads_each_store_in_its_range(database: Database):
    insert(
        database,
        *(
            (store, NOON + hour * timedelta(hours=1), "active")
            for store in "abc"
            for hour in range(4)
        ),
    )
    hours = [("a", 0, 1), ("b", 1, 3), ("unknown", 0, 9)]
    ranges = pd.DataFrame(
        [(store, NOON + since * HOUR, NOON + until * HOUR) for store, since, until in hours],
        columns=["store_id", "since", "until"],
    )
    polls = database.polls.read_ranges(ranges)
    assert sorted(zip(polls["store_id"], polls["timestamp_utc"], strict=True)) == [
        ("a", NOON),
        ("b", NOON + HOUR),
        ("b", NOON + 2 * HOUR),
    ]


def test_each_month_has_a_partition_on_postgresql(database: Database):
    insert(database, ("1", NOON, "active"))
    insert(database, ("1", NOON, "inactive"), ("1", NOON.replace(year=1, month=2), "active"))
    insert(database, ("1", NOON.replace(month=12, day=31), "active"))
    with database.read() as connection:
        tables = inspect(connection).get_table_names()
    months = sorted(name for name in tables if name.startswith("store_status_"))
    expected = ["store_status_0001_02", "store_status_2023_01", "store_status_2023_12"]
    assert months == ([] if database.is_sqlite else expected)
    assert len(read(database, ["1"])) == 3


def test_as_of_in_another_time_zone_is_the_same_instant(database: Database):
    insert(database, ("1", NOON, "active"))
    kathmandu = timezone(timedelta(hours=5, minutes=45))
    for as_of, expected in ((NOON, 1), (NOON - MICROSECOND, 0)):
        local_as_of = as_of.astimezone(kathmandu)
        assert len(read(database, ["1"], local_as_of)) == expected
        with database.read() as connection:
            assert len(read_polled_stores(database.polls, connection, local_as_of)) == expected
            assert (newest_poll(database.polls, connection, local_as_of) is not None) == bool(
                expected
            )


def test_polled_stores_as_of_with_last_poll(
    database: Database,
):
    insert(
        database,
        ("early", NOON - timedelta(hours=1), "active"),
        ("exactly", NOON - timedelta(hours=2), "active"),
        ("exactly", NOON, "active"),
        ("exactly", NOON + MICROSECOND, "active"),
        ("late", NOON + MICROSECOND, "active"),
    )
    with database.read() as connection:
        stores = read_polled_stores(database.polls, connection, NOON)
        assert list(stores.itertuples(index=False, name=None)) == [
            ("early", pd.Timestamp(NOON - HOUR), pd.Timestamp(NOON - HOUR)),
            ("exactly", pd.Timestamp(NOON - 2 * HOUR), pd.Timestamp(NOON)),
        ]
        assert str(stores["last_poll_utc"].dtype) == "datetime64[us, UTC]"
        some = read_polled_stores(database.polls, connection, NOON, ("exactly", "late", "unknown"))
        assert some["store_id"].tolist() == ["exactly"]
        assert read_polled_stores(database.polls, connection, NOON, ()).empty
        none = read_polled_stores(database.polls, connection, NOON - timedelta(days=1))
        assert none.dtypes.tolist() == stores.dtypes.tolist()


def test_read_polled_stores_of_many_ids(database: Database):
    insert(database, ("1", NOON, "active"))
    store_ids = ("1", *(f"unknown-{number}" for number in range(40_000)))
    with database.read() as connection:
        assert read_polled_stores(database.polls, connection, NOON, store_ids)[
            "store_id"
        ].tolist() == ["1"]


def test_newest_and_oldest_poll(database: Database):
    with database.read() as connection:
        assert newest_poll(database.polls, connection, END) is None
        assert oldest_poll(connection) is None
    insert(database, ("1", NOON, "active"), ("2", NOON + MICROSECOND, "active"))
    with database.read() as connection:
        assert newest_poll(database.polls, connection, END) == NOON + MICROSECOND
        assert newest_poll(database.polls, connection, NOON + MICROSECOND) == NOON + MICROSECOND
        assert newest_poll(database.polls, connection, NOON) == NOON
        assert newest_poll(database.polls, connection, NOON - MICROSECOND) is None
        assert oldest_poll(connection) == NOON


def test_filter_unknown_stores_returns_never_polled_ids(database: Database):
    insert(database, ("1", NOON, "active"))
    with database.read() as connection:
        assert filter_unknown_stores(connection, ["2", "1", "01"]) == ["2", "01"]


def test_upsert_corrects_known_polls(database: Database):
    insert(database, ("1", NOON, "active"), ("2", NOON, "active"))
    assert insert(database, ("1", NOON, "inactive"), ("3", NOON, "active")) == 2
    # the later of two rows for one instant counts
    assert insert(database, ("2", NOON, "inactive"), ("2", NOON, "active")) == 1
    assert [(store, status) for store, _, status in read(database, ["1", "3"])] == [
        ("1", "inactive"),
        ("2", "active"),
        ("3", "active"),
    ]


def test_several_upserts_in_one_transaction(database: Database):
    with database.data_transaction() as connection:
        for status in ("active", "inactive"):
            polls = pd.DataFrame(
                {
                    "store_id": pd.Series(["1"], dtype="str"),
                    "timestamp_utc": pd.Series([NOON], dtype="datetime64[us, UTC]"),
                    "status": pd.Series([status], dtype="str"),
                }
            )
            upsert_polls(database.polls, connection, polls)
    assert read(database, ["1"]) == [("1", NOON, "inactive")]


def test_estimate_polls_from_samples(database: Database):
    week = 7 * 24
    frequent = [("a", NOON - minutes * HOUR / 10, "active") for minutes in range(10 * week)]
    rare = [("b", NOON - hours * HOUR, "active") for hours in range(week)]
    insert(database, *frequent, *rare, ("c", NOON - 30 * 24 * HOUR, "active"))
    stores = pd.Series(["a", "b", "c"], dtype="str")
    estimate = database.polls.estimate(stores, NOON - week * HOUR, NOON)
    # true counts: 1,680, 168 and 0; in files, stores share the rows of a row group
    assert estimate.sum() == pytest.approx(1848, rel=0.2)
    assert database.polls.estimate(stores[:0], NOON - HOUR, NOON).empty
    # a part of the stores keeps its index
    of_one = database.polls.estimate(stores[1:2], NOON - week * HOUR, NOON)
    assert of_one.index.tolist() == [1]
    if isinstance(database.polls, SqlPolls):
        assert estimate.tolist() == pytest.approx([1680, 168, 0], rel=0.2)
        assert of_one[1] == estimate[1]


def test_lookup_of_the_maximum_number_of_ids(database: Database):
    ids = tuple(f"x{number}" for number in range(MOST_STORES))
    insert(database, ("x7", NOON, "active"))
    with database.read() as connection:
        assert len(filter_unknown_stores(connection, ids)) == MOST_STORES - 1
        assert read_polled_stores(database.polls, connection, NOON, ids)["store_id"].tolist() == [
            "x7"
        ]
