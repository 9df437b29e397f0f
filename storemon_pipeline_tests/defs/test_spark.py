"""Reports made on a standalone Spark cluster: the same bytes, also when a worker is killed."""

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from storemon_pipeline.settings import Settings
from storemon_pipeline.uptime import batches
from storemon_pipeline_tests.defs.test_golden import CASES, assert_expected, request_of
from storemon_pipeline_tests.helpers.runner import (
    GOLDEN,
    copy_data,
    failure,
    report_dir,
    report_files,
    run,
)
from storemon_pipeline_tests.helpers.spark_cluster import SparkCluster, spark_cluster

pytestmark = pytest.mark.spark

WEEK = 168


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkCluster]:
    """Yield a cluster with two workers."""
    pytest.importorskip("pyspark", reason="make test-spark installs it")
    with spark_cluster(tmp_path_factory.mktemp("spark")) as cluster:
        yield cluster


@pytest.fixture
def on_spark(
    cluster: SparkCluster, isolated_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> SparkCluster:
    """Make reports on the cluster, with polls in files."""
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    monkeypatch.setenv("STOREMON_MAX_BAD_SHARE", "1")
    monkeypatch.setenv("STOREMON_POLLS_URL", str(isolated_environment / "polls"))
    monkeypatch.setenv("STOREMON_ENGINE", "spark")
    monkeypatch.setenv("STOREMON_SPARK_URL", cluster.url)
    return cluster


@pytest.mark.parametrize("case", CASES)
def test_golden_case_on_spark_gives_the_expected_files(
    case: str, instance: dg.DagsterInstance, data_dir: Path, on_spark: SparkCluster
) -> None:
    copy_data(GOLDEN / case, data_dir)
    made = run(instance, "ingest_and_report_job", **request_of(case))
    assert made.success
    assert_expected(case, report_dir(made.run_id))


@pytest.fixture
def one_store_per_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Divide the sample into a slice per store."""
    monkeypatch.setattr(batches, "STORE_HOURS_PER_BATCH", WEEK)


def local_report(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    with monkeypatch.context() as patch:
        patch.setenv("STOREMON_ENGINE", "local")
        made = run(instance, "ingest_and_report_job")
        assert made.success
        return report_files(made.run_id)


def test_failed_slice_on_spark_fails_with_its_cause(
    instance: dg.DagsterInstance,
    sample: Path,
    on_spark: SparkCluster,
    isolated_environment: Path,
) -> None:
    assert run(instance, "ingest_job").success
    # of the newest day, which the driver does not read
    max((isolated_environment / "polls").rglob("*.parquet")).unlink()
    message = failure(run(instance, "report_job"), "report")
    assert message.startswith("Spark failed to evaluate a slice after its retries: ")
    assert "FileNotFoundError" in message


def test_killed_worker_costs_only_its_slices(
    instance: dg.DagsterInstance,
    sample: Path,
    on_spark: SparkCluster,
    one_store_per_slice: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = local_report(instance, monkeypatch)
    reports = Settings().reports_path
    killed: list[int] = []

    def kill_worker_once_slices_finish() -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            finished = len(list(Path(reports.path).glob("*/.slices.part/summaries/*.pickle")))
            if finished > 2:
                on_spark.kill_worker()
                killed.append(finished)
                return
            time.sleep(0.05)

    thread = threading.Thread(target=kill_worker_once_slices_finish)
    thread.start()
    made = run(instance, "report_job")
    thread.join()
    assert made.success
    assert killed, "the worker was not killed while slices were evaluated"
    assert killed[0] < len(expected["report.csv"].splitlines()) - 1
    assert report_files(made.run_id) == expected
