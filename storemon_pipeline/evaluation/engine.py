"""Engines: run a function on all slices of a report, on one machine or on a cluster."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass, field
from typing import Protocol

import pandas as pd
from loky import ProcessPoolExecutor
from loky.process_executor import BrokenProcessPool

from storemon_pipeline.evaluation.slices import (
    EngineError,
    Slice,
    SliceJob,
    SliceSummary,
    in_order,
    list_slices,
    run_slice,
)
from storemon_pipeline.evaluation.spark_engine import SparkEngine
from storemon_pipeline.settings import Settings
from storemon_pipeline.uptime.fleet import FleetSummary
from storemon_pipeline.uptime.messages import pluralize

_LOGGED_SHARE = 0.05


class Engine(Protocol):
    """Evaluates the slices of a run."""

    def run(self, job: SliceJob, slices: Sequence[Slice]) -> Iterator[SliceSummary]:
        """Evaluate each slice at least once; yield the summaries in any order.

        Raises
        ------
        EngineError
        """


class LocalEngine:
    """Evaluates slices in processes of this machine.

    A single slice is evaluated in this process, since a new one takes a second to start. The
    processes are loky's: unlike those of ``multiprocessing``, they do not import the main module
    again, which is Dagster.

    Parameters
    ----------
    workers : int
        Maximum number of processes.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers

    def run(self, job: SliceJob, slices: Sequence[Slice]) -> Iterator[SliceSummary]:
        """Evaluate the slices."""
        workers = min(self._workers, len(slices))
        if workers <= 1:
            for part in slices:
                yield run_slice(job, part)
            return
        with ProcessPoolExecutor(workers) as pool:
            try:
                for future in as_completed([pool.submit(run_slice, job, part) for part in slices]):
                    yield future.result()
            except BrokenProcessPool as error:
                msg = (
                    "a worker process died, perhaps for lack of memory: run the job again, with a "
                    "lower STOREMON_WORKERS if it happens again"
                )
                raise EngineError(msg) from error
            finally:
                pool.shutdown(kill_workers=True)


def engine_of(settings: Settings) -> Engine:
    """Return the engine of the settings.

    Raises
    ------
    EngineError
        If the polls are in the database, which the workers of a cluster cannot all query.
    """
    if settings.engine == "local":
        return LocalEngine(settings.worker_count)
    if settings.polls_url is None:
        msg = (
            "STOREMON_ENGINE=spark needs the polls in files: set STOREMON_POLLS_URL, or use "
            "STOREMON_ENGINE=local"
        )
        raise EngineError(msg)
    return SparkEngine(settings.spark_url)


@dataclass(slots=True)
class EvaluatedStores:
    """Results of all slices.

    Attributes
    ----------
    fleet : FleetSummary
    slices : int
    table_rows : Counter
        Number of rows of each table.
    """

    fleet: FleetSummary
    slices: int
    table_rows: Counter[str] = field(default_factory=Counter)


def evaluate_slices(
    engine: Engine, job: SliceJob, *, stores: pd.DataFrame, log: logging.Logger
) -> EvaluatedStores:
    """Evaluate all stores, and add up the summaries of their slices.

    Parameters
    ----------
    engine : Engine
    job : SliceJob
    stores : DataFrame
        As for :func:`~storemon_pipeline.uptime.batches.batch_stores`.
    log : Logger
        Receives the progress, every twentieth of the stores.

    Raises
    ------
    EngineError
    """
    slices = list_slices(stores, job.request.span)
    evaluated = EvaluatedStores(FleetSummary(job.request), len(slices))
    done = logged = 0
    for summary in in_order(engine.run(job, slices)):
        evaluated.fleet.merge(summary.fleet)
        evaluated.table_rows.update(summary.table_rows)
        done += summary.stores
        if done - logged >= _LOGGED_SHARE * len(stores) or done == len(stores):
            logged = done
            log.info(
                "Evaluated %.0f %% of %s",
                100 * done / max(len(stores), 1),
                pluralize(len(stores), "store"),
            )
    return evaluated
