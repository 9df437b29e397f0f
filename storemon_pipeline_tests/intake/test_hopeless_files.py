"""A file that is hopeless is refused early; bad rows that are accepted are written as they come."""

import gzip

import pytest

from storemon_pipeline.intake import bad_rows, content, raw_file
from storemon_pipeline.intake.errors import IntakeError, TooManyBadRowsError
from storemon_pipeline_tests.intake.place import HOURS, POLLS, Place, gz, poll_rows, text

NUL = "is not read so far\0"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a block have ten lines, and a file be judged after a hundred rows."""
    monkeypatch.setattr(content, "BLOCK_LINES", 10)
    monkeypatch.setattr(bad_rows, "JUDGED_ROWS", 100)
    monkeypatch.setattr(raw_file, "UNPACKED_FLOOR", 2000)


@pytest.mark.usefixtures("small")
def test_hopeless_file_is_refused_before_its_end(place: Place, monkeypatch):
    monkeypatch.setattr(content, "BLOCK_BYTES", 100)
    place.put("store_status.csv", POLLS, *["x"] * 300, NUL)
    with pytest.raises(TooManyBadRowsError, match=r"(\d+) of its first \1 rows \(100.0%\) are bad"):
        place.take_in(max_bad_share=0.05)
    with pytest.raises(IntakeError, match="NUL byte in line 302"):
        place.take_in(max_bad_share=1)


@pytest.mark.usefixtures("small")
def test_file_with_few_bad_rows_is_read_to_its_end(place: Place):
    place.put("store_status.csv", POLLS, *poll_rows(range(190)), *["x"] * 10)
    assert place.take_in(max_bad_share=0.05)["store_status"].total_bad_rows == 10


@pytest.mark.usefixtures("small")
def test_bad_rows_of_many_blocks_are_all_kept(either_place: Place):
    place = either_place
    rows = [f"bad {n}" for n in range(300)]
    place.put("store_status.csv", POLLS, *rows)
    report = place.take_in_polls()
    assert place.bad_lines() == list(enumerate(rows, 2))
    assert (report.bad_rows, report.total_bad_rows) == (300, 300)
    assert report.first_bad_rows["row_text"].tolist() == rows[:20]
    (reading,) = place.rows("ingested_file")
    assert (reading[7], reading[8]) == (300, 300)
    place.add("store_status.csv", "bad too\n")
    assert place.take_in_polls().total_bad_rows == 301


@pytest.mark.usefixtures("small")
def test_days_from_one_are_named_before_the_bad_share(place: Place):
    place.put_all()
    rows = [f"{store},{day},09:00,17:00" for store in range(30) for day in range(1, 8)]
    place.put("menu_hours.csv", HOURS, *rows)
    with pytest.raises(IntakeError, match="a day 7 and no day 0"):
        place.take_in(max_bad_share=0.05)


@pytest.mark.usefixtures("small")
def test_file_that_unpacks_to_too_much_is_refused(place: Place):
    packed = gz(text(POLLS) + b"\n" * 100_000)
    place.put_bytes("store_status.csv.gz", packed)
    with pytest.raises(IntakeError) as refusal:
        place.take_in(max_expansion=20)
    assert str(refusal.value) == (
        "store_status.csv.gz is refused: unpacked it is more than 20 times its "
        f"{len(packed):,} bytes, the most that STOREMON_MAX_EXPANSION accepts. If it is meant, set "
        "that higher, or unpack the file. Nothing was changed."
    )
    place.take_in(max_expansion=1000)


@pytest.mark.usefixtures("small")
def test_expansion_is_bounded_while_comparing_hashes(place: Place):
    place.put_bytes("store_status.csv.gz", gz(text(POLLS, *poll_rows([1]))))
    place.take_in(max_expansion=1)
    place.put_bytes("store_status.csv.gz", gz(text(POLLS, *poll_rows([1])) + b"\n" * 100_000))
    with pytest.raises(IntakeError, match="STOREMON_MAX_EXPANSION"):
        place.take_in(max_expansion=20)


def test_small_file_may_unpack_to_many_times_its_size(place: Place):
    place.put_bytes("store_status.csv.gz", gzip.compress(text(POLLS) + b"\n" * 1_000_000))
    assert place.take_in(max_expansion=1)["store_status"].total_rows == 0
