"""A file gives the same rows with any compression, byte order mark and newline."""

import pytest

from storemon_pipeline_tests.helpers.workspace import POLLS, Workspace, gz, poll_rows, text, zst

STORES = [f"{number:03}" for number in range(40)]
MARK = b"\xef\xbb\xbf"


def stores(workspace: Workspace) -> list[str]:
    return [store for store, _, _ in workspace.polls()]


@pytest.mark.parametrize(
    "name", ["store_status.csv", "store_status.csv.gz", "store_status.csv.zst"]
)
@pytest.mark.parametrize("packed", [bytes, gz, zst])
def test_compression_is_detected_by_content(workspace: Workspace, name, packed):
    workspace.put_bytes(name, packed(text(POLLS, *poll_rows(STORES))))
    assert workspace.ingest_polls().rows == len(STORES)
    assert stores(workspace) == STORES


@pytest.mark.parametrize("packed", [gz, zst])
def test_concatenated_compressed_streams_are_read(workspace: Workspace, packed):
    pieces = [text(POLLS), text(*poll_rows(STORES[:7])), text(*poll_rows(STORES[7:]))]
    # concatenated gzip or zstd files are one file
    workspace.put_bytes("store_status.csv.gz", b"".join(packed(piece) for piece in pieces))
    workspace.ingest()
    assert stores(workspace) == STORES


@pytest.mark.parametrize("packed", [bytes, zst])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", MARK])
def test_byte_order_mark_and_newline_kind_are_ignored(workspace: Workspace, packed, newline, mark):
    lines = [POLLS, *poll_rows(STORES[:2]), "bad", "", *poll_rows(STORES[2:])]
    workspace.put_bytes("store_status.csv", packed(mark + text(*lines, newline=newline)))
    workspace.ingest()
    assert stores(workspace) == STORES
    assert workspace.bad_lines() == [(4, "bad")]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_compressed_file_may_end_without_newline(workspace: Workspace, newline):
    content = text(POLLS, *poll_rows(["1", "2"]), "3,active,2023-01-25 10:00", newline=newline)
    workspace.put_bytes("store_status.csv.gz", gz(content.rstrip()))
    result = workspace.ingest_polls()
    assert (result.rows, result.partial_line) == (3, None)
    assert stores(workspace) == ["1", "2", "3"]


@pytest.mark.parametrize("row", ["", "1,active,2023-01-25 10:00:00 UTC", POLLS])
def test_byte_order_mark_within_file_is_one_bad_row(workspace: Workspace, row):
    # as where two files were concatenated
    content = text(POLLS) + MARK + text(row, *poll_rows(["2", "3"]), "bad")
    workspace.put_bytes("store_status.csv", content)
    workspace.ingest()
    assert stores(workspace) == ["2", "3"]
    assert workspace.bad_lines() == [(2, "\ufeff" + row), (5, "bad")]
