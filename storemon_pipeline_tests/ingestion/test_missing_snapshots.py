"""Opening hours and time zones need not be there; what is known of them then stays known."""

import pytest

from storemon_pipeline_tests.helpers.workspace import HOURS, POLLS, ZONES, Workspace

FILES = {
    "menu_hours.csv": ("business_hours", HOURS, "menu_hours.csv or business_hours.csv"),
    "timezones.csv": ("store_timezone", ZONES, "timezones.csv or store_timezones.csv"),
}


@pytest.mark.parametrize("name", FILES)
def test_without_its_file_a_table_stays_as_it_is_and_the_log_warns(
    either_workspace: Workspace, caplog, name
):
    place = either_workspace
    table, _, names = FILES[name]
    place.put_all()
    place.ingest()
    before = place.rows(table)
    (place.data_dir / name).unlink()
    caplog.clear()
    report = place.ingest()[table]
    assert place.rows(table) == before != []
    assert (report.files, report.table_rows) == ([], 1)
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == [
        f"There is no {names} in {place.data_dir}: {table} stays as it is, with 1 row"
    ]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("newline", ["\n", ""])
def test_with_nothing_but_a_header_a_table_becomes_empty(
    either_workspace: Workspace, caplog, name, newline
):
    place = either_workspace
    table, header, _ = FILES[name]
    place.put_all()
    place.ingest()
    caplog.clear()
    place.put_bytes(name, (header + newline).encode())
    (file,) = place.ingest(min_snapshot_share=0)[table].files
    assert place.rows(table) == []
    assert (file.reading, file.rows, file.partial_line) == ("changed", 0, None)
    assert "cut" not in caplog.text
    (file,) = place.ingest()[table].files
    assert file.reading == "unchanged"


@pytest.mark.parametrize("newline", ["\n", ""])
def test_polls_may_be_nothing_but_a_header_too(workspace: Workspace, newline):
    workspace.put_bytes("store_status.csv", (POLLS + newline).encode())
    report = workspace.ingest()["store_status"]
    assert (report.total_rows, report.table_rows) == (0, 0)
    assert report.files[0].bad_share == 0
    workspace.write("store_status.csv", POLLS, "1,active,2023-01-25 10:00:00")
    assert workspace.take_in_polls().reading == "grown"
    assert workspace.instants() == {"1": "2023-01-25 10:00:00"}
