"""A file with too many bad rows fails the whole ingest."""

import pytest

from storemon_pipeline.ingestion.file_errors import IngestionError, TooManyBadRowsError
from storemon_pipeline_tests.helpers.workspace import HOURS, POLLS, ZONES, Workspace, poll_rows

GOOD_HOURS = [f"{n},0,09:00:00,17:00:00" for n in range(95)]
GOOD_ZONES = [f"{n},Asia/Tokyo" for n in range(95)]

FILES = {
    "store_status.csv": [POLLS, *poll_rows(range(95))],
    "menu_hours.csv": [HOURS, *GOOD_HOURS],
    "timezones.csv": [ZONES, *GOOD_ZONES],
}


@pytest.mark.parametrize("bad_file", FILES)
def test_bad_share_above_maximum_changes_no_table(either_workspace: Workspace, bad_file):
    workspace = either_workspace
    workspace.put_all()
    workspace.add("store_status.csv", "a bad row\n")
    workspace.ingest()
    before = workspace.dump()
    for name, lines in FILES.items():
        workspace.write(name, *lines, *(["bad"] * 6 if name == bad_file else []))
    with pytest.raises(TooManyBadRowsError):
        workspace.ingest(max_bad_share=0.05)
    assert workspace.dump() == before


def test_bad_share_error_names_counts_setting_and_first_row(workspace: Workspace):
    workspace.write("store_status.csv", *FILES["store_status.csv"], "", "no good", *["bad"] * 1_904)
    with pytest.raises(TooManyBadRowsError) as error:
        workspace.ingest(max_bad_share=0.05)
    assert isinstance(error.value, IngestionError)
    assert str(error.value) == (
        "store_status.csv was rejected: 1,905 of its 2,000 rows (95.2%) are bad, more than the 5.0% "
        "that STOREMON_MAX_BAD_SHARE allows. Nothing was changed. The first is line 98, "
        "'no good': 1 value, but the header has 3 columns"
    )
    bad = error.value.bad_rows
    assert list(bad.columns) == ["line_number", "row_text", "reason"]
    assert bad.iloc[0].tolist() == [98, "no good", "1 value, but the header has 3 columns"]
    assert len(bad) < 100


@pytest.mark.parametrize(("good", "bad", "share"), [(95, 5, 0.05), (19, 1, 0.05), (57, 3, 0.05)])
def test_bad_share_equal_to_maximum_is_accepted(workspace: Workspace, good, bad, share):
    workspace.write("store_status.csv", POLLS, *poll_rows(range(good)), *["bad"] * bad)
    result = workspace.ingest(max_bad_share=share)["store_status"]
    assert (result.total_rows, result.total_bad_rows) == (good + bad, bad)
    assert len(workspace.polls()) == good
    assert len(workspace.quarantined()) == bad


def test_blank_lines_do_not_count_as_rows(workspace: Workspace):
    workspace.write("store_status.csv", POLLS, *poll_rows(range(19)), *[""] * 50, "bad", "bad")
    with pytest.raises(TooManyBadRowsError, match="2 of its 21 rows"):
        workspace.ingest(max_bad_share=0.05)


def test_bad_share_of_0_rejects_any_and_of_1_accepts_all(workspace: Workspace):
    workspace.write("store_status.csv", POLLS, *poll_rows(range(999)), "bad")
    with pytest.raises(TooManyBadRowsError):
        workspace.ingest(max_bad_share=0)
    workspace.write("store_status.csv", POLLS, "bad", "bad")
    workspace.ingest(max_bad_share=1)
    assert len(workspace.quarantined()) == 2


def test_bad_share_is_that_of_the_whole_file(workspace: Workspace):
    workspace.write("store_status.csv", POLLS, *poll_rows(range(95)))
    workspace.ingest(max_bad_share=0.05)
    workspace.add("store_status.csv", "bad\n" * 5)
    workspace.ingest(max_bad_share=0.05)
    assert len(workspace.quarantined()) == 5
    workspace.add("store_status.csv", "bad\n")
    before = workspace.dump()
    with pytest.raises(TooManyBadRowsError, match="6 of its 101 rows"):
        workspace.ingest(max_bad_share=0.05)
    assert workspace.dump() == before


def test_rejected_file_is_ingested_once_corrected(either_workspace: Workspace):
    workspace = either_workspace
    workspace.write("store_status.csv", POLLS, *poll_rows("123"), "bad")
    with pytest.raises(TooManyBadRowsError):
        workspace.ingest(max_bad_share=0.05)
    workspace.write("store_status.csv", POLLS, *poll_rows("123"))
    workspace.ingest(max_bad_share=0.05)
    assert [store for store, _, _ in workspace.polls()] == ["1", "2", "3"]
    assert workspace.quarantined() == []
