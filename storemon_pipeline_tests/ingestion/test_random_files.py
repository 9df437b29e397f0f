"""Random files of polls: every line is accounted for, and reading in steps gives the same."""

import random

import pytest

from storemon_pipeline.ingestion import line_reader
from storemon_pipeline.ingestion.file_errors import IngestionError
from storemon_pipeline_tests.helpers.workspace import Workspace

HEADERS = [
    b"store_id,status,timestamp_utc",
    b"store_id,timestamp_utc,status",
    b"timestamp_utc,status,store_id",
    b"store_id,status,timestamp_utc,note",
    b"note,store_id,timestamp_utc,status",
]
VALUES = {
    b"store_id": [b"1", b"22", b"x.y:z", b"-", b"", b"1\xe2\x80\x8b"],
    b"status": [b"active", b"inactive", b"ACTIVE", b"open", b"", b"act"],
    b"timestamp_utc": [
        b"2023-01-25 10:00:00 UTC",
        b"2023-01-25 10:00:00.5 UTC",
        b"2023-01-25 10:00:00",
        b"2023-01-25T10:00:00Z",
        b"2023-01-25 10:00:00.123456+0530",
        b"2023-01-25 10:00:00.1234567 +00:00",
        b"2024-01-25 10:00:00 UTC",
        b"0001-01-01 00:00:00Z",
        b"25/01/2023",
        b"",
    ],
    b"note": [b"", b"a note", b"caf\xc3\xa9"],
}
# inserted at random positions
NOISE = [
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\r\n",
    b" ",
    b"\t",
    b'"',
    b'""',
    b",",
    b";",
    b"\xef\xbb\xbf",
    b"\xe2\x98\x83",
    b"x",
]
BROKEN = [b"\x97", b"\xc3", b"\xff", b"\0"]
LINE_ENDS = [b"\n", b"\r\n", b"\r\r\n"]


def random_file(chance: random.Random) -> bytes:
    """Generate a file of polls with random damage."""
    header = chance.choice(HEADERS)
    line_end = chance.choice(LINE_ENDS[:2] * 3 + LINE_ENDS[2:])
    lines = [header]
    for _ in range(chance.randrange(8)):
        values = [chance.choice(VALUES[name]) for name in header.split(b",")]
        if chance.random() < 0.6:  # a good row
            values = [VALUES[name][chance.randrange(2)] for name in header.split(b",")]
        quote = b'"' if chance.random() < 0.2 else b""
        space = chance.choice([b"", b"", b"", b" ", b"\t"])
        lines.append(b",".join(quote + value + quote + space for value in values))
    data = chance.choice([b"", b"\xef\xbb\xbf", b"sep=,\n"][: 2 + (chance.random() < 0.3)])
    data += b"".join(
        line + (line_end if chance.random() < 0.95 else chance.choice(LINE_ENDS)) for line in lines
    )
    if chance.random() < 0.4:
        data = data[: len(data) - len(line_end)]
    start = data.find(header) + len(header)
    for _ in range(chance.choice([0, 0, 1, 1, 2, 5])):
        at = chance.randint(start, len(data))
        data = data[:at] + chance.choice(NOISE) + data[at:]
    if chance.random() < 0.1:
        at = chance.randint(start, len(data))
        data = data[:at] + chance.choice(BROKEN) + data[at:]
    return data


def outcome(workspace: Workspace, data: bytes, cuts: list[int]) -> tuple:
    """Return the rows after ingesting a file at each cut, or that it is rejected."""
    workspace.empty()
    for cut in [*cuts, len(data)]:
        workspace.put_bytes("store_status.csv", data[:cut])
        try:
            result = workspace.ingest_polls()
        except IngestionError:
            result = None
    if result is None:
        return ("rejected",)
    return (
        workspace.polls(),
        sorted(workspace.quarantined()),
        result.total_rows,
        result.total_bad_rows,
        result.partial_line,
    )


def lines_of_rows(data: bytes, waiting: str | None) -> dict[int, str]:
    """Return number and text of every line that must be a row."""
    # only a waiting line may be invalid UTF-8
    *lines, last = data.decode(errors="replace").removeprefix("\ufeff").split("\n")
    if last and waiting is None:
        lines.append(last)
    first = 2 if data.startswith(b"sep=") else 1
    texts = {number: line.removesuffix("\r") for number, line in enumerate(lines, 1)}
    return {number: line for number, line in texts.items() if number > first and line}


def check_file(workspace: Workspace, seed: int) -> None:
    chance = random.Random(seed)
    data = random_file(chance)
    whole = outcome(workspace, data, [])
    if whole != ("rejected",):
        _, quarantined, rows, bad_rows, waiting = whole
        lines = lines_of_rows(data, waiting)
        assert rows == len(lines), (seed, data)
        assert bad_rows == len(quarantined), (seed, data)
        for _, number, text, _ in quarantined:
            assert lines[number] == text, (seed, data)
    cuts = sorted(chance.sample(range(1, len(data) + 1), chance.choice([1, 1, 2, 3])))
    assert outcome(workspace, data, cuts) == whole, (seed, data, cuts)


@pytest.mark.parametrize("seed", range(10))
def test_random_file_reads_whole_as_in_steps(workspace: Workspace, monkeypatch, seed):
    monkeypatch.setattr(line_reader, "BLOCK_BYTES", 50 if seed % 2 else 2**24)
    check_file(workspace, seed)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1000, 5000, 250))
def test_random_files_read_whole_as_in_steps(workspace: Workspace, monkeypatch, first):
    monkeypatch.setattr(line_reader, "BLOCK_BYTES", 50 if first % 500 else 2**24)
    for seed in range(first, first + 250):
        check_file(workspace, seed)
