"""Concurrent runs do not interfere in the database or in their files."""

import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import pytest
import yaml
from upath import UPath

from storemon_pipeline.defs.run_storage import REQUEST_FILE, TABLE_FILES, RunStorage
from storemon_pipeline.settings import Settings
from storemon_pipeline.storage.database import Database
from storemon_pipeline_tests.helpers.runner import (
    CSV_FILES,
    execute,
    report_files,
    report_path,
    report_row,
    request_config,
    run,
)

AS_OF = ("2024-11-10T12:00:00Z", "2024-11-12T18:00:00Z")


def test_concurrent_reports_equal_reports_made_alone(
    instance: dg.DagsterInstance,
    sample: Path,
    isolated_environment: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # both create the database and ingest the same files
    def report(number: int) -> Path:
        config = isolated_environment / f"{number}.yaml"
        config.write_text(yaml.safe_dump(request_config(as_of=AS_OF[number])))
        done = execute("ingest_and_report_job", "-c", config, cwd=isolated_environment)
        assert done.returncode == 0, done.stdout
        assert f"as of {AS_OF[number].removesuffix('Z')}" in done.stdout
        return report_path(done.stdout)

    with ThreadPoolExecutor(max_workers=2) as pool:
        reports = list(pool.map(report, range(2)))

    for as_of, path in zip(AS_OF, reports, strict=True):
        row = report_row(path.parent.name)
        assert (row["status"], row["as_of"].isoformat()) == (
            "Complete",
            as_of.replace("Z", "+00:00"),
        )
    newest = (isolated_environment / "reports" / "report.csv").read_bytes()
    assert newest in [path.read_bytes() for path in reports]

    monkeypatch.setenv("STOREMON_DATABASE_URL", f"sqlite:///{isolated_environment}/alone.db")
    monkeypatch.setenv("STOREMON_REPORTS_DIR", str(isolated_environment / "alone"))
    assert run(instance, "ingest_job").success
    for as_of, path in zip(AS_OF, reports, strict=True):
        alone = report_files(run(instance, "report_job", as_of=as_of).run_id)
        assert {name: (path.parent / name).read_bytes() for name in CSV_FILES} == alone
    assert reports[0].read_bytes() != reports[1].read_bytes()


def test_one_of_concurrent_runs_becomes_the_latest(isolated_environment: Path) -> None:
    reports_dir = UPath(isolated_environment / "reports")
    runs = [RunStorage(reports_dir, f"run-{number}") for number in range(8)]
    for storage in runs:
        storage.directory.mkdir(parents=True)
        for name in (REQUEST_FILE, *TABLE_FILES):
            (storage.directory / name).touch()
    at_once(*[storage.publish for storage in runs for _ in range(20)])
    newest = [path.read_text() for path in reports_dir.iterdir() if path.is_file()]
    assert len(newest) == 1
    assert newest[0].startswith("run-")


def test_sqlite_file_locked_during_set_up_is_waited_for(
    isolated_environment: Path,
) -> None:
    url = Settings().database_url
    other = sqlite3.connect(
        isolated_environment / "storemon.db", isolation_level=None, check_same_thread=False
    )
    other.execute("BEGIN IMMEDIATE")
    threading.Timer(0.3, lambda: other.execute("COMMIT")).start()
    database = Database(url)
    with database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
    database.close()
    other.close()


def at_once(*calls: Callable[[], object]) -> None:
    """Call functions concurrently; raise the first error."""
    with ThreadPoolExecutor(max_workers=len(calls)) as pool:
        for future in [pool.submit(call) for call in calls]:
            future.result()
