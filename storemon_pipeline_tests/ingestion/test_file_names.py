"""Which files are read, by name and by header."""

import pytest

from storemon_pipeline.ingestion.discovery import fingerprint
from storemon_pipeline.ingestion.file_errors import IngestionError
from storemon_pipeline_tests.helpers.workspace import (
    HOURS,
    POLLS,
    ZONES,
    Workspace,
    gz,
    text,
    zst,
)

PACKED = {".csv": bytes, ".csv.gz": gz, ".csv.zst": zst}


@pytest.mark.parametrize("ending", PACKED)
@pytest.mark.parametrize("name", ["menu_hours", "business_hours"])
def test_opening_hours_have_two_names(workspace: Workspace, name, ending):
    workspace.write("store_status.csv", POLLS)
    workspace.put_bytes(name + ending, PACKED[ending](text(HOURS, "1,0,09:00:00,17:00:00")))
    (file,) = workspace.ingest()["business_hours"].files
    assert file.file == name + ending
    assert workspace.rows("business_hours") == [("1", 0, "09:00:00", "17:00:00")]


@pytest.mark.parametrize("ending", PACKED)
@pytest.mark.parametrize("name", ["timezones", "store_timezones"])
def test_time_zones_have_two_names(workspace: Workspace, name, ending):
    workspace.write("store_status.csv", POLLS)
    workspace.put_bytes(name + ending, PACKED[ending](text(ZONES, "1,Asia/Kathmandu")))
    (file,) = workspace.ingest()["store_timezone"].files
    assert file.file == name + ending
    assert workspace.rows("store_timezone") == [("1", "Asia/Kathmandu")]


@pytest.mark.parametrize(
    ("first", "other"),
    [
        ("menu_hours.csv", "business_hours.csv"),
        ("menu_hours.csv", "menu_hours.csv.gz"),
        ("menu_hours.csv.gz", "menu_hours.csv.zst"),
        ("menu_hours.csv.zst", "business_hours.csv"),
    ],
)
def test_first_known_name_wins_and_the_other_is_named(workspace: Workspace, caplog, first, other):
    workspace.write("store_status.csv", POLLS)
    for name, store in ((other, "other"), (first, "first")):
        packed = PACKED[name[name.index(".") :]]
        workspace.put_bytes(name, packed(text(HOURS, f"{store},0,09:00:00,17:00:00")))
    result = workspace.ingest()["business_hours"]
    assert [file.file for file in result.files] == [first]
    assert f"{other} is not read: {first} takes precedence" in caplog.text
    assert [row[0] for row in workspace.rows("business_hours")] == ["first"]


def test_first_name_of_time_zones_wins(workspace: Workspace):
    workspace.write("store_status.csv", POLLS)
    workspace.write("store_timezones.csv", ZONES, "1,Europe/Paris")
    workspace.write("timezones.csv", ZONES, "1,Asia/Tokyo")
    workspace.ingest()
    assert workspace.unread() == {"store_timezones.csv": "timezones.csv takes precedence"}
    assert workspace.rows("store_timezone") == [("1", "Asia/Tokyo")]


def test_all_poll_files_are_read_in_order_of_name(workspace: Workspace):
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
        workspace.put_bytes(name, packed(content))
    result = workspace.ingest()["store_status"]
    assert [file.file for file in result.files] == names
    assert [store for store, _, _ in workspace.polls()] == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize(
    "name",
    ["menu_hour.csv", "Menu hours.csv", "Menu_Hours.CSV", "hours.csv.gz", "bq-results-2023.csv"],
)
def test_file_of_another_name_is_read_by_its_header(workspace: Workspace, caplog, name):
    packed = PACKED.get(name[name.index(".") :], bytes)
    workspace.write("store_status.csv", POLLS)
    workspace.put_bytes(name, packed(text(HOURS, "1,0,09:00:00,17:00:00")))
    workspace.ingest()
    assert workspace.rows("business_hours") == [("1", 0, "09:00:00", "17:00:00")]
    assert f"{name} is read as menu_hours.csv because its header has" in caplog.text
    assert workspace.unread() == {}


def test_all_three_files_are_read_under_other_names(workspace: Workspace):
    workspace.write("Store Status.csv", POLLS, "1,active,2023-01-25 10:00:00 UTC")
    workspace.write("store_timezone.csv", ZONES, "1,Asia/Tokyo")
    workspace.write("Menu hours.csv", HOURS, "1,0,09:00:00,17:00:00")
    assert [len(result.files) for result in workspace.ingest().values()] == [1, 1, 1, 0, 0]
    assert len(workspace.polls()) == 1


def test_two_files_that_fit_one_table_are_rejected(workspace: Workspace):
    workspace.write("store_status.csv", POLLS)
    workspace.write("timezone.csv", ZONES, "1,Asia/Tokyo")
    workspace.write("zones.csv", ZONES, "1,Europe/Paris")
    with pytest.raises(
        IngestionError, match=r"the headers of timezone.csv and zones.csv all match"
    ):
        workspace.ingest()
    # so that the sensor starts a run, which reports them
    assert {"timezone.csv", "zones.csv"} <= fingerprint(workspace.data_dir).keys()


def test_nearly_named_file_beside_a_named_one_is_named(workspace: Workspace, caplog):
    workspace.write("store_status.csv", POLLS)
    workspace.write("store_status (1).csv", POLLS, "1,active,2023-01-25 10:00:00 UTC")
    workspace.write("timezones.csv", ZONES)
    workspace.write("timezone.csv", ZONES, "1,Europe/Paris")
    workspace.ingest()
    assert workspace.polls() == []
    assert workspace.unread() == {
        "store_status (1).csv": "store_status.csv is read; to add its polls, rename it to "
        "store_status_….csv",
        "timezone.csv": "timezones.csv is read instead",
    }
    assert "store_status (1).csv is not read" in caplog.text


