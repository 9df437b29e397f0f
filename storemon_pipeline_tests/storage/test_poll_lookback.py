"""A report reads few polls, and they say all that everybody's whole history would."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from pandas.testing import assert_frame_equal
from sqlalchemy import delete

from storemon_pipeline.evaluation.poll_lookback import read_ahead, read_polls_with_lookback
from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.polls import read_polled_stores, upsert_polls
from storemon_pipeline.storage.schema import polled_store, store_status
from storemon_pipeline.uptime.opening_hours import OpeningHours, open_hours
from storemon_pipeline.uptime.rules import EARLIEST_POLL, UptimeRules
from storemon_pipeline.uptime.status_intervals import status_intervals
from storemon_pipeline.uptime.time_zones import resolve_timezone
from storemon_pipeline_tests.helpers.case_tables import request_of, tables_of
from storemon_pipeline_tests.uptime.strategies import Case, cases

START = pd.Timestamp("2023-01-18", tz="UTC")
AS_OF = pd.Timestamp("2023-01-25", tz="UTC")
WALL_TIMES = {
    "start_time_local": pd.Series(dtype="timedelta64[us]"),
    "end_time_local": pd.Series(dtype="timedelta64[us]"),
}
NO_HOURS = OpeningHours(
    pd.DataFrame(
        {"store_id": pd.Series(dtype="str"), "day_of_week": pd.Series(dtype="int64")} | WALL_TIMES
    ),
    pd.DataFrame(
        {"store_id": pd.Series(dtype="str"), "date": pd.Series(dtype="datetime64[us]")} | WALL_TIMES
    ),
)


def typed(polls: pd.DataFrame) -> pd.DataFrame:
    return polls.astype(
        {"store_id": "str", "timestamp_utc": "datetime64[us, UTC]", "status": "str"}
    )


def stores_of(database: Database, as_of: datetime, zones: dict[str, str]) -> pd.DataFrame:
    with database.read() as connection:
        stores = read_polled_stores(connection, as_of)
    timezones = [resolve_timezone(zones.get(store)) for store in stores["store_id"]]
    return stores.assign(timezone=pd.Series(timezones, dtype="str"))


@given(case=cases())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_status_is_that_of_the_whole_history(database: Database, case: Case) -> None:
    request = request_of(case)
    _, polls, hours = tables_of(case)
    with database.data_transaction() as connection:
        connection.execute(delete(store_status))
        connection.execute(delete(polled_store))
        upsert_polls(connection, typed(polls))
    stores = stores_of(database, request.as_of, case.zones)
    start, as_of = map(pd.Timestamp, request.span)
    opened = open_hours(stores, hours, start, as_of, request.rules)
    few = read_polls_with_lookback(database, stores, hours, start, as_of, request.rules)
    assert_frame_equal(
        status_intervals(stores, few, opened, hours, start, as_of, request.rules),
        status_intervals(stores, polls, opened, hours, start, as_of, request.rules),
    )


@pytest.fixture
def silent_fleet(database: Database) -> Database:
    """Hourly polls of 300 days from one store, and one that fell silent before the last 250."""
    hours = pd.date_range(end=AS_OF, periods=300 * 24, freq="h")
    talking = pd.DataFrame({"store_id": "talking", "timestamp_utc": hours, "status": "active"})
    silent = talking.head(50 * 24).assign(store_id="silent", status="inactive")
    with database.data_transaction() as connection:
        upsert_polls(connection, typed(pd.concat([talking, silent])))
    return database


def test_nobodys_history_is_read(silent_fleet: Database) -> None:
    stores = stores_of(silent_fleet, AS_OF, {})
    read = read_polls_with_lookback(silent_fleet, stores, NO_HOURS, START, AS_OF, UptimeRules())
    count = read["store_id"].value_counts()
    assert count["talking"] == (AS_OF - START + timedelta(days=2)) // timedelta(hours=1) + 1
    assert 1 <= count["silent"] <= 8 * 24


def test_a_poll_of_long_ago_is_found(silent_fleet: Database) -> None:
    long_ago = datetime(2000, 1, 1, tzinfo=UTC)
    once = pd.DataFrame(
        [("once", long_ago, "inactive")], columns=["store_id", "timestamp_utc", "status"]
    )
    with silent_fleet.data_transaction() as connection:
        upsert_polls(connection, typed(once))
    stores = stores_of(silent_fleet, AS_OF, {})
    read = read_polls_with_lookback(silent_fleet, stores, NO_HOURS, START, AS_OF, UptimeRules())
    assert read.loc[read["store_id"] == "once", "timestamp_utc"].tolist() == [long_ago]


def test_polls_before_2000_do_not_exist(silent_fleet: Database) -> None:
    no_time = datetime(1, 1, 1, tzinfo=UTC)
    old = pd.DataFrame(
        [
            *((store, no_time, "active") for store in ("never", "silent", "new")),
            ("new", AS_OF + timedelta(days=1), "active"),
        ],
        columns=["store_id", "timestamp_utc", "status"],
    )
    known = stores_of(silent_fleet, AS_OF, {})
    with silent_fleet.data_transaction() as connection:
        upsert_polls(connection, typed(old))
    stores = stores_of(silent_fleet, AS_OF, {})
    assert_frame_equal(stores, known)
    read = read_polls_with_lookback(silent_fleet, stores, NO_HOURS, START, AS_OF, UptimeRules())
    assert read["timestamp_utc"].min() > EARLIEST_POLL


def test_parts_are_read_in_order_and_no_more_than_two_ahead():
    asked: list[int] = []

    def parts() -> Iterator[int]:
        for part in range(6):
            asked.append(part)
            yield part

    given = []
    for part in read_ahead(lambda part: part * 10, parts()):
        given.append(part)
        assert len(asked) <= len(given) + 2
    assert given == [0, 10, 20, 30, 40, 50]
    assert list(read_ahead(str, [])) == []


def test_a_part_that_cannot_be_read_stops_the_reading():
    parts = read_ahead(lambda part: 1 / part, [1, 0, 1])
    assert next(parts) == 1
    with pytest.raises(ZeroDivisionError):
        next(parts)
