"""Two concurrent ingests on one database: the second waits for the first, and both succeed."""

import logging
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from storemon_pipeline.settings import Settings
from storemon_pipeline.storage.database import Database
from storemon_pipeline_tests.helpers.workspace import Workspace, poll_rows

WAITS_SECONDS = 30


class Gate(logging.Handler):
    """Blocks an ingest at its first message until it is released."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.reached, self.opened = threading.Event(), threading.Event()

    def emit(self, _record: logging.LogRecord) -> None:
        self.reached.set()
        assert self.opened.wait(WAITS_SECONDS)


def test_second_ingest_waits_and_skips_all_files(either_workspace: Workspace, database_url):
    workspace = either_workspace
    workspace.put_all()
    workspace.add("store_status.csv", "bad\n")
    other = Workspace(Database(database_url, Settings().polls_url), workspace.data_dir)
    gate = Gate()
    log = logging.getLogger("storemon_tests.gated")
    log.setLevel(logging.INFO)
    log.addHandler(gate)
    with ThreadPoolExecutor() as threads:
        first = threads.submit(workspace.ingest, log=log, run_id="first")
        assert gate.reached.wait(WAITS_SECONDS)
        # readers do not wait, and see no uncommitted rows
        assert not any(other.dump().values())
        second = threads.submit(other.ingest, run_id="second")
        assert not second.done()
        threading.Event().wait(0.2)
        assert not second.done()
        gate.opened.set()
        results = [first.result(WAITS_SECONDS), second.result(WAITS_SECONDS)]
    log.removeHandler(gate)
    other.database.close()
    readings = [[file.reading for file in result["store_status"].files] for result in results]
    assert readings == [["new"], ["unchanged"]]
    assert len(workspace.polls()) == 1
    assert workspace.bad_lines() == [(3, "bad")]
    assert [row[10] for row in workspace.rows("ingested_file")] == ["first"] * 3


INGEST = """
import logging, os, sys
from datetime import UTC, datetime
from pathlib import Path
from storemon_pipeline.ingestion.ingest import ingest_files
from storemon_pipeline.storage.database import Database

print("ready", flush=True)
sys.stdin.readline()
results = ingest_files(
    Database(sys.argv[1], os.environ.get("STOREMON_POLLS_URL")), Path(sys.argv[2]), max_bad_share=1, min_snapshot_share=0.5,
    max_expansion=200, run_id="another-process",
    now=datetime(2023, 1, 25, 18, tzinfo=UTC), log=logging.getLogger(),
)
print(results["store_status"].files[0].reading)
"""


def test_second_process_waits_and_skips_all_files(either_workspace: Workspace, database_url):
    workspace = either_workspace
    workspace.put_all()
    workspace.add("store_status.csv", "\n".join([*poll_rows(range(2_000)), "bad", ""]))
    with subprocess.Popen(
        [sys.executable, "-c", INGEST, database_url, str(workspace.data_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "ready\n"
        process.stdin.write("go\n")
        process.stdin.flush()
        result = workspace.ingest_polls()
        output, _ = process.communicate(timeout=WAITS_SECONDS)
    assert process.returncode == 0
    assert sorted([result.reading, output.strip()]) == ["new", "unchanged"]
    assert len(workspace.polls()) == 2_001
    assert len(workspace.quarantined()) == 1
    assert len(workspace.rows("ingested_file")) == 3
