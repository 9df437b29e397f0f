"""Details, opening hours, search and inputs of single stores."""

from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest
from sqlalchemy import insert

from storemon_pipeline.evaluation.store_inputs import read_store_inputs
from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.poll_store import upsert_polls
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
        upsert_polls(database.polls, connection, polls)
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


def find(database: Database, store_id: str) -> StoreDetails | None:
    with database.read() as connection:
        return find_store(database.polls, connection, store_id)


def test_find_store_returns_its_details(filled: Database):
    assert find(filled, "1") == StoreDetails(
        "1", NOON, SECOND_POLL, 2, "Asia/Tokyo", timezone_known=True, weekdays_with_hours=2
    )
    early = NOON - 9 * HOUR
    assert find(filled, "10") == StoreDetails(
        "10", early, early, 1, "America/Chicago", timezone_known=False, weekdays_with_hours=1
    )


def test_store_with_unknown_zone_has_the_default(
    filled: Database,
):
    assert find(filled, "a") == StoreDetails(
        "a", NOON, NOON, 1, "America/Chicago", timezone_known=False, weekdays_with_hours=0
    )
    assert find(filled, "NA") == StoreDetails(
        "NA", NOON, NOON, 1, "America/Chicago", timezone_known=False, weekdays_with_hours=0
    )


def test_stored_default_zone_counts_as_known(filled: Database):
    with filled.data_transaction() as connection:
        connection.execute(
            insert(store_timezone).values(store_id="NA", timezone_str="America/Chicago")
        )
    store = find(filled, "NA")
    assert store is not None
    assert (store.timezone, store.timezone_known) == ("America/Chicago", True)


def test_read_stored_hours_returns_stored_text(filled: Database):
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


def search(database: Database, part: str, limit: int, after: str | None = None) -> SearchResult:
    with database.read() as connection:
        return search_stores(connection, part, limit, after=after)


def test_search_lists_prefix_matches_first(filled: Database):
    assert search(filled, "A", 10) == SearchResult(2, [("a", NOON), ("NA", NOON)])
    assert search(filled, "", 2) == SearchResult(4, [("1", SECOND_POLL), ("10", NOON - 9 * HOUR)])
    for text in ("%", "_", "\0", "a\0"):
        assert search(filled, text, 2) == SearchResult(0, [])


@pytest.mark.parametrize("part", ["", "a", "1", "0", "A", "x"])
def test_search_pages_list_each_store_once(filled: Database, part: str):
    result = search(filled, part, 10)
    pages, after = [], None
    while page := search(filled, part, 1, after).stores:
        pages += page
        after = page[-1][0]
    assert pages == result.stores
    # the cursor may refer to a store that no longer exists
    assert search(filled, "", 10, "1-gone").stores == search(filled, "", 10, "1").stores


@pytest.mark.parametrize("store_id", ["unpolled", "", "A", "%", "1 ", "1' OR '1'='1"])
def test_find_store_never_polled_returns_none(filled: Database, store_id: str):
    assert find(filled, store_id) is None


def test_read_store_inputs_has_only_that_store(filled: Database):
    store = find(filled, "1")
    assert store is not None
    start, end = pd.Timestamp(NOON - HOUR), pd.Timestamp(NOON + 2 * HOUR)
    inputs = read_store_inputs(filled, store, start, end, UptimeRules())
    assert inputs.stores["store_id"].tolist() == ["1"]
    assert inputs.stores["timezone"].tolist() == ["Asia/Tokyo"]
    assert set(inputs.polls["store_id"]) == {"1"}
    assert inputs.polls["timestamp_utc"].tolist() == [NOON, SECOND_POLL]
    assert set(inputs.hours.weekly["store_id"]) == {"1"}
    assert len(inputs.hours.weekly) == 3
