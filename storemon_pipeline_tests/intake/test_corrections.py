"""Two polls of one store at one instant: the later row wins, however far apart the two are."""

import pytest

from storemon_pipeline.intake import content
from storemon_pipeline_tests.intake.place import POLLS, Place, poll_rows

AT = "2023-01-25 10:00:00"


def status(place: Place) -> str:
    """The status of store 1, which has one poll."""
    ((at, status),) = [(at, status) for store, at, status in place.polls() if store == "1"]
    assert at == AT
    return status


def test_of_two_rows_of_a_file_the_later_one_wins(either_place: Place):
    place = either_place
    place.put(
        "store_status.csv",
        POLLS,
        f"1,active,{AT} UTC",
        f"2,inactive,{AT} UTC",
        f"1,inactive,{AT} UTC",
        f"2,active,{AT} UTC",
        f"2,inactive,{AT}.000001 UTC",
    )
    place.take_in()
    assert place.polls() == [
        ("1", AT, "inactive"),
        ("2", AT, "active"),
        ("2", f"{AT}.000001", "inactive"),
    ]


def test_the_same_instant_is_the_same_however_it_is_written(place: Place):
    stamps = [f"{AT} UTC", f"{AT}.000 UTC", "2023-01-25T10:00:00Z", "2023-01-25 15:30:00+05:30"]
    rows = [f"1,{said},{at}" for at in stamps for said in ("inactive", "active")]
    place.put("store_status.csv", POLLS, *rows, f"1,inactive,{AT}.0")
    place.take_in()
    assert status(place) == "inactive"


@pytest.mark.parametrize("between", [1, 20])
def test_the_later_row_wins_across_blocks_of_a_file(either_place: Place, monkeypatch, between: int):
    place = either_place
    monkeypatch.setattr(content, "BLOCK_BYTES", 64)
    others = poll_rows(f"other{n}" for n in range(between))
    place.put("store_status.csv", POLLS, f"1,active,{AT}", *others, f"1,inactive,{AT}")
    place.take_in()
    assert status(place) == "inactive"


def test_a_bad_row_corrects_nothing(place: Place):
    place.put("store_status.csv", POLLS, f"1,active,{AT}", f"1,closed,{AT}", f"1,inactive,{AT} EST")
    place.take_in()
    assert status(place) == "active"


def test_a_later_file_corrects_an_earlier_one_by_name(either_place: Place):
    place = either_place
    place.put("store_status_2023-01-25T18.csv", POLLS, f"1,inactive,{AT}", f"2,inactive,{AT}")
    place.put("store_status_2023-01-25T19.csv", POLLS, f"2,active,{AT}")
    place.put("store_status.csv", POLLS, f"1,active,{AT}", f"2,active,{AT}")
    place.take_in()
    assert place.polls() == [("1", AT, "inactive"), ("2", AT, "active")]


def test_a_later_ingestion_corrects_an_earlier_one(either_place: Place):
    place = either_place
    place.put("store_status.csv", POLLS, f"1,active,{AT}")
    place.take_in()
    place.add("store_status.csv", f"1,inactive,{AT}\n")
    place.take_in()
    assert status(place) == "inactive"
    place.put("store_status_2.csv", POLLS, f"1,active,{AT}")
    place.take_in()
    assert status(place) == "active"
    place.put("store_status_1.csv", POLLS, f"1,inactive,{AT}")
    place.take_in()
    assert status(place) == "inactive"


def test_a_file_that_is_put_back_as_it_was_undoes_its_corrections(place: Place):
    place.put("store_status.csv", POLLS, f"1,active,{AT}")
    place.take_in()
    place.put("store_status.csv", POLLS, f"1,inactive,{AT}")
    place.take_in()
    assert status(place) == "inactive"
    place.put("store_status.csv", POLLS, f"1,active,{AT}")
    place.take_in()
    assert status(place) == "active"


def test_a_file_that_becomes_the_same_as_another_corrects_what_it_said_before(place: Place):
    place.put("store_status.csv", POLLS, f"1,active,{AT}")
    place.put("store_status_2.csv", POLLS, f"1,inactive,{AT}")
    place.take_in()
    assert status(place) == "inactive"
    place.put("store_status_2.csv", POLLS, f"1,active,{AT}")
    place.take_in()
    assert status(place) == "active"
