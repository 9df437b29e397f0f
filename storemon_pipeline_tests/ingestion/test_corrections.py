"""Two polls of one store at one instant: the later row wins, however far apart the two are."""

import pytest

from storemon_pipeline.ingestion import line_reader
from storemon_pipeline_tests.helpers.workspace import POLLS, Workspace, poll_rows

AT = "2023-01-25 10:00:00"


def status(place: Workspace) -> str:
    """The status of store 1, which has one poll."""
    ((at, status),) = [(at, status) for store, at, status in place.polls() if store == "1"]
    assert at == AT
    return status


def test_of_two_rows_of_a_file_the_later_one_wins(either_workspace: Workspace):
    place = either_workspace
    place.write(
        "store_status.csv",
        POLLS,
        f"1,active,{AT} UTC",
        f"2,inactive,{AT} UTC",
        f"1,inactive,{AT} UTC",
        f"2,active,{AT} UTC",
        f"2,inactive,{AT}.000001 UTC",
    )
    place.ingest()
    assert place.polls() == [
        ("1", AT, "inactive"),
        ("2", AT, "active"),
        ("2", f"{AT}.000001", "inactive"),
    ]


def test_the_same_instant_is_the_same_however_it_is_written(workspace: Workspace):
    stamps = [f"{AT} UTC", f"{AT}.000 UTC", "2023-01-25T10:00:00Z", "2023-01-25 15:30:00+05:30"]
    rows = [f"1,{said},{at}" for at in stamps for said in ("inactive", "active")]
    workspace.write("store_status.csv", POLLS, *rows, f"1,inactive,{AT}.0")
    workspace.ingest()
    assert status(workspace) == "inactive"


@pytest.mark.parametrize("between", [1, 20])
def test_the_later_row_wins_across_blocks_of_a_file(
    either_workspace: Workspace, monkeypatch, between: int
):
    place = either_workspace
    monkeypatch.setattr(line_reader, "BLOCK_BYTES", 64)
    others = poll_rows(f"other{n}" for n in range(between))
    place.write("store_status.csv", POLLS, f"1,active,{AT}", *others, f"1,inactive,{AT}")
    place.ingest()
    assert status(place) == "inactive"


def test_a_bad_row_corrects_nothing(workspace: Workspace):
    workspace.write(
        "store_status.csv", POLLS, f"1,active,{AT}", f"1,closed,{AT}", f"1,inactive,{AT} EST"
    )
    workspace.ingest()
    assert status(workspace) == "active"


def test_a_later_file_corrects_an_earlier_one_by_name(either_workspace: Workspace):
    place = either_workspace
    place.write("store_status_2023-01-25T18.csv", POLLS, f"1,inactive,{AT}", f"2,inactive,{AT}")
    place.write("store_status_2023-01-25T19.csv", POLLS, f"2,active,{AT}")
    place.write("store_status.csv", POLLS, f"1,active,{AT}", f"2,active,{AT}")
    place.ingest()
    assert place.polls() == [("1", AT, "inactive"), ("2", AT, "active")]


def test_a_later_ingestion_corrects_an_earlier_one(either_workspace: Workspace):
    place = either_workspace
    place.write("store_status.csv", POLLS, f"1,active,{AT}")
    place.ingest()
    place.add("store_status.csv", f"1,inactive,{AT}\n")
    place.ingest()
    assert status(place) == "inactive"
    place.write("store_status_2.csv", POLLS, f"1,active,{AT}")
    place.ingest()
    assert status(place) == "active"
    place.write("store_status_1.csv", POLLS, f"1,inactive,{AT}")
    place.ingest()
    assert status(place) == "inactive"


def test_a_file_that_is_put_back_as_it_was_undoes_its_corrections(workspace: Workspace):
    workspace.write("store_status.csv", POLLS, f"1,active,{AT}")
    workspace.ingest()
    workspace.write("store_status.csv", POLLS, f"1,inactive,{AT}")
    workspace.ingest()
    assert status(workspace) == "inactive"
    workspace.write("store_status.csv", POLLS, f"1,active,{AT}")
    workspace.ingest()
    assert status(workspace) == "active"


def test_a_file_that_becomes_the_same_as_another_corrects_what_it_said_before(workspace: Workspace):
    workspace.write("store_status.csv", POLLS, f"1,active,{AT}")
    workspace.write("store_status_2.csv", POLLS, f"1,inactive,{AT}")
    workspace.ingest()
    assert status(workspace) == "inactive"
    workspace.write("store_status_2.csv", POLLS, f"1,active,{AT}")
    workspace.ingest()
    assert status(workspace) == "active"
