"""Columns are found by name, in any order."""

import pytest

from storemon_pipeline.ingestion.file_errors import IngestionError
from storemon_pipeline_tests.helpers.workspace import POLLS, Workspace


@pytest.mark.parametrize("name", ["dayOfWeek", "day", "day_of_week"])
def test_the_weekday_has_three_names(workspace: Workspace, name):
    workspace.write("store_status.csv", POLLS)
    workspace.write(
        "menu_hours.csv", f"store_id,{name},start_time_local,end_time_local", "1,6,09:00,17:30"
    )
    workspace.ingest()
    assert workspace.rows("business_hours") == [("1", 6, "09:00:00", "17:30:00")]


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("menu_hours.csv", "store_id,day,day_of_week,start_time_local,end_time_local"),
        ("menu_hours.csv", "store_id,Day, day,start_time_local,end_time_local"),
        ("store_status.csv", "store_id,status,timestamp_utc,status"),
        ("timezones.csv", "store_id,store_id,timezone_str"),
    ],
)
def test_header_that_names_a_column_twice_is_rejected(workspace: Workspace, name, header):
    workspace.write("store_status.csv", POLLS)
    workspace.write(name, header)
    with pytest.raises(
        IngestionError, match=rf"{name} has 2 columns that match \w+: '.*' .column \d. and '"
    ):
        workspace.ingest()


@pytest.mark.parametrize("name", ["dayofweek", "Day", " day ", "Day Of Week", "\tDAY_OF_WEEK"])
def test_column_names_may_have_any_case_and_spaces(workspace: Workspace, name):
    workspace.write("store_status.csv", POLLS)
    workspace.write(
        "menu_hours.csv", f"Store_ID, {name}, start_time_local, END_TIME_LOCAL", "1,6,09:00,17:30"
    )
    workspace.ingest()
    assert workspace.rows("business_hours") == [("1", 6, "09:00:00", "17:30:00")]


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("store_id,status,timestamp_utc", "1,active,2023-01-25 10:00:00 UTC"),
        ("timestamp_utc,store_id,status", "2023-01-25 10:00:00 UTC,1,active"),
        ("status,timestamp_utc,store_id", "active,2023-01-25 10:00:00 UTC,1"),
    ],
)
def test_columns_come_in_any_order(workspace: Workspace, header, row):
    workspace.write("store_status.csv", header, row)
    workspace.ingest()
    assert workspace.polls() == [("1", "2023-01-25 10:00:00", "active")]


def test_extra_columns_are_ignored_whatever_is_in_them(workspace: Workspace):
    workspace.write(
        "store_status.csv",
        "note,store_id,who,status,,timestamp_utc,amount",
        'plain,1,,active,,2023-01-25 10:00:00 UTC,"1,000.50"',
        '"a, b, ""c""",2,"x,y",inactive,"",2023-01-25 10:00:00 UTC,',
        'it"s,3,,active,é,2023-01-25 10:00:00 UTC,☃',
        '"a\rb",4,,active,,2023-01-25 10:00:00 UTC,"\r"',
    )
    workspace.ingest()
    assert workspace.quarantined() == []
    assert [(store, status) for store, _, status in workspace.polls()] == [
        ("1", "active"),
        ("2", "inactive"),
        ("3", "active"),
        ("4", "active"),
    ]


def test_quoted_names_and_values_are_accepted(workspace: Workspace):
    workspace.write(
        "store_status.csv",
        '"store_id", status ,"timestamp_utc"',
        '"1","active","2023-01-25 10:00:00 UTC"',
    )
    workspace.ingest()
    assert workspace.polls() == [("1", "2023-01-25 10:00:00", "active")]