def test_files_that_look_like_data_are_named_with_the_reason(workspace: Workspace):
    workspace.write("store_status.csv", POLLS)
    for name in (
        "x.csv",
        "hours.xlsx",
        "all.zip",
        "notes.txt",
        ".hidden.csv",
        "store_status.csv.part",
    ):
        workspace.write(name, "nothing of ours")
    (workspace.data_dir / "store_status_2023.csv").mkdir()
    assert [file.file for file in workspace.ingest()["store_status"].files] == ["store_status.csv"]
    assert workspace.unread() == {
        "x.csv": "neither its name nor its header matches a raw file",
        "hours.xlsx": "it is a spreadsheet: save it as CSV",
        "all.zip": "it is an archive: unpack it here",
    }
    (workspace.data_dir / "x.csv").unlink()
    workspace.ingest()
    assert "x.csv" not in workspace.unread()


def test_git_lfs_pointer_is_rejected_with_the_remedy(workspace: Workspace):
    workspace.write(
        "store_status.csv", "version https://git-lfs.github.com/spec/v1", "oid sha256:0"
    )
    with pytest.raises(
        IngestionError, match=r"store_status.csv is a Git LFS pointer.*git lfs pull"
    ):
        workspace.ingest()


LFS_POINTER = ("version https://git-lfs.github.com/spec/v1", "oid sha256:0")


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (LFS_POINTER, "it is a Git LFS pointer, not the data: fetch the data with `git lfs pull`"),
        ((HOURS.replace(",", ";"),), "its columns are separated by ';', not by commas"),
        (
            (f"{HOURS},date",),
            "its header matches menu_hours.csv and special_hours.csv: rename it to one of them",
        ),
    ],
)
def test_unusable_candidate_is_named_with_its_fault(workspace: Workspace, lines, reason):
    workspace.write("store_status.csv", POLLS)
    workspace.write("menu_hour.csv", *lines)
    workspace.ingest()
    assert workspace.unread() == {"menu_hour.csv": reason}


def test_text_file_with_the_header_of_a_raw_file_is_named(workspace: Workspace):
    workspace.write("store_status.csv", POLLS)
    workspace.write("menu_hours.txt", HOURS, "1,0,09:00:00,17:00:00")
    workspace.write("notes.txt", "of no concern")
    workspace.ingest()
    assert workspace.unread() == {
        "menu_hours.txt": "its header matches menu_hours.csv: rename it to that"
    }


def test_missing_polls_error_names_the_files_that_are_there(workspace: Workspace):
    workspace.write("store_data.xlsx", "x")
    workspace.write("polls.csv", POLLS.replace(",", ";"))
    with pytest.raises(IngestionError) as error:
        workspace.ingest()
    assert str(error.value).endswith(
        "Not read: polls.csv, its columns are separated by ';', not by commas; "
        "store_data.xlsx, it is a spreadsheet: save it as CSV"
    )


def test_missing_polls_error_names_at_most_ten_files(workspace: Workspace):
    for number in range(13):
        workspace.write(f"other_{number:02}.zip", "x")
    with pytest.raises(IngestionError, match=r"other_09.zip, it is an archive[^;]*; and 3 more$"):
        workspace.ingest()


def rows_for(*stores: str) -> list[str]:
    return [f"{store},Asia/Tokyo" for store in stores]


def test_snapshot_with_rounded_ids_is_reported(workspace: Workspace, caplog):
    stores = [f"{8139926242460185114 + number}" for number in range(30)]
    polls = [f"{store},active,2023-01-25 10:00:00 UTC" for store in stores]
    workspace.write("store_status.csv", POLLS, *polls)
    rounded = [f"{8139926242460 + number}000000" for number in range(30)]
    workspace.write("timezones.csv", ZONES, *rows_for(*rounded))
    workspace.write("menu_hours.csv", HOURS, f"{stores[0]},0,09:00:00,17:00:00")
    workspace.ingest()
    assert "none of 30 stores with a time zone was ever polled" in caplog.text
    assert "(8139926242460000000, for example, was not): the ids look rounded" in caplog.text
    assert "in business_hours" not in caplog.text


def test_snapshot_with_some_polled_stores_is_not_reported(workspace: Workspace, caplog):
    workspace.write("store_status.csv", POLLS, "1,active,2023-01-25 10:00:00 UTC")
    workspace.write("timezones.csv", ZONES, *rows_for("1", *(f"x{number}" for number in range(19))))
    workspace.ingest()
    assert "ever polled" not in caplog.text
    workspace.write("timezones.csv", ZONES, *rows_for("1", *(f"x{number}" for number in range(20))))
    workspace.ingest()
    assert "only 1 of 21 stores with a time zone was ever polled" in caplog.text


def test_rows_that_repeat_a_poll_are_counted(workspace: Workspace, caplog):
    row = "1,{},2023-01-25 10:00:00 UTC"
    workspace.write(
        "store_status.csv", POLLS, row.format("active"), row.format("inactive"), "1,bad,x"
    )
    workspace.ingest()
    assert (
        "store_status.csv is new: 3 rows read, 1 quarantined, 1 superseded by a later row; "
        "store_status now has 1 row"
    ) in caplog.messages


def test_one_row_is_not_counted_in_the_plural(workspace: Workspace, caplog):
    workspace.write("store_status.csv", POLLS, "1,active,2023-01-25 10:00:00 UTC")
    workspace.ingest()
    assert "store_status.csv: read up to line 2; of the last 1 row, 0 quarantined" in caplog.text
    assert "1 rows" not in caplog.text
