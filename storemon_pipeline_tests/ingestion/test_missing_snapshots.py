"""Opening hours and time zones are optional; without a file, the table stays unchanged."""

import pytest

from storemon_pipeline_tests.helpers.workspace import HOURS, POLLS, ZONES, Workspace

FILES = {
    "menu_hours.csv": ("business_hours", HOURS, "menu_hours.csv or business_hours.csv"),
    "timezones.csv": ("store_timezone", ZONES, "timezones.csv or store_timezones.csv"),
}


@pytest.mark.parametrize("name", FILES)
def test_missing_file_leaves_table_unchanged_with_warning(
    either_workspace: Workspace, caplog, name
):
    workspace = either_workspace
    table, _, names = FILES[name]
    workspace.put_all()
    workspace.ingest()
    before = workspace.rows(table)
    (workspace.data_dir / name).unlink()
    caplog.clear()
    result = workspace.ingest()[table]
    assert workspace.rows(table) == before != []
    assert (result.files, result.table_rows) == ([], 1)
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == [f"No {names} in {workspace.data_dir}: {table} is unchanged, with 1 row"]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("newline", ["\n", ""])
def test_header_only_snapshot_empties_table(either_workspace: Workspace, caplog, name, newline):
    workspace = either_workspace
    table, header, _ = FILES[name]
    workspace.put_all()
    workspace.ingest()
    caplog.clear()
    workspace.put_bytes(name, (header + newline).encode())
    (file,) = workspace.ingest(min_snapshot_share=0)[table].files
    assert workspace.rows(table) == []
    assert (file.reading, file.rows, file.partial_line) == ("changed", 0, None)
    assert "cut" not in caplog.text
    (file,) = workspace.ingest()[table].files
    assert file.reading == "unchanged"


@pytest.mark.parametrize("newline", ["\n", ""])
def test_header_only_polls_are_accepted(workspace: Workspace, newline):
    workspace.put_bytes("store_status.csv", (POLLS + newline).encode())
    result = workspace.ingest()["store_status"]
    assert (result.total_rows, result.table_rows) == (0, 0)
    assert result.files[0].bad_share == 0
    workspace.write("store_status.csv", POLLS, "1,active,2023-01-25 10:00:00")
    assert workspace.ingest_polls().reading == "appended"
    assert workspace.instants() == {"1": "2023-01-25 10:00:00"}
