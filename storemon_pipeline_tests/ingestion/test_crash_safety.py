"""A killed ingest changes nothing, and can be repeated."""

import logging
import signal
import subprocess
import sys
import threading

import pytest

from storemon_pipeline.ingestion import file_ingestion, line_reader, row_stream
from storemon_pipeline_tests.helpers.workspace import (
    HOURS,
    LOG,
    POLLS,
    ZONES,
    Workspace,
    gz,
    text,
)

ROWS = 10_000
BLOCK_BYTES = 2**14
BLOCKS = 5  # of about twenty


def put_many(workspace: Workspace) -> None:
    """Write files of many blocks, with bad rows."""
    rows = [f"{n},active,2023-01-25 10:00:00 UTC" if n % 100 else "bad" for n in range(ROWS)]
    workspace.put_bytes("store_status.csv", text(POLLS, *rows))
    workspace.put_bytes("store_status_2.csv.gz", gz(text(POLLS, *rows[:10])))
    workspace.write(
        "menu_hours.csv", HOURS, *(f"{n},0,09:00:00,17:00:00" for n in range(10)), "bad"
    )
    workspace.write("timezones.csv", ZONES, *(f"{n},Asia/Tokyo" for n in range(10)), "bad")


class KilledError(BaseException):
    """Simulates a kill; not an Exception, so that no handler catches it."""


class Killer(logging.Handler):
    """Raises at the n-th message of the log."""

    def __init__(self, n: int) -> None:
        super().__init__(logging.INFO)
        self.left = n

    def emit(self, _record: logging.LogRecord) -> None:
        self.left -= 1
        if not self.left:
            raise KilledError


def killed(workspace: Workspace, *, at_message: int) -> bool:
    """Return whether an ingest was killed at a message of its log; false if it logs fewer."""
    killer = Killer(at_message)
    LOG.addHandler(killer)
    try:
        workspace.ingest()
    except KilledError:
        return True
    finally:
        LOG.removeHandler(killer)
    return False


def test_killed_ingest_changes_nothing_and_next_succeeds(either_workspace: Workspace, monkeypatch):
    workspace = either_workspace
    monkeypatch.setattr(line_reader, "BLOCK_BYTES", 100)
    workspace.put_all(store="old")
    workspace.ingest()
    before = workspace.dump()
    workspace.put_all(store="new")
    workspace.add("store_status.csv", "1,active,2023-01-25 10:00:00 UTC\nbad\n" * 10)
    messages = 1
    while killed(workspace, at_message=messages):
        assert workspace.dump() == before
        messages += 1
    # blocks of three files, and a line about each table
    assert messages > 8
    assert [row[0] for row in workspace.rows("store_status")] == ["1", "new", "old"]
    assert [row[0] for row in workspace.rows("business_hours")] == ["new"]
    assert len(workspace.quarantined()) == 10


def test_error_in_prefetch_thread_is_raised_without_changes(
    either_workspace: Workspace, monkeypatch
):
    workspace = either_workspace
    monkeypatch.setattr(line_reader, "BLOCK_BYTES", BLOCK_BYTES)
    monkeypatch.setattr(file_ingestion, "BATCH_ROWS", 1)
    workspace.put_all(store="old")
    workspace.ingest()
    before = workspace.dump()
    put_many(workspace)
    read_rows, threads = row_stream.parse_rows, threading.active_count()

    def read_rows_until_memory_ends(block, header):
        if block.first_line > ROWS // 2:
            raise MemoryError("no room")
        return read_rows(block, header)

    with monkeypatch.context() as patched:
        patched.setattr(row_stream, "parse_rows", read_rows_until_memory_ends)
        with pytest.raises(MemoryError, match="no room"):
            workspace.ingest()
    assert workspace.dump() == before
    assert threading.active_count() == threads
    workspace.ingest()
    assert len(workspace.polls()) == ROWS - ROWS // 100 + 1


INGEST = f"""
import logging, os, sys
from datetime import UTC, datetime
from pathlib import Path
from storemon_pipeline.ingestion import line_reader
from storemon_pipeline.ingestion.ingest import ingest_files
from storemon_pipeline.storage.database import Database

line_reader.BLOCK_BYTES = {BLOCK_BYTES}
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
ingest_files(
    Database(sys.argv[1], os.environ.get("STOREMON_POLLS_URL")), Path(sys.argv[2]), max_bad_share=1, min_snapshot_share=0.5,
    max_expansion=200, run_id="killed",
    now=datetime(2023, 1, 25, 18, tzinfo=UTC), log=logging.getLogger(),
)
"""


def test_killed_process_leaves_no_rows(either_workspace: Workspace, database_url):
    workspace = either_workspace
    put_many(workspace)
    with subprocess.Popen(
        [sys.executable, "-c", INGEST, database_url, str(workspace.data_dir)],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if sum("store_status.csv: read up to line" in line for line in lines) == BLOCKS:
                process.send_signal(signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL, "".join(lines)
    assert not any(workspace.dump().values())

    results = workspace.ingest()
    assert {file.reading for result in results.values() for file in result.files} == {"new"}
    assert len(workspace.polls()) == ROWS - ROWS // 100
    assert len(workspace.quarantined()) == ROWS // 100 + 3
