"""Special hours and service levels, both optional: valid and invalid rows."""

import pytest

from storemon_pipeline_tests.helpers.workspace import LEVELS, POLLS, SPECIAL, Workspace

NOT_DATES = [
    "",
    " ",
    "2023-02-29",
    "2023-13-01",
    "2023-12-00",
    "25.12.2023",
    "12/25/2023",
    "2023-12-25 00:00:00",
    "2023-12-25T00:00:00Z",
    "20231225",
    "23-12-25",
    "1899-12-31",
    "2201-01-01",
    "\u0662\u0660\u0662\u0663-12-25",
    "christmas",
]
NOT_TARGETS = [
    "",
    " ",
    "-1",
    "100.001",
    "101",
    "99.9999",
    "99,9",
    "99%",
    "1e2",
    ".5",
    "99.",
    "nan",
    "inf",
    "\u0669\u0669",
    "good",
]


@pytest.fixture
def open_workspace(workspace: Workspace) -> Workspace:
    """Return a workspace with a file of polls, without which nothing is ingested."""
    workspace.write("store_status.csv", POLLS)
    return workspace


def test_special_hours_are_stored_by_date(either_workspace: Workspace):
    workspace = either_workspace
    workspace.write("store_status.csv", POLLS)
    workspace.write(
        "special_hours.csv",
        SPECIAL,
        "1,2024-02-29,10:00,14:00:00",
        "1,2024-02-29,18:00:00.5,24:00",
        "1,2024-12-25,,",
        "2,1900-01-01,22:00,02:00",
        "2,2200-12-31, , ",
    )
    workspace.ingest()
    assert workspace.quarantined() == []
    assert workspace.rows("special_hours") == [
        ("1", "2024-02-29", "10:00:00", "14:00:00"),
        ("1", "2024-02-29", "18:00:00.500000", "24:00:00"),
        ("1", "2024-12-25", "", ""),
        ("2", "1900-01-01", "22:00:00", "02:00:00"),
        ("2", "2200-12-31", "", ""),
    ]


def test_invalid_date_is_quarantined_with_reason(open_workspace: Workspace):
    rows = [f"1,{value},09:00,17:00" for value in NOT_DATES]
    open_workspace.write("special_hours.csv", SPECIAL, *rows)
    open_workspace.ingest()
    assert open_workspace.rows("special_hours") == []
    bad = open_workspace.quarantined()
    assert [(file, line, row) for file, line, row, _ in bad] == [
        ("special_hours.csv", 2 + at, row) for at, row in enumerate(rows)
    ]
    for value, (*_, reason) in zip(NOT_DATES, bad, strict=True):
        shown = f"is {value!r}" if value.strip() else "is empty"
        assert reason == f"date {shown} and must be a date like 2023-12-25, from 1900 to 2200"


@pytest.mark.parametrize(
    ("times", "reason"),
    [
        (
            ",17:00",
            "start_time_local is empty and must be a time of day from 00:00:00 to 23:59:59, or both times empty: closed",
        ),
        (
            "09:00,",
            "end_time_local is empty and must be a time of day from 00:00:00 to 24:00:00, or both times empty: closed",
        ),
        (
            "24:00,17:00",
            "start_time_local is '24:00' and must be a time of day from 00:00:00 to 23:59:59, or both times empty: closed",
        ),
        (
            "09:00,24:01",
            "end_time_local is '24:01' and must be a time of day from 00:00:00 to 24:00:00, or both times empty: closed",
        ),
    ],
)
def test_single_or_invalid_special_time_is_quarantined(
    open_workspace: Workspace, times: str, reason: str
):
    open_workspace.write("special_hours.csv", SPECIAL, f"1,2024-12-25,{times}", "2,2024-12-25,,")
    open_workspace.ingest()
    assert [reason_text for *_, reason_text in open_workspace.quarantined()] == [reason]
    assert open_workspace.rows("special_hours") == [("2", "2024-12-25", "", "")]


def test_targets_have_at_most_three_decimals(either_workspace: Workspace):
    workspace = either_workspace
    workspace.write("store_status.csv", POLLS)
    targets = {"a": "99", "b": "99.999", "c": "0", "d": "100", "e": " 95.5 ", "f": "100.000"}
    workspace.write(
        "service_levels.csv", LEVELS, *(f"{store},{pct}" for store, pct in targets.items())
    )
    workspace.ingest()
    assert workspace.quarantined() == []
    assert workspace.rows("service_level") == [
        (store, float(pct)) for store, pct in targets.items()
    ]


def test_invalid_target_is_quarantined_with_reason(open_workspace: Workspace):
    quoted = [f'1,"{value}"' if "," in value else f"1,{value}" for value in NOT_TARGETS]
    open_workspace.write("service_levels.csv", LEVELS, *quoted, "2,98")
    open_workspace.ingest()
    assert open_workspace.rows("service_level") == [("2", 98.0)]
    for value, (*_, reason) in zip(NOT_TARGETS, open_workspace.quarantined(), strict=True):
        shown = f"is {value!r}" if value.strip() else "is empty"
        assert reason == (
            f"target_pct {shown} and must be a percentage from 0 to 100, "
            "with at most three decimals"
        )


def test_later_target_of_a_store_wins(open_workspace: Workspace):
    open_workspace.write("service_levels.csv", LEVELS, "1,90", "1,95")
    open_workspace.ingest()
    assert open_workspace.rows("service_level") == [("1", 95.0)]


@pytest.mark.parametrize(
    ("name", "table", "header", "first", "second"),
    [
        ("special_hours.csv", "special_hours", SPECIAL, "1,2024-12-25,,", "2,2024-12-26,,"),
        ("service_levels.csv", "service_level", LEVELS, "1,90", "2,95"),
    ],
)
def test_new_file_replaces_table_and_missing_one_does_not(
    open_workspace: Workspace, name: str, table: str, header: str, first: str, second: str
):
    open_workspace.ingest(min_snapshot_share=0)
    assert open_workspace.rows(table) == []
    open_workspace.write(name, header, first)
    open_workspace.ingest(min_snapshot_share=0)
    assert [row[0] for row in open_workspace.rows(table)] == ["1"]
    path = open_workspace.write(name, header, second)
    open_workspace.ingest(min_snapshot_share=0)
    assert [row[0] for row in open_workspace.rows(table)] == ["2"]
    path.unlink()
    open_workspace.ingest(min_snapshot_share=0)
    assert [row[0] for row in open_workspace.rows(table)] == ["2"]
    open_workspace.write(name, header)
    open_workspace.ingest(min_snapshot_share=0)
    assert open_workspace.rows(table) == []
