"""One store: what the tables hold of it, and of no other."""

from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest
from sqlalchemy import insert

from storemon_pipeline.evaluation.store_inputs import read_store_inputs
from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.polls import upsert_polls
from storemon_pipeline.storage.schema import business_hours, special_hours, store_timezone
from storemon_pipeline.storage.stores import (
    SearchResult,
    StoreDetails,
    find_store,
    read_stored_hours,
    search_stores,
)
from storemon_pipeline.uptime.rules import UptimeRules

NOON = datetime(2023, 1, 25, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SECOND_POLL = NOON + HOUR + timedelta(microseconds=1)
POLLS = [
    ("1", NOON, "active"),
    ("1", SECOND_POLL, "inactive"),
    ("10", NOON - 9 * HOUR, "active"),
    ("a", NOON, "active"),
    ("NA", NOON, "inactive"),
]


@pytest.fixture
def filled(database: Database) -> Database:
    polls = pd.DataFrame(POLLS, columns=["store_id", "timestamp_utc", "status"]).astype(
        {"store_id": "str", "timestamp_utc": "datetime64[us, UTC]", "status": "str"}
    )
    with database.data_transaction() as connection:
        upsert_polls(connection, polls)
        for store_id, zone in [
            ("1", "Asia/Tokyo"),
            ("10", ""),
            ("a", "No/Where"),
            ("unpolled", "Asia/Tokyo"),
        ]:
            connection.execute(insert(store_timezone).values(store_id=store_id, timezone_str=zone))
        for store_id, day, start, end in [
            ("1", 0, "09:00:00", "12:00:00"),
            ("1", 0, "13:00:00", "17:00:00"),
            ("1", 6, "00:00:00", "24:00:00"),
            ("10", 3, "09:00:00", "17:00:00"),
        ]:
            connection.execute(
                insert(business_hours).values(
                    store_id=store_id, day_of_week=day, start_time_local=start, end_time_local=end
                )
            )
        for store_id, day, start, end in [
            ("1", "2023-02-01", "", ""),
            ("1", "2023-01-28", "18:00:00", "02:00:00.5"),
            ("1", "2023-01-28", "09:00:00", "12:00:00"),
            ("10", "2023-01-28", "", ""),
        ]:
            connection.execute(
                insert(special_hours).values(
                    store_id=store_id, date=day, start_time_local=start, end_time_local=end
                )
            )
    return database


def found(database: Database, store_id: str) -> StoreDetails | None:
    with database.read() as connection:
        return find_store(connection, store_id)


def test_a_store_is_what_the_tables_hold_of_it(filled: Database):
    assert found(filled, "1") == StoreDetails(
        "1", NOON, SECOND_POLL, 2, "Asia/Tokyo", timezone_known=True, weekdays_with_hours=2
    )
    early = NOON - 9 * HOUR
    assert found(filled, "10") == StoreDetails(
        "10", early, early, 1, "America/Chicago", timezone_known=False, weekdays_with_hours=1
    )


def test_a_zone_that_is_not_known_is_the_default_and_without_hours_there_are_none(
    filled: Database,
):
    assert found(filled, "a") == StoreDetails(
        "a", NOON, NOON, 1, "America/Chicago", timezone_known=False, weekdays_with_hours=0
    )
    assert found(filled, "NA") == StoreDetails(
        "NA", NOON, NOON, 1, "America/Chicago", timezone_known=False, weekdays_with_hours=0
    )


def test_the_default_zone_is_known_where_it_is_named(filled: Database):
    with filled.data_transaction() as connection:
        connection.execute(
            insert(store_timezone).values(store_id="NA", timezone_str="America/Chicago")
        )
    store = found(filled, "NA")
    assert store is not None
    assert (store.timezone, store.timezone_known) == ("America/Chicago", True)


def test_the_hours_of_a_store_are_told_as_they_are_written(filled: Database):
    with filled.read() as connection:
        hours = read_stored_hours(connection, "1")
        assert (
            read_stored_hours(connection, "a").weekly
            == read_stored_hours(connection, "a").special
            == []
        )
    assert hours.weekly == [
        (0, "09:00:00", "12:00:00"),
        (0, "13:00:00", "17:00:00"),
        (6, "00:00:00", "24:00:00"),
    ]
    assert hours.special == [
        (date(2023, 1, 28), [("09:00:00", "12:00:00"), ("18:00:00", "02:00:00.5")]),
        (date(2023, 2, 1), []),
    ]


def searched(database: Database, part: str, limit: int, after: str | None = None) -> SearchResult:
    with database.read() as connection:
        return search_stores(connection, part, limit, after=after)


def test_stores_are_found_those_first_that_begin_so(filled: Database):
    assert searched(filled, "A", 10) == SearchResult(2, [("a", NOON), ("NA", NOON)])
    assert searched(filled, "", 2) == SearchResult(4, [("1", SECOND_POLL), ("10", NOON - 9 * HOUR)])
    for none in ("%", "_", "\0", "a\0"):
        assert searched(filled, none, 2) == SearchResult(0, [])


@pytest.mark.parametrize("part", ["", "a", "1", "0", "A", "x"])
def test_every_store_that_is_found_is_on_one_page(filled: Database, part: str):
    whole = searched(filled, part, 10)
    pages, after = [], None
    while page := searched(filled, part, 1, after).stores:
        pages += page
        after = page[-1][0]
    assert pages == whole.stores
    # the place in the list may be of a store that is known no more
    assert searched(filled, "", 10, "1-gone").stores == searched(filled, "", 10, "1").stores


@pytest.mark.parametrize("store_id", ["unpolled", "", "A", "%", "1 ", "1' OR '1'='1"])
def test_a_store_that_was_never_polled_is_not_found(filled: Database, store_id: str):
    assert found(filled, store_id) is None


def test_what_is_read_of_a_store_is_its_own(filled: Database):
    store = found(filled, "1")
    assert store is not None
    start, end = pd.Timestamp(NOON - HOUR), pd.Timestamp(NOON + 2 * HOUR)
    read = read_store_inputs(filled, store, start, end, UptimeRules())
    assert read.stores["store_id"].tolist() == ["1"]
    assert read.stores["timezone"].tolist() == ["Asia/Tokyo"]
    assert set(read.polls["store_id"]) == {"1"}
    assert read.polls["timestamp_utc"].tolist() == [NOON, SECOND_POLL]
    assert set(read.hours.weekly["store_id"]) == {"1"}
    assert len(read.hours.weekly) == 3
