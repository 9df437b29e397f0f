"""Reports can be stored on any fsspec file system, and later runs read from it."""

from pathlib import Path

import dagster as dg
import pytest
from upath import UPath

from storemon_pipeline_tests.helpers.runner import CSV_FILES, materialize, report_files, run


def test_report_on_another_file_system_is_the_same(
    instance: dg.DagsterInstance, two_stores: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = report_files(run(instance, "ingest_and_report_job").run_id)
    monkeypatch.setenv("STOREMON_REPORTS_DIR", "memory://reports")
    reports = UPath("memory://reports")
    first = run(instance, "report_job")
    again = materialize(instance, "uptime_report")
    assert first.success
    assert again.success
    remote = {name: (reports / first.run_id / name).read_bytes() for name in CSV_FILES}
    assert remote == local
    assert (reports / again.run_id / "report.csv").read_bytes() == local["report.csv"]
    assert (reports / "report.csv").read_bytes() == local["report.csv"]
