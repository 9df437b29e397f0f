"""Reference data: tables are replaced and read as a whole."""

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


def replace(database: Database, table, columns: list[str], *rows: tuple) -> int:
    with database.data_transaction() as connection:
        return replace_snapshot(connection, table, pd.DataFrame(rows, columns=columns))


def zones(database: Database) -> list[tuple[str, str]]:
    with database.read() as connection:
        return sorted(read_timezones(connection).itertuples(index=False, name=None))


def test_replace_snapshot_removes_previous_rows(database: Database):
    assert replace(database, store_timezone, ZONES, ("1", "Asia/Tokyo"), ("2", "Asia/Tokyo")) == 2
    assert replace(database, store_timezone, ZONES, ("2", "Europe/Paris"), ("3", "No/Where")) == 2
    assert zones(database) == [("2", "Europe/Paris"), ("3", "No/Where")]
    assert replace(database, store_timezone, ZONES) == 0
    assert zones(database) == []


def test_replace_snapshot_keeps_last_row_of_a_key(database: Database):
    rows = [("1", "Asia/Tokyo"), ("2", "Asia/Tokyo"), ("1", "Europe/Paris")]
    assert replace(database, store_timezone, ZONES, *rows) == 2
    assert zones(database) == [("1", "Europe/Paris"), ("2", "Asia/Tokyo")]


def test_error_keeps_previous_snapshot(database: Database):
    replace(database, store_timezone, ZONES, ("1", "Asia/Tokyo"))

    def fail() -> None:
        with database.data_transaction() as connection:
            rows = pd.DataFrame([("2", "Asia/Tokyo")], columns=ZONES)
            replace_snapshot(connection, store_timezone, rows)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert zones(database) == [("1", "Asia/Tokyo")]


def test_business_hours_are_sorted_times_since_midnight(database: Database):
    rows = [
        ("b", 6, "22:00:00", "24:00:00"),
        ("a", 0, "13:00:00", "17:00:00"),
        ("a", 0, "09:00:00", "12:00:00"),
        ("10", 1, "00:00:00.000001", "23:59:59.999999"),
        ("B", 0, "09:00:00", "09:00:00"),
    ]
    replace(database, business_hours, HOURS, *rows)
    with database.read() as connection:
        hours = read_business_hours(connection)
        assert count_rows(connection, business_hours) == 5
    assert hours.columns.tolist() == HOURS
    assert list(hours.itertuples(index=False, name=None)) == [
        (store, day, pd.Timedelta(start), pd.Timedelta(end))
        for store, day, start, end in sorted(rows)
    ]


def test_count_weekdays_with_hours_is_distinct(database: Database):
    assert weekdays(database) == []
    split = [("b", day, start, "24:00:00") for day in (0, 0, 3) for start in ("09:00:00", "10:00")]
    replace(database, business_hours, HOURS, *split, ("a", 6, "00:00:00", "24:00:00"))
    assert weekdays(database) == [("a", 1), ("b", 2)]


def weekdays(database: Database) -> list[tuple[str, int]]:
    with database.read() as connection:
        return sorted(count_weekdays_with_hours(connection).itertuples(index=False, name=None))


def test_empty_business_hours_keep_dtypes(database: Database):
    with database.read() as connection:
        hours = read_business_hours(connection)
        assert count_rows(connection, business_hours) == 0
    assert hours.empty
    assert [str(hours[column].dtype) for column in HOURS[1:]] == [
        "int64",
        "timedelta64[us]",
        "timedelta64[us]",
    ]
