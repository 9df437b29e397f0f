"""Files are compared by content: unchanged ones are skipped, grown ones resumed, others reread."""

import pytest

from storemon_pipeline_tests.helpers.workspace import (
    HOURS,
    POLLS,
    ZONES,
    Workspace,
    gz,
    poll_rows,
    text,
    zst,
)


def stores(workspace: Workspace) -> list[str]:
    return [store for store, _, _ in workspace.polls()]


def readings(workspace: Workspace) -> dict[str, tuple[str, int]]:
    """Ingest; return how each file was read, and how many rows."""
    results = workspace.ingest().values()
    return {file.file: (file.reading, file.rows) for result in results for file in result.files}


def test_unchanged_files_are_skipped(either_workspace: Workspace, caplog):
    workspace = either_workspace
    workspace.put_all()
    workspace.add("store_status.csv", "bad\n")
    assert readings(workspace) == {
        "store_status.csv": ("new", 2),
        "menu_hours.csv": ("new", 1),
        "timezones.csv": ("new", 1),
    }
    before = workspace.dump()
    for path in workspace.data_dir.iterdir():
        path.write_bytes(path.read_bytes())
    results = workspace.ingest()
    assert {file.reading for result in results.values() for file in result.files} == {"unchanged"}
    assert workspace.dump() == before
    assert "store_status.csv is unchanged: skipped" in caplog.text
    assert (results["store_status"].total_rows, results["store_status"].total_bad_rows) == (2, 1)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("store_status.csv", "store_status_2023-01-24.csv"),
        ("menu_hours.csv", "business_hours.csv"),
        ("timezones.csv", "store_timezones.csv"),
    ],
)
@pytest.mark.parametrize("packed", [bytes, zst])
def test_same_content_under_another_name_is_skipped(workspace: Workspace, old, new, packed):
    workspace.put_all()
    workspace.add("store_status.csv", "bad\n")
    workspace.ingest()
    before = {table: rows for table, rows in workspace.dump().items() if table != "ingested_file"}
    path = workspace.data_dir / old
    workspace.put_bytes(new, packed(path.read_bytes()))
    path.unlink()
    for _ in range(2):
        assert readings(workspace)[new] == ("unchanged", 0)
        after = {
            table: rows for table, rows in workspace.dump().items() if table != "ingested_file"
        }
        assert after == before


def test_renamed_poll_file_is_resumed(workspace: Workspace):
    workspace.write("store_status.csv", POLLS, *poll_rows("12"), "bad")
    workspace.ingest()
    (workspace.data_dir / "store_status.csv").rename(workspace.data_dir / "store_status_1.csv")
    workspace.ingest()
    workspace.add("store_status_1.csv", poll_rows("3")[0] + "\nbad\n")
    result = workspace.ingest_polls()
    assert (result.reading, result.rows, result.total_rows) == ("appended", 2, 5)
    assert workspace.bad_lines() == [(4, "bad"), (6, "bad")]


@pytest.mark.parametrize("packed", [bytes, gz, zst])
def test_only_appended_rows_are_read(either_workspace: Workspace, packed):
    workspace = either_workspace
    rows = [*poll_rows("12"), "bad 4", *poll_rows("34"), "bad 7", *poll_rows("567")]
    workspace.put_bytes("store_status.csv", packed(text(POLLS, *rows[:3])))
    result = workspace.ingest_polls()
    assert (result.reading, result.rows, result.bad_rows) == ("new", 3, 1)

    workspace.put_bytes("store_status.csv", packed(text(POLLS, *rows[:6])))
    result = workspace.ingest_polls()
    assert (result.reading, result.rows, result.bad_rows) == ("appended", 3, 1)
    assert (result.total_rows, result.total_bad_rows) == (6, 2)
    assert result.first_bad_rows["line_number"].tolist() == [7]

    workspace.put_bytes("store_status.csv", packed(text(POLLS, *rows)))
    result = workspace.ingest_polls()
    assert (result.reading, result.rows, result.bad_rows) == ("appended", 3, 0)
    assert (result.total_rows, result.total_bad_rows) == (9, 2)
    assert stores(workspace) == list("1234567")
    assert workspace.bad_lines() == [(4, "bad 4"), (7, "bad 7")]


def test_gzip_stream_appended_to_gzip_file_is_resumed(workspace: Workspace):
    workspace.put_bytes("store_status.csv.gz", gz(text(POLLS, *poll_rows("12"))))
    workspace.ingest()
    with (workspace.data_dir / "store_status.csv.gz").open("ab") as file:
        file.write(gz(text(*poll_rows("345"))))
    result = workspace.ingest_polls()
    assert (result.reading, result.rows) == ("appended", 3)
    assert stores(workspace) == list("12345")


def test_compressed_file_with_appended_rows_is_resumed(workspace: Workspace):
    workspace.put_bytes("store_status.csv", text(POLLS, *poll_rows("12")))
    workspace.ingest()
    workspace.put_bytes("store_status.csv", gz(text(POLLS, *poll_rows("123"))))
    assert readings(workspace) == {"store_status.csv": ("appended", 1)}


