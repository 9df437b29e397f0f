"""Messages stay short, however long a value of the input is."""

import logging

import pytest

from storemon_pipeline.defs.metadata import preview, records_metadata
from storemon_pipeline.ingestion.file_errors import IngestionError
from storemon_pipeline.storage.ingest_log import SHOWN_CHARACTERS, read_bad_rows
from storemon_pipeline.uptime.messages import MAX_MESSAGE
from storemon_pipeline_tests.helpers.workspace import POLLS, ZONES, Workspace, poll_rows, text

LONG = "x" * 1_000_000

HOPELESS = {
    "one value": (POLLS, LONG),
    "a store id": (POLLS, f"{LONG},active,2023-01-25 10:00:00Z"),
    "every value": (POLLS, f"{LONG},{LONG},{LONG}"),
    "an open quote": (POLLS, f'"{LONG},active,2023-01-25 10:00:00Z'),
    "two such columns": (f"{POLLS},store{'_' * 900_000}id", "1"),
    "no such column": (f"store_id,status,{LONG}", "1"),
    "many columns": (",".join(f"column{n}" for n in range(50_000)), "1"),
}


@pytest.mark.parametrize("lines", HOPELESS.values(), ids=list(HOPELESS))
def test_error_of_long_values_is_short(workspace: Workspace, lines):
    workspace.write("store_status.csv", *lines)
    with pytest.raises(IngestionError) as error:
        workspace.ingest(max_bad_share=0)
    assert len(str(error.value)) < MAX_MESSAGE
    assert "store_status.csv" in str(error.value)


def test_long_bad_row_is_kept_whole_and_shown_cut(either_workspace: Workspace, caplog):
    workspace = either_workspace
    workspace.put_all()
    row = f"{LONG},{LONG},{LONG}"
    workspace.write("store_status.csv", POLLS, *poll_rows([1]), row)
    workspace.add("store_status.csv", LONG)
    workspace.write("timezones.csv", ZONES, f"1,{LONG}")
    with caplog.at_level(logging.INFO):
        result = workspace.ingest()["store_status"].files[0]
    assert (2 + 1, row) in workspace.bad_lines()
    assert max(len(reason) for *_, reason in workspace.quarantined()) < MAX_MESSAGE
    assert result.first_bad_rows["row_text"].str.len().tolist() == [SHOWN_CHARACTERS]
    with workspace.database.read() as connection:
        shown = read_bad_rows(connection, "store_status.csv", 20)
    assert shown["row_text"].tolist() == [LONG[:SHOWN_CHARACTERS]]
    assert max(len(record.getMessage()) for record in caplog.records) < MAX_MESSAGE


def test_tables_in_the_ui_cut_long_values(workspace: Workspace):
    workspace.put_bytes("store_status.csv", text(POLLS, LONG))
    result = workspace.ingest_polls()
    rows = result.first_bad_rows.assign(row_text=LONG)
    assert len(str(records_metadata(rows))) < 2 * MAX_MESSAGE
    assert len(str(preview(rows))) < 2 * MAX_MESSAGE
