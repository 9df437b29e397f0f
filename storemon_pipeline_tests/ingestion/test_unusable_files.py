"""Unusable files: the error names file, fault and remedy, and no table changes."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from storemon_pipeline.ingestion import line_reader
from storemon_pipeline.ingestion.file_errors import IngestionError
from storemon_pipeline.storage.database import Database
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

NAMES = {"store_status.csv": POLLS, "menu_hours.csv": HOURS, "timezones.csv": ZONES}

# large enough to cut a compressed file in many places
MANY = text(POLLS, *(f"{n:x}{n * 7919 % 1013},active,2023-01-25 10:00:00 UTC" for n in range(999)))


def error_of(workspace: Workspace) -> str:
    """Return the error message of an ingest, after which no table has changed."""
    before = workspace.dump()
    with pytest.raises(IngestionError) as error:
        workspace.ingest()
    assert workspace.dump() == before
    return str(error.value)


@pytest.fixture(scope="module")
def filled_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Yield a filled database, which no test here changes."""
    folder = tmp_path_factory.mktemp("filled")
    workspace = Workspace(Database(f"sqlite:///{folder}/storemon.db"), folder)
    workspace.put_all(store="old")
    workspace.put_bytes("store_status_2.csv.gz", gz(MANY))
    workspace.ingest()
    yield workspace.database
    workspace.database.close()


@pytest.fixture
def filled(filled_database: Database, data_dir: Path) -> Workspace:
    """Return a filled database, and a new file of each kind."""
    workspace = Workspace(filled_database, data_dir)
    workspace.put_all(store="new")
    return workspace


def test_missing_data_directory_is_named(workspace: Workspace):
    workspace.data_dir.rmdir()
    assert error_of(workspace) == (
        f"the data directory {workspace.data_dir} does not exist: create it, or set "
        "STOREMON_DATA_DIR to the directory of store_status.csv"
    )


def test_file_as_data_directory_is_named(workspace: Workspace):
    workspace.data_dir.rmdir()
    workspace.data_dir.write_text("no directory")
    message = error_of(workspace)
    assert message.startswith(
        f"the data directory {workspace.data_dir} cannot be read: Not a directory."
    )
    assert "STOREMON_DATA_DIR" in message


def test_missing_poll_file_is_named(filled: Workspace):
    (filled.data_dir / "store_status.csv").unlink()
    message = error_of(filled)
    assert message.startswith(f"{filled.data_dir} has no store_status.csv ")
    assert "STOREMON_DATA_DIR" in message


@pytest.mark.parametrize("name", NAMES)
def test_missing_column_is_named_with_the_accepted_names(filled: Workspace, name):
    columns = NAMES[name].split(",")
    for missing in columns:
        others = [column for column in columns if column != missing]
        filled.write(name, ",".join(others), ",".join("1" for _ in others))
        message = error_of(filled)
        column, accepted = (
            ("day_of_week", "accepted names are dayOfWeek or day or day_of_week")
            if missing == "day"
            else (missing, f"accepted name is {missing}")
        )
        found = ", ".join(f"'{other}'" for other in others)
        assert message == f"{name} has no column {column}: its header has {found}; {accepted}"


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_other_separator_is_named(filled: Workspace, separator):
    filled.write("store_status.csv", POLLS.replace(",", separator), "1")
    message = error_of(filled)
    assert message.startswith("store_status.csv has no column store_id")
    assert message.endswith(f"Separate columns by commas, not by {separator!r}")


def test_file_without_header_is_rejected_with_its_first_line(filled: Workspace):
    filled.write("store_status.csv", *poll_rows("12"))
    assert "its header has '1', 'active', '2023-01-25 10:00:00 UTC'" in error_of(filled)


@pytest.mark.parametrize("name", NAMES)
def test_empty_file_is_rejected(filled: Workspace, name):
    filled.put_bytes(name, b"")
    assert error_of(filled) == f"{name} is empty: at least the header line is required"


