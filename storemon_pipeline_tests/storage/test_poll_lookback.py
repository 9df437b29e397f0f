"""Lookback reads few polls, and gives the same status as whole histories."""

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from pandas.testing import assert_frame_equal
from sqlalchemy import delete

from storemon_pipeline.evaluation.poll_lookback import read_polls_with_lookback
from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.poll_store import upsert_polls
from storemon_pipeline.storage.polled_stores import read_polled_stores
from storemon_pipeline.storage.schema import poll_file, polled_store, store_status
from storemon_pipeline.uptime.opening_hours import OpeningHours, open_hours
from storemon_pipeline.uptime.rules import EARLIEST_POLL, UptimeRules
from storemon_pipeline.uptime.status_intervals import status_intervals
from storemon_pipeline.uptime.time_zones import resolve_timezone
from storemon_pipeline_tests.helpers.case_tables import request_of, tables_of
from storemon_pipeline_tests.uptime.strategies import Case, cases

START = pd.Timestamp("2023-01-18", tz="UTC")
AS_OF = pd.Timestamp("2023-01-25", tz="UTC")
LOCAL_TIMES = {
    "start_time_local": pd.Series(dtype="timedelta64[us]"),
    "end_time_local": pd.Series(dtype="timedelta64[us]"),
}
NO_HOURS = OpeningHours(
    pd.DataFrame(
        {"store_id": pd.Series(dtype="str"), "day_of_week": pd.Series(dtype="int64")} | LOCAL_TIMES
    ),
    pd.DataFrame(
        {"store_id": pd.Series(dtype="str"), "date": pd.Series(dtype="datetime64[us]")}
        | LOCAL_TIMES
    ),
)


def typed(polls: pd.DataFrame) -> pd.DataFrame:
    return polls.astype(
        {"store_id": "str", "timestamp_utc": "datetime64[us, UTC]", "status": "str"}
    )


def stores_of(database: Database, as_of: datetime, zones: dict[str, str]) -> pd.DataFrame:
    with database.read() as connection:
        stores = read_polled_stores(database.polls, connection, as_of)
    timezones = [resolve_timezone(zones.get(store)) for store in stores["store_id"]]
    return stores.assign(timezone=pd.Series(timezones, dtype="str"))


def agrees_with_the_whole_history(database: Database, case: Case) -> None:
    request = request_of(case)
    _, polls, hours = tables_of(case)
    with database.data_transaction() as connection:
        for table in (store_status, poll_file, polled_store):
            connection.execute(delete(table))
        upsert_polls(database.polls, connection, typed(polls))
    stores = stores_of(database, request.as_of, case.zones)
    start, as_of = map(pd.Timestamp, request.span)
    opened = open_hours(stores, hours, start, as_of, request.rules)
    few = read_polls_with_lookback(database.polls, stores, hours, start, as_of, request.rules)
    assert_frame_equal(
        status_intervals(stores, few, opened, hours, start, as_of, request.rules),
        status_intervals(stores, polls, opened, hours, start, as_of, request.rules),
    )


@given(case=cases())
@settings(
    max_examples=settings.default.max_examples // 5,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
def test_lookback_gives_the_status_of_the_whole_history(database: Database, case: Case) -> None:
    agrees_with_the_whole_history(database, case)


@pytest.mark.slow
@given(case=cases())
@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
def test_lookback_gives_the_status_on_many_cases(database: Database, case: Case) -> None:
    agrees_with_the_whole_history(database, case)


@pytest.fixture
def silent_fleet(database: Database) -> Database:
    """Store hourly polls of 300 days for one store, and of the first 50 days for another."""
    hours = pd.date_range(end=AS_OF, periods=300 * 24, freq="h")
    polled = pd.DataFrame({"store_id": "polled", "timestamp_utc": hours, "status": "active"})
    silent = polled.head(50 * 24).assign(store_id="silent", status="inactive")
    with database.data_transaction() as connection:
        upsert_polls(database.polls, connection, typed(pd.concat([polled, silent])))
    return database


def test_lookback_reads_no_whole_history(silent_fleet: Database) -> None:
    stores = stores_of(silent_fleet, AS_OF, {})
    read = read_polls_with_lookback(
        silent_fleet.polls, stores, NO_HOURS, START, AS_OF, UptimeRules()
    )
    count = read["store_id"].value_counts()
    assert count["polled"] == (AS_OF - START + timedelta(days=2)) // timedelta(hours=1) + 1
    assert 1 <= count["silent"] <= 8 * 24


def test_lookback_finds_a_poll_years_before(silent_fleet: Database) -> None:
    long_ago = datetime(2000, 1, 1, tzinfo=UTC)
    single = pd.DataFrame(
        [("single", long_ago, "inactive")], columns=["store_id", "timestamp_utc", "status"]
    )
    with silent_fleet.data_transaction() as connection:
        upsert_polls(silent_fleet.polls, connection, typed(single))
    stores = stores_of(silent_fleet, AS_OF, {})
    read = read_polls_with_lookback(
        silent_fleet.polls, stores, NO_HOURS, START, AS_OF, UptimeRules()
    )
    assert read.loc[read["store_id"] == "single", "timestamp_utc"].tolist() == [long_ago]


def test_lookback_ignores_polls_before_2000(silent_fleet: Database) -> None:
    placeholder = datetime(1, 1, 1, tzinfo=UTC)
    old = pd.DataFrame(
        [
            *((store, placeholder, "active") for store in ("never", "silent", "new")),
            ("new", AS_OF + timedelta(days=1), "active"),
        ],
        columns=["store_id", "timestamp_utc", "status"],
    )
    stores_before = stores_of(silent_fleet, AS_OF, {})
    with silent_fleet.data_transaction() as connection:
        upsert_polls(silent_fleet.polls, connection, typed(old))
    stores = stores_of(silent_fleet, AS_OF, {})
    assert_frame_equal(stores, stores_before)
    read = read_polls_with_lookback(
        silent_fleet.polls, stores, NO_HOURS, START, AS_OF, UptimeRules()
    )
    assert read["timestamp_utc"].min() > EARLIEST_POLL
