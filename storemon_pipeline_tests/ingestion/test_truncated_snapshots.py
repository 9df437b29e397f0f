"""A snapshot that seems truncated does not replace the previous one."""

import pytest

from storemon_pipeline.ingestion.file_errors import IngestionError
from storemon_pipeline_tests.helpers.workspace import (
    HOURS,
    LEVELS,
    POLLS,
    SPECIAL,
    ZONES,
    Workspace,
    gz,
    poll_rows,
    text,
)

KINDS = {
    "menu_hours.csv": ("business_hours", HOURS, "0,09:00:00,17:00:00"),
    "timezones.csv": ("store_timezone", ZONES, "Asia/Tokyo"),
    "special_hours.csv": ("special_hours", SPECIAL, "2023-12-25,,"),
    "service_levels.csv": ("service_level", LEVELS, "99.5"),
}


def snapshot(name: str, stores: str) -> list[str]:
    """Return a header, and a row for each store."""
    _, header, values = KINDS[name]
    return [header, *(f"{store},{values}" for store in stores)]


def ingest_first(workspace: Workspace, name: str, stores: str = "abcd") -> None:
    """Ingest polls of the stores a to h, and a snapshot."""
    workspace.write("store_status.csv", POLLS, *poll_rows("abcdefgh"))
    workspace.write(name, *snapshot(name, stores))
    workspace.ingest()


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("content", ["header", "header without newline", "bad rows"])
def test_snapshot_without_rows_is_rejected(either_workspace: Workspace, name, content):
    workspace = either_workspace
    table, header, _ = KINDS[name]
    ingest_first(workspace, name)
    rest = {"header": "\n", "header without newline": "", "bad rows": "\n?\n?\n"}[content]
    workspace.put_bytes(name, (header + rest).encode())
    workspace.add("store_status.csv", poll_rows("z")[0] + "\n")
    before = workspace.dump()
    with pytest.raises(IngestionError) as error:
        workspace.ingest()
    assert str(error.value) == (
        f"{name} was rejected: it has no valid rows, but {table} has 4. It may be truncated. If it "
        "is complete, set STOREMON_MIN_SNAPSHOT_SHARE=0 and ingest again. Nothing was changed."
    )
    assert workspace.dump() == before

    workspace.ingest(min_snapshot_share=0)
    assert workspace.rows(table) == []


@pytest.mark.parametrize("name", KINDS)
def test_snapshot_of_less_than_half_the_stores_is_rejected(either_workspace: Workspace, name):
    workspace = either_workspace
    table, *_ = KINDS[name]
    ingest_first(workspace, name)
    before = workspace.dump()
    workspace.write(name, *snapshot(name, "axyz"))
    with pytest.raises(IngestionError) as error:
        workspace.ingest()
    assert str(error.value) == (
        f"{name} was rejected: it has 1 polled store, but {table} has 4: fewer "
        "than the 50.0% that STOREMON_MIN_SNAPSHOT_SHARE requires. It may be truncated. If it "
        "is complete, set STOREMON_MIN_SNAPSHOT_SHARE=0 and ingest again. Nothing was changed."
    )
    assert workspace.dump() == before

    workspace.write(name, *snapshot(name, "ae"))
    assert workspace.ingest()[table].files[0].reading == "changed"
    assert {row[0] for row in workspace.rows(table)} == {"a", "e"}


def test_never_polled_stores_do_not_count(workspace: Workspace):
    ingest_first(workspace, "timezones.csv", "abuvwxyz")
    workspace.write("timezones.csv", *snapshot("timezones.csv", "a"))
    workspace.ingest()
    assert [row[0] for row in workspace.rows("store_timezone")] == ["a"]


@pytest.mark.parametrize("stores", ["a", "abc"])
def test_snapshot_share_is_that_of_the_setting(workspace: Workspace, stores):
    ingest_first(workspace, "menu_hours.csv", "abcd")
    workspace.write("menu_hours.csv", *snapshot("menu_hours.csv", stores))
    least = (len(stores)) / 4
    with pytest.raises(IngestionError, match="MIN_SNAPSHOT_SHARE"):
        workspace.ingest(min_snapshot_share=least + 0.01)
    workspace.ingest(min_snapshot_share=least)
    assert len(workspace.rows("business_hours")) == len(stores)


def test_bad_rows_do_not_count_for_the_snapshot_share(workspace: Workspace):
    ingest_first(workspace, "timezones.csv", "abcd")
    workspace.write("timezones.csv", ZONES, "a,UTC", "b,EDT", "c,EDT", "d,EDT")
    with pytest.raises(IngestionError, match="it has 1 polled store"):
        workspace.ingest()


def test_compressed_snapshot_without_rows_is_rejected(workspace: Workspace):
    ingest_first(workspace, "menu_hours.csv")
    (workspace.data_dir / "menu_hours.csv").unlink()
    workspace.put_bytes("menu_hours.csv.gz", gz(text(HOURS)))
    with pytest.raises(IngestionError, match="no valid row"):
        workspace.ingest()


@pytest.mark.parametrize("name", KINDS)
def test_first_snapshot_may_be_empty(workspace: Workspace, name):
    table, header, _ = KINDS[name]
    workspace.write("store_status.csv", POLLS, *poll_rows("ab"))
    workspace.write(name, header)
    result = workspace.ingest()[table]
    assert (result.files[0].reading, result.table_rows) == ("new", 0)
    # and may have rows later
    workspace.write(name, *snapshot(name, "a"))
    assert workspace.ingest()[table].table_rows == 1