@pytest.mark.parametrize("packed", [gz, zst])
def test_empty_compressed_file_is_rejected(filled: Workspace, packed):
    filled.put_bytes("store_status.csv", packed(b""))
    assert "store_status.csv is empty" in error_of(filled)


def test_empty_file_after_header_only_file_is_rejected(workspace: Workspace):
    for name, header in NAMES.items():
        workspace.put_bytes(name, header.encode())
        if name != "store_status.csv":
            workspace.write("store_status.csv", POLLS)
        workspace.ingest()
        workspace.put_bytes(name, b"")
        assert f"{name} is empty" in error_of(workspace)
        workspace.write(name, header)


@pytest.mark.parametrize(
    "content", [b"\n", b"\r\n", b"\n\n1,2,3\n", b" \n", b"\xef\xbb\xbf\n", b"\xef\xbb\xbf"]
)
def test_blank_first_line_is_rejected(filled: Workspace, content):
    filled.put_bytes("store_status.csv", content)
    assert "store_status.csv has no column store_id" in error_of(filled)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("packed", "block_bytes"), [(bytes, 64), (bytes, 2**20), (zst, 64)])
def test_invalid_utf_8_is_rejected_with_its_line(
    filled: Workspace, monkeypatch, name, packed, block_bytes
):
    monkeypatch.setattr(line_reader, "BLOCK_BYTES", block_bytes)
    lines = [NAMES[name], "", *["a row that is bad"] * 20, "Caf\u00e9", "another bad row"]
    filled.put_bytes(name, packed("\n".join(lines).encode("latin-1") + b"\n"))
    assert error_of(filled) == f"{name} is not UTF-8: byte 0xe9 in line 23. Save it as UTF-8"


def test_header_in_invalid_utf_8_is_rejected(filled: Workspace):
    filled.put_bytes("store_status.csv", f"caf\u00e9,{POLLS}\n".encode("latin-1"))
    assert "store_status.csv is not UTF-8: byte 0xe9 in line 1" in error_of(filled)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_rejected(filled: Workspace, encoding):
    mark = "" if encoding == "utf-16" else "\ufeff"
    filled.put_bytes("store_status.csv", (mark + MANY.decode()).encode(encoding))
    assert error_of(filled) == "store_status.csv is not UTF-8 but UTF-16. Save it as UTF-8"


def test_utf_16_without_byte_order_mark_is_rejected(filled: Workspace):
    filled.put_bytes("store_status.csv", MANY.decode().encode("utf-16-le"))
    assert "store_status.csv is not CSV: NUL byte in line 1" in error_of(filled)


@pytest.mark.parametrize("packed", [bytes, gz])
def test_nul_byte_is_rejected_with_its_line(filled: Workspace, packed):
    filled.put_bytes("timezones.csv", packed(text(ZONES, "1,Asia/Tokyo", "2,Asia/\0Tokyo")))
    assert error_of(filled) == "timezones.csv is not CSV: NUL byte in line 3"


BINARY = {
    "png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x01",
    "zip": b"PK\x03\x04\x14\x00\x06\x00\x08\x00\x00\x00!\x00",
    "sqlite": b"SQLite format 3\x00\x10\x00\x01\x01",
    "parquet": b"PAR1\x15\x04\x15\x0c\x15\x08",
    "all bytes": bytes(range(256)) * 20,
    "bzip2": b"BZh91AY&SY\xe2\xb4",
}


@pytest.mark.parametrize("kind", BINARY)
def test_binary_file_is_rejected(filled: Workspace, kind):
    filled.put_bytes("store_status.csv", BINARY[kind])
    assert re.match(r"store_status.csv (is not UTF-8|is not CSV|has no column)", error_of(filled))


@pytest.mark.parametrize("size", [200_000, 3_000_000])
def test_too_long_line_is_rejected(filled: Workspace, size):
    filled.put_bytes("store_status.csv", b"x" * size)
    assert "store_status.csv is not CSV" in error_of(filled)


