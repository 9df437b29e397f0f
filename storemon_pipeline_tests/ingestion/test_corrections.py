"""Two polls of one store at one instant: the later row wins, regardless of the distance."""

import pytest

from storemon_pipeline.ingestion import line_reader
from storemon_pipeline_tests.helpers.workspace import POLLS, Workspace, poll_rows

AT = "2023-01-25 10:00:00"


def status(workspace: Workspace) -> str:
    """Return the status of store 1, which has one poll."""
    ((at, status),) = [(at, status) for store, at, status in workspace.polls() if store == "1"]
    assert at == AT
    return status


def test_later_row_of_a_file_wins(either_workspace: Workspace):
    workspace = either_workspace
    workspace.write(
        "store_status.csv",
        POLLS,
        f"1,active,{AT} UTC",
        f"2,inactive,{AT} UTC",
        f"1,inactive,{AT} UTC",
        f"2,active,{AT} UTC",
        f"2,inactive,{AT}.000001 UTC",
    )
    workspace.ingest()
    assert workspace.polls() == [
        ("1", AT, "inactive"),
        ("2", AT, "active"),
        ("2", f"{AT}.000001", "inactive"),
    ]


def test_notations_of_one_instant_are_one_poll(workspace: Workspace):
    stamps = [f"{AT} UTC", f"{AT}.000 UTC", "2023-01-25T10:00:00Z", "2023-01-25 15:30:00+05:30"]
    rows = [f"1,{value},{at}" for at in stamps for value in ("inactive", "active")]
    workspace.write("store_status.csv", POLLS, *rows, f"1,inactive,{AT}.0")
    workspace.ingest()
    assert status(workspace) == "inactive"


@pytest.mark.parametrize("between", [1, 20])
def test_later_row_wins_across_blocks(either_workspace: Workspace, monkeypatch, between: int):
    workspace = either_workspace
    monkeypatch.setattr(line_reader, "BLOCK_BYTES", 64)
    others = poll_rows(f"other{n}" for n in range(between))
    workspace.write("store_status.csv", POLLS, f"1,active,{AT}", *others, f"1,inactive,{AT}")
    workspace.ingest()
    assert status(workspace) == "inactive"


def test_bad_row_corrects_nothing(workspace: Workspace):
    workspace.write(
        "store_status.csv", POLLS, f"1,active,{AT}", f"1,closed,{AT}", f"1,inactive,{AT} EST"
    )
    workspace.ingest()
    assert status(workspace) == "active"


def test_later_file_name_corrects_earlier_one(either_workspace: Workspace):
    workspace = either_workspace
    workspace.write("store_status_2023-01-25T18.csv", POLLS, f"1,inactive,{AT}", f"2,inactive,{AT}")
    workspace.write("store_status_2023-01-25T19.csv", POLLS, f"2,active,{AT}")
    workspace.write("store_status.csv", POLLS, f"1,active,{AT}", f"2,active,{AT}")
    workspace.ingest()
    assert workspace.polls() == [("1", AT, "inactive"), ("2", AT, "active")]


def test_later_ingest_corrects_earlier_one(either_workspace: Workspace):
    workspace = either_workspace
    workspace.write("store_status.csv", POLLS, f"1,active,{AT}")
    workspace.ingest()
    workspace.add("store_status.csv", f"1,inactive,{AT}\n")
    workspace.ingest()
    assert status(workspace) == "inactive"
    workspace.write("store_status_2.csv", POLLS, f"1,active,{AT}")
    workspace.ingest()
    assert status(workspace) == "active"
    workspace.write("store_status_1.csv", POLLS, f"1,inactive,{AT}")
    workspace.ingest()
    assert status(workspace) == "inactive"


def test_restored_file_reverts_its_corrections(workspace: Workspace):
    workspace.write("store_status.csv", POLLS, f"1,active,{AT}")
    workspace.ingest()
    workspace.write("store_status.csv", POLLS, f"1,inactive,{AT}")
    workspace.ingest()
    assert status(workspace) == "inactive"
    workspace.write("store_status.csv", POLLS, f"1,active,{AT}")
    workspace.ingest()
    assert status(workspace) == "active"


def test_file_that_becomes_a_copy_corrects_its_old_content(workspace: Workspace):
    workspace.write("store_status.csv", POLLS, f"1,active,{AT}")
    workspace.write("store_status_2.csv", POLLS, f"1,inactive,{AT}")
    workspace.ingest()
    assert status(workspace) == "inactive"
    workspace.write("store_status_2.csv", POLLS, f"1,active,{AT}")
    workspace.ingest()
    assert status(workspace) == "active"
