"""Timestamps are parsed to the microsecond; an invalid one is a bad row."""

from datetime import timedelta

import pandas as pd
import pytest

from storemon_pipeline.ingestion.timestamps import parse_timestamps
from storemon_pipeline_tests.helpers.workspace import NOW, POLLS, Workspace

ACCEPTED = {
    "2023-01-22 12:09:39.388884 UTC": "2023-01-22 12:09:39.388884",
    "2023-01-22 12:09:39.38888 UTC": "2023-01-22 12:09:39.388880",
    "2023-01-22 12:09:39.3888 UTC": "2023-01-22 12:09:39.388800",
    "2023-01-22 12:09:39.388 UTC": "2023-01-22 12:09:39.388000",
    "2023-01-22 12:09:39.38 UTC": "2023-01-22 12:09:39.380000",
    "2023-01-22 12:09:39.3 UTC": "2023-01-22 12:09:39.300000",
    "2023-01-22 12:09:39 UTC": "2023-01-22 12:09:39",
    "2023-01-22 12:09:39.000001 UTC": "2023-01-22 12:09:39.000001",
    "2023-01-22 12:09:39.999999 UTC": "2023-01-22 12:09:39.999999",
    "2023-01-22 12:09:39": "2023-01-22 12:09:39",
    "2023-01-22 12:09:39.5": "2023-01-22 12:09:39.500000",
    "2023-01-22T12:09:39": "2023-01-22 12:09:39",
    "2023-01-22T12:09:39Z": "2023-01-22 12:09:39",
    "2023-01-22T12:09:39.388884Z": "2023-01-22 12:09:39.388884",
    "2023-01-22T12:09:39+05:30": "2023-01-22 06:39:39",
    "2023-01-22 12:09:39.25+05:30": "2023-01-22 06:39:39.250000",
    "2023-01-22 12:09:39 +0530": "2023-01-22 06:39:39",
    "2023-01-22T12:09:39-0500": "2023-01-22 17:09:39",
    "2023-01-22 12:09:39-05:00": "2023-01-22 17:09:39",
    "2023-01-22 12:09:39+05": "2023-01-22 07:09:39",
    "2023-01-22 00:30:00+14:00": "2023-01-21 10:30:00",
    "2023-01-22T12:09:39+00:00": "2023-01-22 12:09:39",
    # .NET, SQL Server and Go write more digits, which are truncated, not rounded
    "2023-01-22T12:09:39.3888849Z": "2023-01-22 12:09:39.388884",
    "2023-01-22 12:09:39.3888849 +00:00": "2023-01-22 12:09:39.388884",
    "2023-01-22 12:09:39.9999999 +05:30": "2023-01-22 06:39:39.999999",
    "2023-01-22 12:09:39.3888841 UTC": "2023-01-22 12:09:39.388884",
    "2023-01-22 12:09:39.388884999 +0000 UTC": "2023-01-22 12:09:39.388884",
    "2023-01-22 12:09:39 +0000 UTC": "2023-01-22 12:09:39",
    "2023-01-22 12:09:39 +00:00 GMT": "2023-01-22 12:09:39",
    "2023-01-22 12:09:39 utc": "2023-01-22 12:09:39",
    "2023-01-22 12:09:39.5 Utc": "2023-01-22 12:09:39.500000",
    "2023-01-22 12:09:39 GMT": "2023-01-22 12:09:39",
    "2023-01-22 12:09:39gmt": "2023-01-22 12:09:39",
    "2023-01-22t12:09:39z": "2023-01-22 12:09:39",
    "2023-01-22 12:09:39 -0000": "2023-01-22 12:09:39",
    "2023-01-22 12:09 utc": "2023-01-22 12:09:00",
    "2000-01-01 00:00:00 UTC": "2000-01-01 00:00:00",
    "1999-12-31 19:00:00-05:00": "2000-01-01 00:00:00",
    "2020-02-29 12:00:00 UTC": "2020-02-29 12:00:00",
}
TOO_OLD = [
    "1999-12-31 23:59:59.999999 UTC",
    "2000-01-01 00:00:00+00:01",
    "1970-01-01 00:00:00 UTC",
    "1969-12-31 23:59:59.999999 UTC",
    "0001-01-01 00:00:00 UTC",
    "0001-01-01T00:00:00Z",
    "0001-01-01 00:00:00 +0000 UTC",
]
REFUSED = [
    "",
    " ",
    "yesterday",
    "now",
    "null",
    "NaT",
    "2023-01-22",
    "12:09:39",
    "1674389379",
    "1674389379.388",
    "1674389379388",
    "2023-01-22 12:09:39 +0530 UTC",
    "2023-01-22 12:09:39 -0500 EST",
    "2023-01-22 12:09:39 UTC+00:00",
    "2023-01-22 12:09:39. UTC",
    "2023-02-30 12:00:00 UTC",
    "2021-02-29 12:00:00 UTC",
    "2023-13-01 12:00:00 UTC",
    "2023-00-10 12:00:00 UTC",
    "0000-00-00 00:00:00",
    "0000-01-01 00:00:00 UTC",
    "0001-01-01 00:00:00+05:00",
    "2023-01-22 24:00:00 UTC",
    "2023-01-22 12:60:00 UTC",
    "2023-01-22 12:09:60 UTC",
    "2023-01-22 12:09:39 EST",
    "2023-01-22 12:09:39 America/New_York",
    "2023-01-22 12:09:39+05:75",
    "2023-01-22 12:09:39+99:00",
    "2023-01-22 12:09:39 UTC UTC",
    "2023-01-22 12:09:39 PM",
    "22/01/2023 12:09:39",
    "01/22/2023 12:09",
    "2023/01/22 12:09:39",
    "20230122T120939Z",
    "2023-1-22 12:09:39",
    "23-01-22 12:09:39",
    "\u0662\u0660\u0662\u0663-01-22 12:09:39",
    "-2023-01-22 12:09:39",
    "12023-01-22 12:09:39",
]


