"""Opening hours and time zones are replaced whole and read whole."""

import pandas as pd
import pytest

from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.reference_data import (
    count_rows,
    count_weekdays_with_hours,
    read_business_hours,
    read_timezones,
    replace_snapshot,
)
from storemon_pipeline.storage.schema import business_hours, store_timezone

HOURS = ["store_id", "day_of_week", "start_time_local", "end_time_local"]
ZONES = ["store_id", "timezone_str"]


def put(database: Database, table, columns: list[str], *rows: tuple) -> int:
    with database.data_transaction() as connection:
        return replace_snapshot(connection, table, pd.DataFrame(rows, columns=columns))


def zones(database: Database) -> list[tuple[str, str]]:
    with database.read() as connection:
        return sorted(read_timezones(connection).itertuples(index=False, name=None))


def test_a_snapshot_takes_the_place_of_all_that_was_there(database: Database):
    assert put(database, store_timezone, ZONES, ("1", "Asia/Tokyo"), ("2", "Asia/Tokyo")) == 2
    assert put(database, store_timezone, ZONES, ("2", "Europe/Paris"), ("3", "No/Where")) == 2
    assert zones(database) == [("2", "Europe/Paris"), ("3", "No/Where")]
    assert put(database, store_timezone, ZONES) == 0
    assert zones(database) == []


def test_of_rows_with_one_key_the_last_counts(database: Database):
    rows = [("1", "Asia/Tokyo"), ("2", "Asia/Tokyo"), ("1", "Europe/Paris")]
    assert put(database, store_timezone, ZONES, *rows) == 2
    assert zones(database) == [("1", "Europe/Paris"), ("2", "Asia/Tokyo")]


def test_an_error_leaves_the_old_snapshot(database: Database):
    put(database, store_timezone, ZONES, ("1", "Asia/Tokyo"))

    def fail() -> None:
        with database.data_transaction() as connection:
            rows = pd.DataFrame([("2", "Asia/Tokyo")], columns=ZONES)
            replace_snapshot(connection, store_timezone, rows)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert zones(database) == [("1", "Asia/Tokyo")]


def test_opening_hours_are_read_as_times_since_midnight_in_order(database: Database):
    rows = [
        ("b", 6, "22:00:00", "24:00:00"),
        ("a", 0, "13:00:00", "17:00:00"),
        ("a", 0, "09:00:00", "12:00:00"),
        ("10", 1, "00:00:00.000001", "23:59:59.999999"),
        ("B", 0, "09:00:00", "09:00:00"),
    ]
    put(database, business_hours, HOURS, *rows)
    with database.read() as connection:
        read = read_business_hours(connection)
        assert count_rows(connection, business_hours) == 5
    assert read.columns.tolist() == HOURS
    assert list(read.itertuples(index=False, name=None)) == [
        (store, day, pd.Timedelta(start), pd.Timedelta(end))
        for store, day, start, end in sorted(rows)
    ]


def test_weekdays_with_hours_are_counted_once_each(database: Database):
    assert weekdays(database) == []
    split = [("b", day, start, "24:00:00") for day in (0, 0, 3) for start in ("09:00:00", "10:00")]
    put(database, business_hours, HOURS, *split, ("a", 6, "00:00:00", "24:00:00"))
    assert weekdays(database) == [("a", 1), ("b", 2)]


def weekdays(database: Database) -> list[tuple[str, int]]:
    with database.read() as connection:
        return sorted(count_weekdays_with_hours(connection).itertuples(index=False, name=None))


def test_opening_hours_have_the_same_types_when_there_are_none(database: Database):
    with database.read() as connection:
        none = read_business_hours(connection)
        assert count_rows(connection, business_hours) == 0
    assert none.empty
    assert [str(none[column].dtype) for column in HOURS[1:]] == [
        "int64",
        "timedelta64[us]",
        "timedelta64[us]",
    ]