def test_appended_blank_lines_add_no_rows(workspace: Workspace):
    workspace.write("store_status.csv", POLLS, *poll_rows("1"))
    workspace.ingest()
    workspace.add("store_status.csv", "\n\r\n")
    result = workspace.ingest_polls()
    assert (result.reading, result.rows, result.total_rows) == ("appended", 0, 1)
    workspace.add("store_status.csv", "bad\n")
    workspace.ingest()
    assert workspace.bad_lines() == [(5, "bad")]


@pytest.mark.parametrize(
    "rows",
    [
        ["1,inactive,2023-01-25 10:00:00 UTC", *poll_rows("234")],  # longer than it was
        [*poll_rows("19"), "3,inactive,2023-01-25 10:00:00 UTC"],  # longer, and changed
        poll_rows("193"),  # as long as it was
        poll_rows("19"),  # shorter
    ],
)
@pytest.mark.parametrize("packed", [bytes, gz])
def test_changed_or_shorter_file_is_read_whole(workspace: Workspace, rows, packed):
    workspace.put_bytes("store_status.csv", packed(text(POLLS, *poll_rows("123"))))
    workspace.ingest()
    workspace.put_bytes("store_status.csv", packed(text(POLLS, *rows)))
    result = workspace.ingest_polls()
    assert (result.reading, result.rows, result.total_rows) == ("changed", len(rows), len(rows))
    # earlier polls are kept
    assert set(stores(workspace)) == {*"123", *(row[0] for row in rows)}


def test_changed_header_rereads_the_file(workspace: Workspace):
    workspace.write("store_status.csv", POLLS, *poll_rows("1"))
    workspace.ingest()
    workspace.write(
        "store_status.csv", "status,store_id,timestamp_utc", "active,2,2023-01-25 10:00:00 UTC"
    )
    assert readings(workspace)["store_status.csv"] == ("changed", 1)
    assert stores(workspace) == ["1", "2"]


@pytest.mark.parametrize(
    ("name", "other_name", "table", "header", "row"),
    [
        ("menu_hours", "business_hours", "business_hours", HOURS, "{},0,09:00:00,17:00:00"),
        ("timezones", "store_timezones", "store_timezone", ZONES, "{},Asia/Tokyo"),
    ],
)
def test_restored_snapshot_replaces_the_newer_one(
    either_workspace: Workspace, name, other_name, table, header, row
):
    workspace = either_workspace
    workspace.write("store_status.csv", POLLS)

    def take_in(file: str, store: str) -> str:
        for known in (name, other_name):
            (workspace.data_dir / f"{known}.csv").unlink(missing_ok=True)
        workspace.write(file + ".csv", header, row.format(store))
        (result,) = workspace.ingest()[table].files
        assert [known[0] for known in workspace.rows(table)] == [store]
        return result.reading

    assert take_in(name, "old") == "new"
    assert take_in(name, "newer") == "changed"
    assert take_in(name, "old") == "changed"
    assert take_in(other_name, "newer") == "new"
    # the content last read under this name is not in the table
    assert take_in(name, "old") == "changed"
    assert take_in(other_name, "old") == "unchanged"
    assert take_in(other_name, "newer") == "changed"
    assert take_in(name, "newer") == "unchanged"


def test_longer_snapshot_replaces_the_whole_table(workspace: Workspace):
    workspace.put_all()
    workspace.ingest()
    workspace.add("menu_hours.csv", "2,0,09:00:00,17:00:00\n")
    assert readings(workspace)["menu_hours.csv"] == ("changed", 2)
    assert [row[0] for row in workspace.rows("business_hours")] == ["1", "2"]


def test_snapshot_without_final_newline_is_read_once(workspace: Workspace):
    workspace.put_all()
    path = workspace.data_dir / "timezones.csv"
    path.write_bytes(path.read_bytes() + b"2,Asia/Tokyo")
    assert readings(workspace)["timezones.csv"] == ("new", 2)
    assert len(workspace.rows("store_timezone")) == 2
    assert readings(workspace)["timezones.csv"] == ("unchanged", 0)


def test_every_ingest_is_recorded(either_workspace: Workspace):
    workspace = either_workspace
    workspace.write("store_status.csv", POLLS, *poll_rows("12"), "bad")
    workspace.ingest(run_id="first")
    workspace.add("store_status.csv", poll_rows("3")[0] + "\n")
    workspace.ingest(run_id="second")
    workspace.ingest(run_id="third")
    size = (workspace.data_dir / "store_status.csv").stat().st_size
    table = workspace.rows("ingested_file")
    assert [(row[1], row[2], row[4], *row[6:9], row[10]) for row in table] == [
        ("store_status.csv", "store_status", 1, 4, 3, 1, "first"),
        ("store_status.csv", "store_status", 5, 5, 4, 1, "second"),
    ]
    assert table[1][5] == size