def test_timestamps_are_stored_in_utc_microseconds(either_workspace: Workspace):
    workspace = either_workspace
    workspace.write(
        "store_status.csv", POLLS, *(f"{n},active,{value}" for n, value in enumerate(ACCEPTED))
    )
    workspace.ingest()
    assert workspace.quarantined() == []
    read = workspace.instants()
    assert {value: read[str(n)] for n, value in enumerate(ACCEPTED)} == ACCEPTED


@pytest.mark.parametrize("value", list(ACCEPTED)[:7])
def test_timestamp_is_parsed_alone_as_among_others(workspace: Workspace, value):
    workspace.write("store_status.csv", POLLS, f"1,active,{value}")
    workspace.ingest()
    assert workspace.instants() == {"1": ACCEPTED[value]}


def test_timestamp_parsing_is_independent_of_other_rows():
    all_of_them = [*ACCEPTED, *TOO_OLD, *REFUSED]
    texts = pd.Series(all_of_them, index=range(7, 7 + len(all_of_them)))
    together = parse_timestamps(texts.astype("str"))
    alone = [parse_timestamps(texts.astype("str").loc[[at]]) for at in texts.index]
    pd.testing.assert_series_equal(pd.concat(alone), together)
    assert together.isna().sum() == len(REFUSED)


def test_invalid_timestamp_is_a_bad_row(workspace: Workspace):
    workspace.write(
        "store_status.csv", POLLS, *(f"{n},active,{value}" for n, value in enumerate(REFUSED))
    )
    workspace.ingest()
    assert workspace.polls() == []
    assert [row_text for _, _, row_text, _ in workspace.quarantined()] == [
        f"{n},active,{value}" for n, value in enumerate(REFUSED)
    ]
    for _, _, row_text, reason in workspace.quarantined():
        assert reason.endswith("must be a timestamp like 2023-01-22 12:09:39.388884 UTC"), row_text


def test_poll_before_2000_is_a_bad_row(workspace: Workspace):
    rows = [f"{n},active,{value}" for n, value in enumerate(TOO_OLD)]
    workspace.write("store_status.csv", POLLS, *rows, f"a,active,{NOW:%Y-%m-%d}T00:00:00Z")
    workspace.ingest()
    assert [store for store, *_ in workspace.polls()] == ["a"]
    assert [row_text for _, row_text in workspace.bad_lines()] == rows
    assert workspace.quarantined()[0][3] == (
        "timestamp_utc is '1999-12-31 23:59:59.999999 UTC' and is before the year 2000: a "
        "placeholder, not a time"
    )


def test_poll_over_ten_minutes_in_the_future_is_a_bad_row(
    workspace: Workspace,
):
    microsecond = timedelta(microseconds=1)
    stamps = {
        "before": NOW - microsecond,
        "now": NOW,
        "exactly-ten": NOW + timedelta(minutes=10),
        "beyond-ten": NOW + timedelta(minutes=10) + microsecond,
        "far": NOW.replace(year=9999),
    }
    workspace.write(
        "store_status.csv",
        POLLS,
        *(f"{store},active,{at:%Y-%m-%d %H:%M:%S.%f} UTC" for store, at in stamps.items()),
        # ten minutes after now, in another time zone
        "elsewhere,active,2023-01-25T13:10:00-05:00",
        "elsewhere-late,active,2023-01-25T13:10:01-05:00",
        "out-of-this-world,active,9999-12-31 23:59:59-05:00",
    )
    workspace.ingest()
    assert list(workspace.instants()) == ["before", "elsewhere", "exactly-ten", "now"]
    late = [row_text.split(",")[0] for _, _, row_text, _ in workspace.quarantined()]
    assert late == ["beyond-ten", "far", "elsewhere-late", "out-of-this-world"]
    for *_, reason in workspace.quarantined():
        assert "more than ten minutes after the time of ingestion, 2023-01-25 18:00:00 UTC" in (
            reason
        )
