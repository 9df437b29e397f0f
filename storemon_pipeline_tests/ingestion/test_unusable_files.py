"""A file that cannot be used is named with what is wrong and what to do, and nothing changes."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from storemon_pipeline.ingestion import line_reader
from storemon_pipeline.ingestion.errors import IngestionError
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

# enough for a compressed file to be cut in many places
MANY = text(POLLS, *(f"{n:x}{n * 7919 % 1013},active,2023-01-25 10:00:00 UTC" for n in range(999)))


def refused(place: Workspace) -> str:
    """What is told of files that cannot be used, when all that was stored is as it was."""
    before = place.dump()
    with pytest.raises(IngestionError) as refusal:
        place.ingest()
    assert place.dump() == before
    return str(refusal.value)


@pytest.fixture(scope="module")
def filled_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A database whose tables are filled; every test here leaves it as it is."""
    folder = tmp_path_factory.mktemp("filled")
    place = Workspace(Database(f"sqlite:///{folder}/storemon.db"), folder)
    place.put_all(store="old")
    place.put_bytes("store_status_2.csv.gz", gz(MANY))
    place.ingest()
    yield place.database
    place.database.close()


@pytest.fixture
def filled(filled_database: Database, data_dir: Path) -> Workspace:
    """A filled database, and a new file of each kind."""
    place = Workspace(filled_database, data_dir)
    place.put_all(store="new")
    return place


def test_no_data_directory(workspace: Workspace):
    workspace.data_dir.rmdir()
    assert refused(workspace) == (
        f"there is no data directory {workspace.data_dir}: make it, or set STOREMON_DATA_DIR to the "
        "one with store_status.csv"
    )


def test_the_data_directory_is_a_file(workspace: Workspace):
    workspace.data_dir.rmdir()
    workspace.data_dir.write_text("no directory")
    told = refused(workspace)
    assert told.startswith(
        f"the data directory {workspace.data_dir} cannot be read: Not a directory."
    )
    assert "STOREMON_DATA_DIR" in told


def test_no_file_of_polls(filled: Workspace):
    (filled.data_dir / "store_status.csv").unlink()
    told = refused(filled)
    assert told.startswith(f"there is no store_status.csv in {filled.data_dir}")
    assert "STOREMON_DATA_DIR" in told


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_column_is_named_with_what_was_found_and_what_would_be_accepted(
    filled: Workspace, name
):
    columns = NAMES[name].split(",")
    for missing in columns:
        others = [column for column in columns if column != missing]
        filled.write(name, ",".join(others), ",".join("1" for _ in others))
        told = refused(filled)
        column, accepted = (
            ("day_of_week", "accepted are dayOfWeek or day or day_of_week")
            if missing == "day"
            else (missing, f"accepted is {missing}")
        )
        found = ", ".join(f"'{other}'" for other in others)
        assert told == f"{name} has no column {column}: its header has {found}; {accepted}"


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_another_separator_than_a_comma_is_hinted_at(filled: Workspace, separator):
    filled.write("store_status.csv", POLLS.replace(",", separator), "1")
    told = refused(filled)
    assert told.startswith("store_status.csv has no column store_id")
    assert told.endswith(f"Columns are separated by commas, not by {separator!r}")


def test_a_file_without_a_header_is_told_what_its_first_line_has(filled: Workspace):
    filled.write("store_status.csv", *poll_rows("12"))
    assert "its header has '1', 'active', '2023-01-25 10:00:00 UTC'" in refused(filled)


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_file(filled: Workspace, name):
    filled.put_bytes(name, b"")
    assert refused(filled) == f"{name} is empty: it needs at least its header line"


@pytest.mark.parametrize("packed", [gz, zst])
def test_a_compressed_file_with_nothing_in_it(filled: Workspace, packed):
    filled.put_bytes("store_status.csv", packed(b""))
    assert "store_status.csv is empty" in refused(filled)


def test_a_file_is_empty_also_after_one_that_had_nothing_but_its_header(workspace: Workspace):
    for name, header in NAMES.items():
        workspace.put_bytes(name, header.encode())
        if name != "store_status.csv":
            workspace.write("store_status.csv", POLLS)
        workspace.ingest()
        workspace.put_bytes(name, b"")
        assert f"{name} is empty" in refused(workspace)
        workspace.write(name, header)


@pytest.mark.parametrize(
    "content", [b"\n", b"\r\n", b"\n\n1,2,3\n", b" \n", b"\xef\xbb\xbf\n", b"\xef\xbb\xbf"]
)
def test_a_file_whose_first_line_is_blank(filled: Workspace, content):
    filled.put_bytes("store_status.csv", content)
    assert "store_status.csv has no column store_id" in refused(filled)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("packed", "block_bytes"), [(bytes, 64), (bytes, 2**20), (zst, 64)])
def test_text_that_is_not_utf_8_is_told_with_its_line(
    filled: Workspace, monkeypatch, name, packed, block_bytes
):
    monkeypatch.setattr(line_reader, "BLOCK_BYTES", block_bytes)
    lines = [NAMES[name], "", *["a row that is bad"] * 20, "Caf\u00e9", "another bad row"]
    filled.put_bytes(name, packed("\n".join(lines).encode("latin-1") + b"\n"))
    assert refused(filled) == f"{name} is not UTF-8: byte 0xe9 in line 23. Save it as UTF-8"


def test_a_header_that_is_not_utf_8(filled: Workspace):
    filled.put_bytes("store_status.csv", f"caf\u00e9,{POLLS}\n".encode("latin-1"))
    assert "store_status.csv is not UTF-8: byte 0xe9 in line 1" in refused(filled)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16(filled: Workspace, encoding):
    mark = "" if encoding == "utf-16" else "\ufeff"
    filled.put_bytes("store_status.csv", (mark + MANY.decode()).encode(encoding))
    assert refused(filled) == "store_status.csv is not UTF-8 but UTF-16. Save it as UTF-8"


