"""Which files are read, and what they may be called."""

import pytest

from storemon_pipeline_tests.intake.place import HOURS, POLLS, ZONES, Place, gz, text, zst

PACKED = {".csv": bytes, ".csv.gz": gz, ".csv.zst": zst}


@pytest.mark.parametrize("ending", PACKED)
@pytest.mark.parametrize("name", ["menu_hours", "business_hours"])
def test_opening_hours_have_two_names(place: Place, name, ending):
    place.put("store_status.csv", POLLS)
    place.put_bytes(name + ending, PACKED[ending](text(HOURS, "1,0,09:00:00,17:00:00")))
    (file,) = place.take_in()["business_hours"].files
    assert file.file == name + ending
    assert place.rows("business_hours") == [("1", 0, "09:00:00", "17:00:00")]


@pytest.mark.parametrize("ending", PACKED)
@pytest.mark.parametrize("name", ["timezones", "store_timezones"])
def test_time_zones_have_two_names(place: Place, name, ending):
    place.put("store_status.csv", POLLS)
    place.put_bytes(name + ending, PACKED[ending](text(ZONES, "1,Asia/Kathmandu")))
    (file,) = place.take_in()["store_timezone"].files
    assert file.file == name + ending
    assert place.rows("store_timezone") == [("1", "Asia/Kathmandu")]


@pytest.mark.parametrize(
    ("first", "other"),
    [
        ("menu_hours.csv", "business_hours.csv"),
        ("menu_hours.csv", "menu_hours.csv.gz"),
        ("menu_hours.csv.gz", "menu_hours.csv.zst"),
        ("menu_hours.csv.zst", "business_hours.csv"),
    ],
)
def test_the_first_name_found_wins_and_the_other_is_told_as_passed_over(
    place: Place, caplog, first, other
):
    place.put("store_status.csv", POLLS)
    for name, store in ((other, "other"), (first, "first")):
        packed = PACKED[name[name.index(".") :]]
        place.put_bytes(name, packed(text(HOURS, f"{store},0,09:00:00,17:00:00")))
    report = place.take_in()["business_hours"]
    assert [file.file for file in report.files] == [first]
    assert report.passed_over == [other]
    assert f"{other} is passed over: {first} was found first" in caplog.text
    assert [row[0] for row in place.rows("business_hours")] == ["first"]


def test_of_time_zones_too_the_first_name_wins(place: Place):
    place.put("store_status.csv", POLLS)
    place.put("store_timezones.csv", ZONES, "1,Europe/Paris")
    place.put("timezones.csv", ZONES, "1,Asia/Tokyo")
    assert place.take_in()["store_timezone"].passed_over == ["store_timezones.csv"]
    assert place.rows("store_timezone") == [("1", "Asia/Tokyo")]


def test_every_file_of_polls_is_read_the_plain_name_first_then_by_name(place: Place):
    names = [
        "store_status.csv",
        "store_status-old.csv.gz",
        "store_status_2023-01-24.csv.zst",
        "store_status_2023-01-25T18.csv",
        "store_status_2023-01-25T19.csv.gz",
    ]
    for store, name in reversed(list(enumerate(names))):
        packed = PACKED[name[name.index(".") :]]
        content = text(POLLS, f"{store},active,2023-01-25 10:00:00 UTC")
        place.put_bytes(name, packed(content))
    report = place.take_in()["store_status"]
    assert [file.file for file in report.files] == names
    assert report.passed_over == []
    assert [store for store, _, _ in place.polls()] == ["0", "1", "2", "3", "4"]


def test_files_of_other_names_are_left_alone(place: Place):
    place.put("store_status.csv", POLLS)
    for name in ("store_status.csv.part", "store_statuses.csv", "old_store_status.csv", "x.csv"):
        place.put(name, "nothing of ours")
    (place.data_dir / "store_status_2023.csv").mkdir()
    assert [file.file for file in place.take_in()["store_status"].files] == ["store_status.csv"]
