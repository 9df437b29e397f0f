"""Store ids are text, and are stored unchanged to the last digit."""

import pytest
from pydantic import ValidationError

from storemon_pipeline.uptime.report_request import ReportSpec
from storemon_pipeline_tests.helpers.workspace import HOURS, POLLS, ZONES, Workspace, poll_rows

IDS = [
    "9222367000000000000",
    "9222367000000000001",
    "8139926242460185114",
    "18446744073709551616",
    "007",
    "7",
    "0",
    "1e5",
    "1.0",
    "0x10",
    "NaN",
    "null",
    "None",
    "true",
    "2023-01-25",
    "3fa85f64-5717-4562-b3fc-2c963f66afa6",
    "3FA85F64-5717-4562-B3FC-2C963F66AFA6",
    "a",
    "A",
    "a.b_c:d-e",
    "x" * 64,
]
NOT_IDS = [
    "",
    " ",
    "-1",
    "_a",
    ".5",
    "a/b",
    "a b",
    "x" * 65,
    "é1",
    "1é",
    "\uff11",
    "'1'",
    "1;DROP TABLE store_status",
    '"1,2"',
    '"1\t2"',
    "\ufeff1",
    "1\u200b",
]


def test_ids_are_stored_exactly_in_every_table(either_workspace: Workspace):
    workspace = either_workspace
    workspace.write("store_status.csv", POLLS, *poll_rows(IDS))
    workspace.write("menu_hours.csv", HOURS, *(f"{store},0,09:00:00,17:00:00" for store in IDS))
    workspace.write("timezones.csv", ZONES, *(f"{store},Asia/Tokyo" for store in IDS))
    workspace.ingest()
    assert workspace.quarantined() == []
    for table in ("store_status", "business_hours", "store_timezone"):
        assert [row[0] for row in workspace.rows(table)] == sorted(IDS)


def test_invalid_id_is_a_bad_row_in_every_file(workspace: Workspace):
    workspace.write("store_status.csv", POLLS, *poll_rows(NOT_IDS))
    workspace.write("menu_hours.csv", HOURS, *(f"{store},0,09:00:00,17:00:00" for store in NOT_IDS))
    workspace.write("timezones.csv", ZONES, *(f"{store},Asia/Tokyo" for store in NOT_IDS))
    workspace.ingest()
    for table in ("store_status", "business_hours", "store_timezone"):
        assert workspace.rows(table) == []
    assert len(workspace.quarantined()) == 3 * len(NOT_IDS)
    for _, _, row_text, reason in workspace.quarantined():
        assert "store_id is " in reason, row_text
        assert "must be a letter or digit followed by at most 63" in reason


def test_id_in_scientific_notation_gets_cause_and_remedy(workspace: Workspace):
    workspace.write("store_status.csv", POLLS)
    workspace.write("timezones.csv", ZONES, "2.57E+14,Asia/Tokyo", "8.13993E+18,x", "-1,Asia/Tokyo")
    workspace.ingest()
    reasons = [reason for _, _, _, reason in workspace.quarantined()]
    hint = "was rounded by a spreadsheet: export ids as text"
    assert [hint in reason for reason in reasons] == [True, True, False]


def test_requests_and_files_accept_the_same_ids():
    assert ReportSpec(store_ids=tuple(IDS)).store_ids == tuple(IDS)
    for store_id in (*NOT_IDS, "1\n"):
        with pytest.raises(ValidationError, match="a letter or digit followed by at most 63"):
            ReportSpec(store_ids=(store_id,))
