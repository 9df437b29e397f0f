"""Columns are found by their names, wherever they stand."""

import pytest

from storemon_pipeline_tests.intake.place import POLLS, Place


@pytest.mark.parametrize("name", ["dayOfWeek", "day", "day_of_week"])
def test_the_weekday_has_three_names(place: Place, name):
    place.put("store_status.csv", POLLS)
    place.put(
        "menu_hours.csv", f"store_id,{name},start_time_local,end_time_local", "1,6,09:00,17:30"
    )
    place.take_in()
    assert place.rows("business_hours") == [("1", 6, "09:00:00", "17:30:00")]


def test_of_several_names_the_first_accepted_wins(place: Place):
    place.put("store_status.csv", POLLS)
    header = "day_of_week,day,dayOfWeek,store_id,start_time_local,end_time_local"
    place.put("menu_hours.csv", header, "1,2,3,a,09:00:00,17:00:00")
    place.take_in()
    assert place.rows("business_hours") == [("a", 3, "09:00:00", "17:00:00")]


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("store_id,status,timestamp_utc", "1,active,2023-01-25 10:00:00 UTC"),
        ("timestamp_utc,store_id,status", "2023-01-25 10:00:00 UTC,1,active"),
        ("status,timestamp_utc,store_id", "active,2023-01-25 10:00:00 UTC,1"),
    ],
)
def test_columns_come_in_any_order(place: Place, header, row):
    place.put("store_status.csv", header, row)
    place.take_in()
    assert place.polls() == [("1", "2023-01-25 10:00:00", "active")]


def test_extra_columns_are_ignored_whatever_is_in_them(place: Place):
    place.put(
        "store_status.csv",
        "note,store_id,who,status,,timestamp_utc,amount",
        'plain,1,,active,,2023-01-25 10:00:00 UTC,"1,000.50"',
        '"a, b, ""c""",2,"x,y",inactive,"",2023-01-25 10:00:00 UTC,',
        'it"s,3,,active,é,2023-01-25 10:00:00 UTC,☃',
        '"a\rb",4,,active,,2023-01-25 10:00:00 UTC,"\r"',
    )
    place.take_in()
    assert place.quarantined() == []
    assert [(store, status) for store, _, status in place.polls()] == [
        ("1", "active"),
        ("2", "inactive"),
        ("3", "active"),
        ("4", "active"),
    ]


def test_names_and_values_may_be_in_quotes_and_names_between_spaces(place: Place):
    place.put(
        "store_status.csv",
        '"store_id", status ,"timestamp_utc"',
        '"1","active","2023-01-25 10:00:00 UTC"',
    )
    place.take_in()
    assert place.polls() == [("1", "2023-01-25 10:00:00", "active")]
