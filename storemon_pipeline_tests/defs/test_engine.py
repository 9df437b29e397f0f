"""Engines give the same bytes, whatever the number of workers and the place of the polls."""

import os
import signal
from pathlib import Path

import dagster as dg
import pytest

from storemon_pipeline.evaluation import engine as engines
from storemon_pipeline.evaluation.engine import LocalEngine, engine_of
from storemon_pipeline.evaluation.slices import EngineError, Slice
from storemon_pipeline.settings import Settings
from storemon_pipeline.uptime import batches
from storemon_pipeline_tests.helpers.runner import failure, report_files, run

WEEK = 168


def reported(instance: dg.DagsterInstance, job: str = "report_job") -> dict[str, bytes]:
    made = run(instance, job)
    assert made.success
    return report_files(made.run_id)


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Divide the sample into nine slices."""
    monkeypatch.setattr(batches, "STORE_HOURS_PER_BATCH", 7 * WEEK)


def test_report_from_files_equals_that_from_the_table(
    instance: dg.DagsterInstance,
    sample: Path,
    small_slices: None,
    isolated_environment: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STOREMON_WORKERS", "1")
    from_table = reported(instance, "ingest_and_report_job")
    monkeypatch.setenv("STOREMON_DATABASE_URL", f"sqlite:///{isolated_environment}/other.db")
    monkeypatch.setenv("STOREMON_POLLS_URL", str(isolated_environment / "polls"))
    assert reported(instance, "ingest_and_report_job") == from_table
    monkeypatch.setenv("STOREMON_WORKERS", "2")
    assert reported(instance) == from_table


def test_number_of_workers_does_not_change_the_report(
    instance: dg.DagsterInstance,
    sample: Path,
    small_slices: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STOREMON_WORKERS", "1")
    alone = reported(instance, "ingest_and_report_job")
    monkeypatch.setenv("STOREMON_WORKERS", "2")
    assert reported(instance) == alone


def _die(job: object, part: Slice) -> None:
    if part.number == 1:
        os.kill(os.getpid(), signal.SIGKILL)


def test_killed_worker_fails_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "run_slice", _die)
    slices = [Slice(number, "", "", 0) for number in range(4)]
    with pytest.raises(EngineError, match="with a lower STOREMON_WORKERS"):
        list(LocalEngine(2).run(None, slices))  # type: ignore[arg-type]


def test_failed_slice_leaves_no_file(
    instance: dg.DagsterInstance,
    sample: Path,
    small_slices: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert run(instance, "ingest_job").success
    monkeypatch.setenv("STOREMON_ENGINE", "spark")
    failed = run(instance, "report_job")
    assert "set STOREMON_POLLS_URL" in failure(failed, "report")
    reports = Settings().reports_path / failed.run_id
    assert [path.name for path in reports.iterdir()] == ["intermediate"]


def test_spark_without_polls_in_files_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOREMON_ENGINE", "spark")
    with pytest.raises(EngineError, match="needs the polls in files: set STOREMON_POLLS_URL"):
        engine_of(Settings())
