"""The fingerprint of the data directory differs whenever there is something new to ingest."""

import os

import pytest

from storemon_pipeline.intake.errors import IntakeError
from storemon_pipeline.intake.recognition import fingerprint
from storemon_pipeline_tests.intake.place import Place


def test_it_changes_with_every_change_of_a_file_that_would_be_read(place: Place):
    seen = [fingerprint(place.data_dir)]

    def differs() -> bool:
        seen.append(fingerprint(place.data_dir))
        return seen[-1] not in seen[:-1]

    place.put_all()
    assert differs()
    for name in ("store_status.csv", "menu_hours.csv", "timezones.csv"):
        place.add(name, "more\n")
        assert differs()
        path = place.data_dir / name
        # of the same size, a moment later
        os.utime(path, ns=(0, path.stat().st_mtime_ns + 1_000))
        assert differs()
    place.put("store_status_2.csv.gz", "another")
    assert differs()
    (place.data_dir / "store_status_2.csv.gz").unlink()
    assert fingerprint(place.data_dir) == seen[-2]


def test_it_stays_the_same_while_nothing_changes(place: Place):
    place.put_all()
    before = fingerprint(place.data_dir)
    assert list(before) == ["store_status.csv", "menu_hours.csv", "timezones.csv"]
    place.put("notes.txt", "of no concern")
    place.put("business_hours.csv", "passed over")
    place.take_in_polls()
    assert fingerprint(place.data_dir) == before


def test_it_is_empty_where_there_is_no_file(place: Place):
    assert fingerprint(place.data_dir) == {}


@pytest.mark.parametrize("what", ["missing", "a file", "a link to itself"])
def test_a_directory_that_cannot_be_read_is_not_an_empty_one(place: Place, what):
    place.data_dir.rmdir()
    if what == "a file":
        place.data_dir.write_text("no directory")
    elif what == "a link to itself":
        place.data_dir.symlink_to(place.data_dir)
    with pytest.raises(IntakeError, match=r"data directory .*STOREMON_DATA_DIR"):
        fingerprint(place.data_dir)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_directory_that_may_not_be_read_is_not_an_empty_one(place: Place):
    place.put_all()
    place.data_dir.chmod(0)
    with pytest.raises(IntakeError, match="cannot be read: Permission denied"):
        fingerprint(place.data_dir)
    place.data_dir.chmod(0o700)
