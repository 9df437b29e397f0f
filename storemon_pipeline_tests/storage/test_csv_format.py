"""Values of a report as CSV text."""

from datetime import UTC, datetime, timedelta
from io import BytesIO
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from storemon_pipeline.storage.csv_format import format_local_column, format_utc_column, write_csv
from storemon_pipeline.storage.report_writer import event_rows, full_report, short_report


def csv_lines(table: pd.DataFrame, *, header: bool = False) -> list[str]:
    file = BytesIO()
    write_csv(file, table, header=header)
    return file.getvalue().decode().split("\n")


def instants(*values: str | None) -> pd.Series:
    return pd.Series(pd.to_datetime(list(values), utc=True, format="ISO8601")).astype(
        "datetime64[us, UTC]"
    )


@pytest.mark.parametrize(
    ("number", "as_text"),
    [
        (0.0, "0.00"),
        (-0.0, "0.00"),
        (7.0, "7.00"),
        (0.1, "0.10"),
        (0.07, "0.07"),
        (59.99, "59.99"),
        (33.33, "33.33"),
        (100.0, "100.00"),
        (123456789.01, "123456789.01"),
        (1.005, "1.00"),
        (float("nan"), ""),
    ],
)
def test_numbers_have_two_decimals_and_missing_is_empty(number, as_text):
    assert csv_lines(pd.DataFrame({"a": [number], "b": ["x"]})) == [f"{as_text},x", ""]


@pytest.mark.parametrize("hundredths", [range(0, 100_000, 7)])
def test_rounded_numbers_are_written_exactly(hundredths):
    numbers = np.array(hundredths) / 100
    assert csv_lines(pd.DataFrame({"a": numbers})) == [*(f"{number:.2f}" for number in numbers), ""]


def test_write_csv_with_and_without_header(tmp_path):
    table = pd.DataFrame(
        {
            "store_id": pd.Categorical(["007", "a"], categories=["007", "9", "a"]),
            "day_of_week": np.array([0, 6]),
            "hours": [1.5, float("nan")],
            "timezone": pd.Series(["Asia/Tokyo", None], dtype="str"),
        }
    )
    rows = ["007,0,1.50,Asia/Tokyo", "a,6,,", ""]
    assert csv_lines(table, header=True) == ["store_id,day_of_week,hours,timezone", *rows]
    assert csv_lines(table) == rows
    assert csv_lines(table.head(0), header=True) == ["store_id,day_of_week,hours,timezone", ""]
    assert csv_lines(table.head(0)) == [""]


def test_format_utc_column_is_iso_8601_with_optional_fraction():
    text = format_utc_column(
        instants(
            "2023-01-25T18:00:00Z",
            "2023-01-25T18:13:22.47922Z",
            "2023-01-25T18:13:22.000001Z",
            "2023-01-25T18:00:10Z",
            "1970-01-01T00:00:00Z",
            "1969-12-31T23:59:59.9Z",
            "2100-12-31T23:59:59.999999Z",
            None,
        )
    )
    assert text.tolist()[:-1] == [
        "2023-01-25T18:00:00Z",
        "2023-01-25T18:13:22.479220Z",
        "2023-01-25T18:13:22.000001Z",
        "2023-01-25T18:00:10Z",
        "1970-01-01T00:00:00Z",
        "1969-12-31T23:59:59.900000Z",
        "2100-12-31T23:59:59.999999Z",
    ]
    assert pd.isna(text.iloc[-1])
    assert format_utc_column(instants()).tolist() == []