def test_too_long_line_after_the_header_is_rejected(filled: Workspace, monkeypatch):
    monkeypatch.setattr(line_reader, "BLOCK_BYTES", 1000)
    filled.write("store_status.csv", POLLS, "x" * 5000)
    assert "store_status.csv is not CSV: line 2 is longer" in error_of(filled)


def test_carriage_returns_as_newlines_are_rejected(filled: Workspace):
    filled.put_bytes("store_status.csv", text(POLLS, *poll_rows("123"), newline="\r"))
    message = error_of(filled)
    assert message.startswith("store_status.csv is not CSV: its lines end with CR only")
    assert "LF or CRLF" in message


UNREADABLE = Path("/proc/self/mem")  # can be opened, but not read at its start


@pytest.mark.skipif(not UNREADABLE.exists(), reason="there is no such file here")
@pytest.mark.parametrize("name", NAMES)
def test_read_error_is_rejected_with_remedy(filled: Workspace, name):
    (filled.data_dir / name).unlink()
    (filled.data_dir / name).symlink_to(UNREADABLE)
    message = error_of(filled)
    assert message.startswith(f"{name} cannot be read: [Errno 5] Input/output error")
    assert message.endswith("Check its permissions and completeness")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_missing_read_permission_is_rejected(filled: Workspace):
    (filled.data_dir / "timezones.csv").chmod(0)
    assert "timezones.csv cannot be read: [Errno 13] Permission denied" in error_of(filled)


@pytest.mark.parametrize("packed", [gz, zst])
@pytest.mark.parametrize("kept", [5, 12, 30, 500, -9, -1])
def test_truncated_compressed_file_is_rejected(filled: Workspace, packed, kept):
    filled.put_bytes("store_status.csv.gz", packed(MANY)[:kept])
    message = error_of(filled)
    assert message.startswith("store_status.csv.gz is truncated or corrupt: its ")
    assert message.endswith("Copy the whole file again")


@pytest.mark.parametrize("packed", [gz, zst])
@pytest.mark.parametrize("kept", [1, 2, 3])
def test_first_bytes_of_compressed_file_are_rejected(filled: Workspace, packed, kept):
    filled.put_bytes("store_status.csv.gz", packed(MANY)[:kept])
    assert "store_status.csv.gz " in error_of(filled)


@pytest.mark.parametrize("at", [20, 500, 2000, -6])
def test_damaged_gzip_file_is_rejected(filled: Workspace, at):
    damaged = bytearray(gz(MANY))
    damaged[at] ^= 0xFF
    filled.put_bytes("store_status.csv.gz", bytes(damaged))
    assert "store_status.csv.gz " in error_of(filled)


def test_truncated_known_file_is_rejected(filled: Workspace):
    filled.put_bytes("store_status_2.csv.gz", gz(MANY * 2)[:-20])
    assert "store_status_2.csv.gz is truncated or corrupt: its gzip stream" in error_of(filled)


@pytest.mark.parametrize("name", ["menu_hours.csv", "timezones.csv"])
def test_unreadable_snapshot_leaves_all_tables_unchanged(either_workspace: Workspace, name):
    workspace = either_workspace
    workspace.put_all(store="old")
    workspace.ingest()
    workspace.put_all(store="new")
    workspace.put_bytes(name, gz(text(NAMES[name]))[:-3])
    assert f"{name} is truncated or corrupt" in error_of(workspace)
    assert [row[0] for row in workspace.rows("store_status")] == ["old"]


def test_rejected_files_are_ingested_once_corrected(workspace: Workspace):
    workspace.put_all(store="old")
    workspace.ingest()
    workspace.put_all(store="new")
    workspace.put_bytes("timezones.csv", b"")
    error_of(workspace)
    workspace.write("timezones.csv", ZONES, "new,Asia/Tokyo")
    workspace.ingest()
    assert [row[0] for row in workspace.rows("store_status")] == ["new", "old"]
    assert [row[0] for row in workspace.rows("business_hours")] == ["new"]
    assert workspace.rows("store_timezone") == [("new", "Asia/Tokyo")]
