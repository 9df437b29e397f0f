"""One store: what the tables hold of it, and of no other."""

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from sqlalchemy import insert

from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.polls import upsert_polls
from storemon_pipeline.storage.stores import StoreRecord, find_store, read_store
from storemon_pipeline.storage.tables import business_hours, store_timezone
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
    with database.write() as connection:
        upsert_polls(connection, polls)
        for store_id, zone in [("1", "Asia/Tokyo"), ("a", "No/Where"), ("unpolled", "Asia/Tokyo")]:
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
    return database


def found(database: Database, store_id: str) -> StoreRecord | None:
    with database.read() as connection:
        return find_store(connection, store_id)


def test_a_store_is_what_the_tables_hold_of_it(filled: Database):
    assert found(filled, "1") == StoreRecord("1", NOON, SECOND_POLL, 2, "Asia/Tokyo", 2)
    early = NOON - 9 * HOUR
    assert found(filled, "10") == StoreRecord("10", early, early, 1, "America/Chicago", 1)


def test_a_zone_that_is_not_known_is_the_default_and_without_hours_there_are_none(
    filled: Database,
):
    assert found(filled, "a") == StoreRecord("a", NOON, NOON, 1, "America/Chicago", 0)
    assert found(filled, "NA") == StoreRecord("NA", NOON, NOON, 1, "America/Chicago", 0)


@pytest.mark.parametrize("store_id", ["unpolled", "", "A", "%", "1 ", "1' OR '1'='1"])
def test_a_store_that_was_never_polled_is_not_found(filled: Database, store_id: str):
    assert found(filled, store_id) is None


def test_what_is_read_of_a_store_is_its_own(filled: Database):
    store = found(filled, "1")
    assert store is not None
    start, end = pd.Timestamp(NOON - HOUR), pd.Timestamp(NOON + 2 * HOUR)
    read = read_store(filled, store, start, end, UptimeRules())
    assert read.stores["store_id"].tolist() == ["1"]
    assert read.stores["timezone"].tolist() == ["Asia/Tokyo"]
    assert set(read.polls["store_id"]) == {"1"}
    assert read.polls["timestamp_utc"].tolist() == [NOON, SECOND_POLL]
    assert set(read.hours.weekly["store_id"]) == {"1"}
    assert len(read.hours.weekly) == 3