@pytest.mark.parametrize(
    ("zone", "at", "as_text"),
    [
        ("UTC", "2023-01-25T18:00:00Z", "2023-01-25T18:00:00+00:00"),
        ("Asia/Kathmandu", "2023-01-25T18:15:00Z", "2023-01-26T00:00:00+05:45"),
        ("America/St_Johns", "2023-01-25T03:29:59.5Z", "2023-01-24T23:59:59.500000-03:30"),
        ("America/Chicago", "2023-01-25T18:00:00Z", "2023-01-25T12:00:00-06:00"),
        ("America/Chicago", "2023-07-25T18:00:00Z", "2023-07-25T13:00:00-05:00"),
        ("Pacific/Kiritimati", "2022-12-31T10:00:00Z", "2023-01-01T00:00:00+14:00"),
        ("Pacific/Marquesas", "2023-01-01T00:00:00Z", "2022-12-31T14:30:00-09:30"),
        # local mean time, before standard time zones
        ("America/Chicago", "1850-01-01T00:00:00Z", "1849-12-31T18:09:24-05:50:36"),
        ("Asia/Kolkata", "1850-01-01T00:00:00Z", "1850-01-01T05:53:28+05:53:28"),
    ],
)
def test_format_local_column_has_utc_offset(zone, at, as_text):
    (instant,) = instants(at)
    offset = instant.to_pydatetime().astimezone(ZoneInfo(zone)).utcoffset()
    offsets = pd.Series([offset], dtype="timedelta64[us]")
    assert format_local_column(instants(at), offsets).tolist() == [as_text]
    assert datetime.fromisoformat(as_text) == instant


def test_format_local_column_with_many_offsets_keeps_order():
    hours = [5.75, -3.5, 0, -9.5, 5.75, 14]
    offsets = pd.Series([timedelta(hours=hour) for hour in hours], dtype="timedelta64[us]")
    at = instants(*["2023-01-25T12:00:00Z"] * len(hours))
    text = format_local_column(at, offsets)
    assert [local[19:] for local in text] == [
        "+05:45",
        "-03:30",
        "+00:00",
        "-09:30",
        "+05:45",
        "+14:00",
    ]
    assert {datetime.fromisoformat(local) for local in text} == {
        datetime(2023, 1, 25, 12, tzinfo=UTC)
    }
    assert format_local_column(instants(), offsets.head(0)).tolist() == []


def test_event_rows_have_utc_and_local_instants():
    event_table = pd.DataFrame(
        {
            "store_id": pd.Categorical(["1", "2"]),
            "start_utc": instants("2023-01-25T12:00:00Z", "2023-01-25T12:00:00.5Z"),
            "end_utc": instants("2023-01-25T13:30:00Z", "2023-01-25T18:00:00Z"),
            "start_offset": pd.Series([timedelta(hours=-6)] * 2, dtype="timedelta64[us]"),
            "end_offset": pd.Series([timedelta(hours=-5)] * 2, dtype="timedelta64[us]"),
            "minutes": [90.0, 359.99],
            "ongoing": [False, True],
        }
    )
    # the index of a sorted or filtered table
    events = event_table.set_axis([7, 3])
    assert csv_lines(event_rows(events), header=True) == [
        "store_id,start_utc,end_utc,start_local,end_local,minutes,ongoing",
        (
            "1,2023-01-25T12:00:00Z,2023-01-25T13:30:00Z,2023-01-25T06:00:00-06:00,"
            "2023-01-25T08:30:00-05:00,90.00,false"
        ),
        (
            "2,2023-01-25T12:00:00.500000Z,2023-01-25T18:00:00Z,2023-01-25T06:00:00.500000-06:00,"
            "2023-01-25T13:00:00-05:00,359.99,true"
        ),
        "",
    ]
    assert csv_lines(event_rows(events.head(0))) == [""]


def test_short_report_selects_columns_of_full_report():
    figures = pd.DataFrame(
        {
            "store_id": ["1"],
            "uptime_last_hour": [60.0],
            "downtime_last_hour": [0.0],
            "unobserved_last_hour": [0.0],
            "uptime_pct_last_hour": [float("nan")],
            "uptime_range": [1.5],
            "downtime_range": [2.25],
            "unobserved_range": [0.0],
            "uptime_pct_range": [40.0],
            "last_poll_utc": instants("2023-01-25T18:00:00Z"),
            "timezone": ["America/Chicago"],
        }
    )
    assert csv_lines(short_report(figures), header=True) == [
        "store_id,uptime_last_hour,downtime_last_hour,uptime_range,downtime_range",
        "1,60.00,0.00,1.50,2.25",
        "",
    ]
    levels = pd.DataFrame({"target_pct": [99.995], "met_last_hour": pd.array([True])})
    full = csv_lines(full_report(figures, levels), header=True)
    assert full[0] == ",".join([*figures.columns, "target_pct", "met_last_hour"])
    assert full[1] == (
        "1,60.00,0.00,0.00,,1.50,2.25,0.00,40.00,2023-01-25T18:00:00Z,America/Chicago,99.995,true"
    )
