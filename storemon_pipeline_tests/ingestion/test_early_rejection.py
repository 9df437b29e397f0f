"""A file with too many bad rows is rejected early; accepted bad rows are stored block by block."""

import gzip

import pytest

from storemon_pipeline.ingestion import bad_rows, line_reader, raw_file
from storemon_pipeline.ingestion.file_errors import IngestionError, TooManyBadRowsError
from storemon_pipeline_tests.helpers.workspace import HOURS, POLLS, Workspace, gz, poll_rows, text

NUL = "is not read so far\0"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limit blocks to ten lines, and check the share of bad rows after a hundred rows."""
    monkeypatch.setattr(line_reader, "BLOCK_LINES", 10)
    monkeypatch.setattr(bad_rows, "MIN_ROWS_TO_JUDGE", 100)
    monkeypatch.setattr(raw_file, "UNPACKED_FLOOR", 2000)


@pytest.mark.usefixtures("small")
def test_hopeless_file_is_rejected_before_its_end(workspace: Workspace, monkeypatch):
    monkeypatch.setattr(line_reader, "BLOCK_BYTES", 100)
    workspace.write("store_status.csv", POLLS, *["x"] * 300, NUL)
    with pytest.raises(TooManyBadRowsError, match=r"(\d+) of its first \1 rows \(100.0%\) are bad"):
        workspace.ingest(max_bad_share=0.05)
    with pytest.raises(IngestionError, match="NUL byte in line 302"):
        workspace.ingest(max_bad_share=1)


@pytest.mark.usefixtures("small")
def test_file_with_few_bad_rows_is_read_to_its_end(workspace: Workspace):
    workspace.write("store_status.csv", POLLS, *poll_rows(range(190)), *["x"] * 10)
    assert workspace.ingest(max_bad_share=0.05)["store_status"].total_bad_rows == 10


@pytest.mark.usefixtures("small")
def test_bad_rows_of_many_blocks_are_all_kept(either_workspace: Workspace):
    workspace = either_workspace
    rows = [f"bad {n}" for n in range(300)]
    workspace.write("store_status.csv", POLLS, *rows)
    result = workspace.ingest_polls()
    assert workspace.bad_lines() == list(enumerate(rows, 2))
    assert (result.bad_rows, result.total_bad_rows) == (300, 300)
    assert result.first_bad_rows["row_text"].tolist() == rows[:20]
    (reading,) = workspace.rows("ingested_file")
    assert (reading[7], reading[8]) == (300, 300)
    workspace.add("store_status.csv", "bad too\n")
    assert workspace.ingest_polls().total_bad_rows == 301


@pytest.mark.usefixtures("small")
def test_days_from_one_are_named_before_the_bad_share(workspace: Workspace):
    workspace.put_all()
    rows = [f"{store},{day},09:00,17:00" for store in range(30) for day in range(1, 8)]
    workspace.write("menu_hours.csv", HOURS, *rows)
    with pytest.raises(IngestionError, match="a day 7 and no day 0"):
        workspace.ingest(max_bad_share=0.05)


@pytest.mark.usefixtures("small")
def test_file_that_unpacks_to_too_much_is_rejected(workspace: Workspace):
    packed = gz(text(POLLS) + b"\n" * 100_000)
    workspace.put_bytes("store_status.csv.gz", packed)
    with pytest.raises(IngestionError) as error:
        workspace.ingest(max_expansion=20)
    assert str(error.value) == (
        "store_status.csv.gz was rejected: uncompressed, it is more than 20 times its "
        f"{len(packed):,} bytes, the maximum set by STOREMON_MAX_EXPANSION. Increase it or "
        "uncompress the file. Nothing was changed."
    )
    workspace.ingest(max_expansion=1000)


@pytest.mark.usefixtures("small")
def test_expansion_is_bounded_while_comparing_hashes(workspace: Workspace):
    workspace.put_bytes("store_status.csv.gz", gz(text(POLLS, *poll_rows([1]))))
    workspace.ingest(max_expansion=1)
    workspace.put_bytes("store_status.csv.gz", gz(text(POLLS, *poll_rows([1])) + b"\n" * 100_000))
    with pytest.raises(IngestionError, match="STOREMON_MAX_EXPANSION"):
        workspace.ingest(max_expansion=20)


def test_small_file_may_unpack_to_many_times_its_size(workspace: Workspace):
    workspace.put_bytes("store_status.csv.gz", gzip.compress(text(POLLS) + b"\n" * 1_000_000))
    assert workspace.ingest(max_expansion=1)["store_status"].total_rows == 0