def test_utf_16_without_a_mark(filled: Workspace):
    filled.put_bytes("store_status.csv", MANY.decode().encode("utf-16-le"))
    assert "store_status.csv is not CSV: there is a NUL byte in line 1" in refused(filled)


@pytest.mark.parametrize("packed", [bytes, gz])
def test_a_nul_byte_is_told_with_its_line(filled: Workspace, packed):
    filled.put_bytes("timezones.csv", packed(text(ZONES, "1,Asia/Tokyo", "2,Asia/\0Tokyo")))
    assert refused(filled) == "timezones.csv is not CSV: there is a NUL byte in line 3"


BINARY = {
    "png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x01",
    "zip": b"PK\x03\x04\x14\x00\x06\x00\x08\x00\x00\x00!\x00",
    "sqlite": b"SQLite format 3\x00\x10\x00\x01\x01",
    "parquet": b"PAR1\x15\x04\x15\x0c\x15\x08",
    "all bytes": bytes(range(256)) * 20,
    "bzip2": b"BZh91AY&SY\xe2\xb4",
}


@pytest.mark.parametrize("kind", BINARY)
def test_a_binary_file(filled: Workspace, kind):
    filled.put_bytes("store_status.csv", BINARY[kind])
    assert re.match(r"store_status.csv (is not UTF-8|is not CSV|has no column)", refused(filled))


@pytest.mark.parametrize("size", [200_000, 3_000_000])
def test_one_endless_line(filled: Workspace, size):
    filled.put_bytes("store_status.csv", b"x" * size)
    assert "store_status.csv is not CSV" in refused(filled)


def test_one_endless_line_after_the_header(filled: Workspace, monkeypatch):
    monkeypatch.setattr(line_reader, "BLOCK_BYTES", 1000)
    filled.write("store_status.csv", POLLS, "x" * 5000)
    assert "store_status.csv is not CSV: line 2 is over" in refused(filled)


def test_lines_that_end_with_a_carriage_return_alone(filled: Workspace):
    filled.put_bytes("store_status.csv", text(POLLS, *poll_rows("123"), newline="\r"))
    told = refused(filled)
    assert told.startswith("store_status.csv is not CSV: its lines end with a carriage return")
    assert "LF or CRLF" in told


UNREADABLE = Path("/proc/self/mem")  # a file that may be opened, but not read at its beginning


@pytest.mark.skipif(not UNREADABLE.exists(), reason="there is no such file here")
@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_cannot_be_read(filled: Workspace, name):
    (filled.data_dir / name).unlink()
    (filled.data_dir / name).symlink_to(UNREADABLE)
    told = refused(filled)
    assert told.startswith(f"{name} cannot be read: [Errno 5] Input/output error")
    assert told.endswith("Check that it may be and is complete")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(filled: Workspace):
    (filled.data_dir / "timezones.csv").chmod(0)
    assert "timezones.csv cannot be read: [Errno 13] Permission denied" in refused(filled)


@pytest.mark.parametrize("packed", [gz, zst])
@pytest.mark.parametrize("kept", [5, 12, 30, 500, -9, -1])
def test_a_cut_compressed_file(filled: Workspace, packed, kept):
    filled.put_bytes("store_status.csv.gz", packed(MANY)[:kept])
    told = refused(filled)
    assert told.startswith("store_status.csv.gz is cut or damaged: its ")
    assert told.endswith("Copy it again, whole")


@pytest.mark.parametrize("packed", [gz, zst])
@pytest.mark.parametrize("kept", [1, 2, 3])
def test_a_compressed_file_of_which_hardly_a_byte_is_there(filled: Workspace, packed, kept):
    filled.put_bytes("store_status.csv.gz", packed(MANY)[:kept])
    assert "store_status.csv.gz " in refused(filled)


@pytest.mark.parametrize("at", [20, 500, 2000, -6])
def test_a_damaged_gzip_file(filled: Workspace, at):
    damaged = bytearray(gz(MANY))
    damaged[at] ^= 0xFF
    filled.put_bytes("store_status.csv.gz", bytes(damaged))
    assert "store_status.csv.gz " in refused(filled)


def test_a_cut_file_that_was_known_before(filled: Workspace):
    filled.put_bytes("store_status_2.csv.gz", gz(MANY * 2)[:-20])
    assert "store_status_2.csv.gz is cut or damaged: its gzip stream" in refused(filled)


@pytest.mark.parametrize("name", ["menu_hours.csv", "timezones.csv"])
def test_a_snapshot_that_cannot_be_read_leaves_the_old_one_and_the_polls(
    either_workspace: Workspace, name
):
    place = either_workspace
    place.put_all(store="old")
    place.ingest()
    place.put_all(store="new")
    place.put_bytes(name, gz(text(NAMES[name]))[:-3])
    assert f"{name} is cut or damaged" in refused(place)
    assert [row[0] for row in place.rows("store_status")] == ["old"]


def test_what_was_refused_is_taken_in_once_it_is_right(workspace: Workspace):
    workspace.put_all(store="old")
    workspace.ingest()
    workspace.put_all(store="new")
    workspace.put_bytes("timezones.csv", b"")
    refused(workspace)
    workspace.write("timezones.csv", ZONES, "new,Asia/Tokyo")
    workspace.ingest()
    assert [row[0] for row in workspace.rows("store_status")] == ["new", "old"]
    assert [row[0] for row in workspace.rows("business_hours")] == ["new"]
    assert workspace.rows("store_timezone") == [("new", "Asia/Tokyo")]
