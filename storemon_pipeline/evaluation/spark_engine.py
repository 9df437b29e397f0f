"""Evaluate slices on Apache Spark, classic or Connect, without a shuffle.

Spark schedules one task per slice and retries failed ones. The polls do not pass through Spark: a
task reads its own from the files. Summaries return as files too, beside the parts, so that they
appear while the job runs and no result is limited by the memory of Spark's driver.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import pyarrow as pa
from upath import UPath

from storemon_pipeline.evaluation.slices import (
    EngineError,
    Slice,
    SliceJob,
    SliceSummary,
    run_slice,
)
from storemon_pipeline.storage.atomic_file import open_atomically

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_SECONDS_BETWEEN_LOOKS = 0.5
_SCHEMA = "number long"
_NOT_INSTALLED = (
    "STOREMON_ENGINE=spark needs PySpark: pip install 'storemon-pipeline[spark]', or use "
    "STOREMON_ENGINE=local"
)


class SparkEngine:
    """Evaluates slices in tasks of a Spark cluster.

    The reports directory and the directory of polls must be reachable from every worker under the
    same path, and the workers' Python must have this package.

    Parameters
    ----------
    url : str
        ``local[*]``, ``spark://host:port``, ``yarn`` or ``k8s://…``, or ``sc://host:port`` of a
        Spark Connect server.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def run(self, job: SliceJob, slices: Sequence[Slice]) -> Iterator[SliceSummary]:
        """Evaluate the slices; yield each summary once its file is complete."""
        directory = job.parts / "summaries"
        directory.mkdir(parents=True, exist_ok=True)
        # ends with this process, which is that of the run
        session = self._session()
        waiting = {part.number for part in slices}
        with ThreadPoolExecutor(1) as thread:
            done = thread.submit(_evaluate, session, job, slices, directory)
            try:
                while waiting:
                    is_last_look = _wait(done)
                    for number in sorted(waiting & _finished(directory)):
                        waiting.remove(number)
                        yield _read_summary(directory, number)
                    if is_last_look:
                        _raise_failure(done)
                        break
            finally:
                if not done.done():
                    session.interruptAll()

    def _session(self) -> SparkSession:
        try:
            from pyspark.sql import SparkSession  # noqa: PLC0415 - an optional dependency
        except ImportError as error:
            raise EngineError(_NOT_INSTALLED) from error
        builder = SparkSession.builder.appName("storemon_pipeline")
        if self._url.startswith("sc://"):
            return builder.remote(self._url).getOrCreate()
        return builder.master(self._url).config("spark.ui.enabled", "false").getOrCreate()


def _evaluate(
    session: SparkSession, job: SliceJob, slices: Sequence[Slice], directory: UPath
) -> None:
    tasks = session.range(0, len(slices), 1, max(len(slices), 1))
    tasks.mapInArrow(_task(job, list(slices), directory), _SCHEMA).collect()


def _task(
    job: SliceJob, slices: list[Slice], directory: UPath
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def run_task(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column(0).to_pylist():
                _write_summary(directory, run_slice(job, slices[number]))
            yield batch.rename_columns(["number"])

    return run_task


def _write_summary(directory: UPath, summary: SliceSummary) -> None:
    with open_atomically(directory / f"{summary.number:06}.pickle") as file:
        pickle.dump(summary, file)


def _read_summary(directory: UPath, number: int) -> SliceSummary:
    # written by our own workers below the reports directory
    summary: SliceSummary = pickle.loads((directory / f"{number:06}.pickle").read_bytes())  # noqa: S301
    return summary


def _finished(directory: UPath) -> set[int]:
    return {int(path.stem) for path in directory.iterdir() if path.suffix == ".pickle"}


def _wait(done: Future[None]) -> bool:
    """Wait a moment for the job; return whether it has ended."""
    try:
        done.exception(_SECONDS_BETWEEN_LOOKS)
    except TimeoutError:
        return False
    return True


def _raise_failure(done: Future[None]) -> None:
    error = done.exception()
    if error is not None:
        text = str(error).strip().splitlines()
        cause = next((line for line in reversed(text) if "Error:" in line), text[0] if text else "")
        msg = (
            f"Spark failed to evaluate a slice after its retries: {cause.strip()}. See the log of "
            "its executors"
        )
        raise EngineError(msg) from error
