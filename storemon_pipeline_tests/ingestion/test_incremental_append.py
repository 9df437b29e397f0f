"""A growing file of polls gives the same tables as the whole file, wherever it was cut."""

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from storemon_pipeline.ingestion import line_reader
from storemon_pipeline.ingestion.file_errors import IngestionError
from storemon_pipeline.storage.database import Database
from storemon_pipeline_tests.helpers.workspace import POLLS, Workspace

STAMPS = [
    "2023-01-25 10:00:00 UTC",
    "2023-01-25 10:00:00.5 UTC",
    "2023-01-25 10:00:00.123456 UTC",
    "2023-01-25 10:00:00",
    "2023-01-25 10:00:00.123",
    "2023-01-25T10:00:00Z",
    "2023-01-25T10:00:00.25+05:30",
    "2023-01-25 10:00:00-0500",
    "2023-01-25 10:00:00+05",
    "2023-01-25 10:00:00.1234567Z",
    "2023-01-25 10:00:00 +0000 UTC",
    "2023-01-25 10:00:00 utc",
    "2023-01-25 10",
    "",
]
STATUSES = ["active", "inactive", "ACTIVE", " inactive", "active ", "open", ""]
BAD_LINES = [
    "",
    "bad",
    '"',
    '"""',
    "a,b",
    "\u2603,\u00e9,\U0001f35c",
    "a\rb",
    ",,,,",
    '1,"active',
    "1,active,2023-01-25 10:00:00 UTCx",
    "1,2023-01-25 10:00:00,inactively",
    " ",
]
HEADERS = [POLLS, "store_id,timestamp_utc,status", "timestamp_utc,status,store_id"]


@st.composite
def grown_files(draw: st.DrawFn) -> tuple[bytes, list[int]]:
    """Draw the bytes of a file of polls, and the positions at which it was cut."""
    header = draw(st.sampled_from(HEADERS))
    newline = draw(st.sampled_from(["\n", "\r\n"]))
    lines = [header]
    for _ in range(draw(st.integers(0, 8))):
        value = {
            "store_id": draw(st.sampled_from(["1", "22", "333", "-"])),
            "timestamp_utc": draw(st.sampled_from(STAMPS)),
            "status": draw(st.sampled_from(STATUSES)),
        }
        quote = draw(st.sampled_from(["", "", '"']))
        row = ",".join(f"{quote}{value[name]}{quote}" for name in header.split(","))
        lines.append(draw(st.sampled_from([row, row, row, *draw(st.permutations(BAD_LINES))[:1]])))
    mark = draw(st.sampled_from([b"", b"\xef\xbb\xbf"]))
    data = mark + "".join(line + newline for line in lines).encode()
    cuts = draw(st.lists(st.integers(0, len(data)), max_size=5, unique=True))
    return data, sorted(cuts)


def ingested(workspace: Workspace, data: bytes, cuts: list[int]) -> tuple:
    """Return polls, bad rows and counts after ingesting a file at each cut."""
    workspace.empty()
    before = None
    for cut in [*cuts, len(data)]:
        workspace.put_bytes("store_status.csv", data[:cut])
        if b"\n" not in data[:cut]:
            # a file with an incomplete header may be rejected, which changes nothing
            try:
                workspace.ingest()
            except IngestionError:
                assert workspace.polls() == workspace.quarantined() == []
            continue
        before = workspace.ingest_polls()
    return workspace.polls(), workspace.quarantined(), before.total_rows, before.total_bad_rows


@settings(
    max_examples=settings.default.max_examples // 5,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@example(file=(f"{POLLS}\nx\n1,active,2023-01-25 10:00:00Z\n".encode(), [30, 32, 60, 61]))
@example(file=(b"store_id,timestamp_utc,status\nx\n1,2023-01-25 10:00:00,active \n", [60]))
@example(file=(f"{POLLS}\n-,active,2023-01-25 10:00:00Z \n".encode(), [61]))
@example(file=(f"{POLLS}\n1,active,2023-01-25 10:00:00 UTC\x97".encode("latin-1"), [62]))
@example(file=(f"{POLLS}\n1,active,2023-01-25 10:00:00Z\r\r\n".encode(), [59, 60, 61]))
@example(file=(f'{POLLS}\n"1","active","2023-01-25 10:00:00Z"\n'.encode(), [62, 63]))
@given(file=grown_files())
def test_incremental_ingest_equals_ingest_at_once(workspace: Workspace, file):
    data, cuts = file
    assert ingested(workspace, data, cuts) == ingested(workspace, data, [])


DATA = (
    b"store_id,timestamp_utc,status\r\n"
    b"1,2023-01-25 10:00:00.12 UTC,active\r\n"
    b"bad\r\n"
    b"2,2023-01-25 10:00:00.345678 UTC,Inactive \r\n"
    b"\r\n"
    b'"3",2023-01-25T10:00:00Z,"inactive"\r\n'
    b"1,2023-01-25 10:00:00.120 UTC,inactive\r\n"
    b"worse"
)


@pytest.mark.no_cover  # two hundred ingests of the same lines
def test_byte_by_byte_in_small_blocks_equals_ingest_at_once(workspace: Workspace, monkeypatch):
    monkeypatch.setattr(line_reader, "BLOCK_BYTES", 50)
    start = DATA.index(b"\n") + 1
    polls, bad, rows, bad_rows = ingested(workspace, DATA, list(range(start, len(DATA))))
    assert polls == [
        ("1", "2023-01-25 10:00:00.120000", "inactive"),
        ("2", "2023-01-25 10:00:00.345678", "inactive"),
        ("3", "2023-01-25 10:00:00", "inactive"),
    ]
    assert [row[1:3] for row in bad] == [(3, "bad")]
    assert (rows, bad_rows) == (5, 1)


def test_incremental_ingest_works_on_both_databases(database: Database, data_dir):
    workspace = Workspace(database, data_dir)
    steps = list(range(DATA.index(b"\n") + 1, len(DATA), 17))
    assert ingested(workspace, DATA, steps) == ingested(workspace, DATA, [])
