"""The same rows come out however a file is packed: compressed or not, marked, with any newline."""

import pytest

from storemon_pipeline_tests.intake.place import POLLS, Place, gz, poll_rows, text, zst

STORES = [f"{number:03}" for number in range(40)]
MARK = b"\xef\xbb\xbf"


def stores(place: Place) -> list[str]:
    return [store for store, _, _ in place.polls()]


@pytest.mark.parametrize(
    "name", ["store_status.csv", "store_status.csv.gz", "store_status.csv.zst"]
)
@pytest.mark.parametrize("packed", [bytes, gz, zst])
def test_compression_is_recognised_by_content_whatever_the_file_is_called(
    place: Place, name, packed
):
    place.put_bytes(name, packed(text(POLLS, *poll_rows(STORES))))
    assert place.take_in_polls().rows == len(STORES)
    assert stores(place) == STORES


@pytest.mark.parametrize("packed", [gz, zst])
def test_a_compressed_file_may_have_been_written_in_pieces(place: Place, packed):
    pieces = [text(POLLS), text(*poll_rows(STORES[:7])), text(*poll_rows(STORES[7:]))]
    # gzip and zstd files put one after the other are one file
    place.put_bytes("store_status.csv.gz", b"".join(packed(piece) for piece in pieces))
    place.take_in()
    assert stores(place) == STORES


@pytest.mark.parametrize("packed", [bytes, zst])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", MARK])
def test_a_byte_order_mark_and_the_kind_of_newline_change_nothing(
    place: Place, packed, newline, mark
):
    lines = [POLLS, *poll_rows(STORES[:2]), "bad", "", *poll_rows(STORES[2:])]
    place.put_bytes("store_status.csv", packed(mark + text(*lines, newline=newline)))
    place.take_in()
    assert stores(place) == STORES
    assert place.bad_lines() == [(4, "bad")]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_compressed_file_ends_where_it_ends_with_a_newline_or_without(place: Place, newline):
    content = text(POLLS, *poll_rows(["1", "2"]), "3,active,2023-01-25 10:00", newline=newline)
    place.put_bytes("store_status.csv.gz", gz(content.rstrip()))
    report = place.take_in_polls()
    assert (report.rows, report.waiting_line) == (3, None)
    assert stores(place) == ["1", "2", "3"]


@pytest.mark.parametrize("row", ["", "1,active,2023-01-25 10:00:00 UTC", POLLS])
def test_a_byte_order_mark_within_a_file_spoils_only_its_own_row(place: Place, row):
    # as where two files were put together
    content = text(POLLS) + MARK + text(row, *poll_rows(["2", "3"]), "bad")
    place.put_bytes("store_status.csv", content)
    place.take_in()
    assert stores(place) == ["2", "3"]
    assert place.bad_lines() == [(2, "\ufeff" + row), (5, "bad")]
