"""Opening hours and time zones: valid and invalid rows."""

import pytest

from storemon_pipeline.ingestion.file_errors import IngestionError
from storemon_pipeline_tests.helpers.workspace import HOURS, POLLS, ZONES, Workspace

TIMES = {
    "09:00": "09:00:00",
    "9:00": "09:00:00",
    "09:00:00": "09:00:00",
    "00:00:00": "00:00:00",
    "23:59:59": "23:59:59",
    "23:59:59.999999": "23:59:59.999999",
    "08:30:15.5": "08:30:15.500000",
}
NOT_TIMES = [
    "",
    " ",
    "9",
    "0900",
    "09:60",
    "09:00:60",
    "25:00:00",
    "25:00",
    "24:00:01",
    "-09:00",
    "+09:00",
    "9am",
    "09:00 AM",
    "noon",
    "09:00:00.1234567",
    "09:00:00Z",
    "2023-01-25 09:00:00",
    "9.5",
    "009:00",
    "\u0660\u0669:\u0660\u0660",
    "1 days 09:00:00",
]


def test_wall_times_keep_seconds_and_fraction(either_workspace: Workspace):
    workspace = either_workspace
    workspace.write("store_status.csv", POLLS)
    workspace.write(
        "menu_hours.csv", HOURS, *(f"{n},0,{value},{value}" for n, value in enumerate(TIMES))
    )
    workspace.ingest()
    assert workspace.quarantined() == []
    assert workspace.rows("business_hours") == [
        (str(n), 0, time, time) for n, time in enumerate(TIMES.values())
    ]


def test_midnight_as_24_is_an_end_but_not_a_start(workspace: Workspace):
    workspace.write("store_status.csv", POLLS)
    workspace.write(
        "menu_hours.csv",
        HOURS,
        "ends,0,09:00:00,24:00:00",
        "ends-too,0,09:00,24:00",
        "starts,0,24:00:00,09:00:00",
    )
    workspace.ingest()
    assert [row[0] for row in workspace.rows("business_hours")] == ["ends", "ends-too"]
    ((_, line, _, reason),) = workspace.quarantined()
    assert line == 4
    assert reason == (
        "start_time_local is '24:00:00' and must be a time of day from 00:00:00 to 23:59:59"
    )


def test_invalid_wall_time_is_a_bad_row(workspace: Workspace):
    workspace.write("store_status.csv", POLLS)
    workspace.write(
        "menu_hours.csv",
        HOURS,
        *(f"{n},0,{value},17:00:00" for n, value in enumerate(NOT_TIMES)),
        *(f"{n},0,09:00:00,{value}" for n, value in enumerate(NOT_TIMES)),
    )
    workspace.ingest()
    assert workspace.rows("business_hours") == []
    reasons = [reason for *_, reason in workspace.quarantined()]
    assert len(reasons) == 2 * len(NOT_TIMES)
    for column, some in (
        ("start_time_local", reasons[: len(NOT_TIMES)]),
        ("end_time_local", reasons[len(NOT_TIMES) :]),
    ):
        assert all(reason.startswith(f"{column} is ") for reason in some)
        assert all("must be a time of day" in reason for reason in some)


def test_end_at_or_before_start_is_accepted(workspace: Workspace):
    workspace.write("store_status.csv", POLLS)
    workspace.write("menu_hours.csv", HOURS, "1,0,22:00:00,02:00:00", "1,1,00:00:00,00:00:00")
    workspace.ingest()
    assert workspace.quarantined() == []
    assert len(workspace.rows("business_hours")) == 2


def test_weekdays_are_0_to_6(workspace: Workspace):
    good, bad = list("0123456"), ["7", "-1", "", " ", "1.0", "00", "Monday", "\u0661", "a"]
    workspace.write("store_status.csv", POLLS)
    workspace.write("menu_hours.csv", HOURS, *(f"1,{day},09:00:00,17:00:00" for day in good + bad))
    workspace.ingest()
    assert [row[1] for row in workspace.rows("business_hours")] == list(range(7))
    reasons = [reason for *_, reason in workspace.quarantined()]
    assert len(reasons) == len(bad)
    assert reasons[0] == "day_of_week is '7' and must be 0 (Monday) to 6 (Sunday)"
    assert all(reason.endswith("must be 0 (Monday) to 6 (Sunday)") for reason in reasons)


def test_openings_of_a_day_are_stored_without_duplicates(
    either_workspace: Workspace,
):
    workspace = either_workspace
    workspace.write("store_status.csv", POLLS)
    workspace.write(
        "menu_hours.csv",
        HOURS,
        "1,0,09:00:00,12:00:00",
        "1,0,13:00:00,17:00:00",
        "1,0,09:00,12:00",
    )
    result = workspace.ingest()["business_hours"]
    assert workspace.rows("business_hours") == [
        ("1", 0, "09:00:00", "12:00:00"),
        ("1", 0, "13:00:00", "17:00:00"),
    ]
    assert (result.total_rows, result.table_rows) == (3, 2)


def test_row_with_several_faults_has_one_combined_reason(workspace: Workspace):
    workspace.write("store_status.csv", POLLS)
    workspace.write("menu_hours.csv", HOURS, "-1,9,,25:00")
    workspace.ingest()
    ((_, _, _, reason),) = workspace.quarantined()
    assert [part.split(" ")[0] for part in reason.split("; ")] == [
        "store_id",
        "day_of_week",
        "start_time_local",
        "end_time_local",
    ]


def test_last_known_zone_of_a_store_wins(either_workspace: Workspace):
    workspace = either_workspace
    workspace.write("store_status.csv", POLLS)
    workspace.write(
        "timezones.csv",
        ZONES,
        "1,America/Nowhere",
        "2,Asia/Tokyo",
        "3,",
        "4, ",
        "2,America/New_York",
    )
    workspace.ingest()
    assert workspace.rows("store_timezone") == [("2", "America/New_York")]
    assert workspace.bad_lines() == [(2, "1,America/Nowhere"), (4, "3,"), (5, "4, ")]
    for *_, reason in workspace.quarantined()[1:]:
        assert reason == "timezone_str is empty and must name a time zone, such as America/New_York"


def test_days_from_1_to_7_are_rejected_with_hint(workspace: Workspace):
    rows = [f"1,{day},09:00:00,17:00:00" for day in (2, 3, 4, 5, 6, 7, 1)]
    workspace.write("store_status.csv", POLLS)
    workspace.write("menu_hours.csv", HOURS, *rows * 9)
    with pytest.raises(IngestionError, match=r"menu_hours.csv .* day 7 and no day 0.*0 \(Monday\)"):
        workspace.ingest()
    assert workspace.rows("business_hours") == []


def test_day_7_beside_day_0_is_a_bad_row(workspace: Workspace):
    workspace.write("store_status.csv", POLLS)
    workspace.write("menu_hours.csv", HOURS, *(f"1,{day},09:00:00,17:00:00" for day in (7, 1, 0)))
    workspace.ingest()
    assert [row[1] for row in workspace.rows("business_hours")] == [0, 1]
    assert [line for line, _ in workspace.bad_lines()] == [2]
