"""Evaluate a slice of stores, from files to files.

A slice is a batch of stores that one worker evaluates. A worker needs only paths and a reader of
polls, so it can be another process or another machine. It writes its part of each output under a
name that depends only on the slice, so evaluating a slice again writes the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import pandas as pd
from upath import UPath

from storemon_pipeline.evaluation.poll_lookback import read_polls_with_lookback
from storemon_pipeline.storage.poll_store import PollReader
from storemon_pipeline.storage.report_writer import write_report_parts
from storemon_pipeline.storage.run_tables import LazyTable, write_table
from storemon_pipeline.uptime.batches import batch_stores
from storemon_pipeline.uptime.evaluate import Evaluation, evaluate_slice, store_results
from storemon_pipeline.uptime.fleet import FleetSummary
from storemon_pipeline.uptime.opening_hours import OpeningHours
from storemon_pipeline.uptime.report_request import ReportRequest


class EngineError(RuntimeError):
    """Raised if slices cannot be evaluated; the message has the remedy."""


@dataclass(frozen=True, slots=True)
class Slice:
    """A range of stores.

    Attributes
    ----------
    number : int
        From 0, in the order of the stores.
    first_store, last_store : str
        Both included; empty if there are no stores.
    stores : int
        Number of stores.
    """

    number: int
    first_store: str
    last_store: str
    stores: int


@dataclass(frozen=True, slots=True)
class SliceJob:
    """What the slices of a run have in common.

    Attributes
    ----------
    request : ReportRequest
    no_data_after : timedelta
    polls : PollReader
    stores, weekly_hours, special_dates : UPath
        Parquet files with the inputs of all slices.
    parts : UPath
        The directory of the outputs.
    tables : tuple of str
        The tables of :data:`TABLES` to write.
    files : tuple of str
        The CSV files of the report to write.
    from_tables : dict, optional
        The tables of :data:`TABLES` by name, if results are computed from them, not from polls.
    """

    request: ReportRequest
    no_data_after: timedelta
    polls: PollReader
    stores: UPath
    weekly_hours: UPath
    special_dates: UPath
    parts: UPath
    tables: tuple[str, ...]
    files: tuple[str, ...]
    from_tables: Mapping[str, UPath] | None = None


@dataclass(frozen=True, slots=True)
class SliceSummary:
    """What a worker returns; everything else is in its files.

    Attributes
    ----------
    number, stores : int
        Of the :class:`Slice`.
    table_rows : dict
        Number of rows of each table.
    fleet : FleetSummary
    """

    number: int
    stores: int
    table_rows: dict[str, int]
    fleet: FleetSummary


TABLES: dict[str, Callable[[Evaluation, pd.DataFrame], pd.DataFrame]] = {
    "open_hours": lambda done, stores: done.intervals.open_hours(stores),
    "status_intervals": lambda done, stores: done.intervals.status_intervals(stores),
    "current_status": lambda done, _stores: done.results.current,
}
"""The tables of a run that slices write, and how they are made from an evaluation."""


def list_slices(stores: pd.DataFrame, span: tuple[datetime, datetime]) -> list[Slice]:
    """Divide stores into slices that are bounded by stores and polls.

    Parameters
    ----------
    stores, span
        As for :func:`~storemon_pipeline.uptime.batches.batch_stores`.
    """
    return [
        Slice(number, *_bounds(batch["store_id"]), len(batch))
        for number, batch in enumerate(batch_stores(stores, span))
    ]


def _bounds(store_id: pd.Series) -> tuple[str, str]:
    # no id sorts before the empty text
    return ("", "") if store_id.empty else (store_id.iloc[0], store_id.iloc[-1])


def run_slice(job: SliceJob, part: Slice) -> SliceSummary:
    """Evaluate a slice, and write its part of each output.

    Parameters
    ----------
    job : SliceJob
    part : Slice
    """
    stores = _read(job.stores, part)
    if job.from_tables is None:
        done = _evaluate(job, part, stores)
        table_rows = {
            name: _write_part(job.parts / name, part, TABLES[name](done, stores))
            for name in job.tables
        }
        results = done.results
    else:
        tables = {name: _read(path, part) for name, path in job.from_tables.items()}
        table_rows = {}
        results = store_results(
            stores,
            tables["open_hours"],
            tables["status_intervals"],
            tables["current_status"],
            job.request,
        )
    write_report_parts(job.parts, part.number, job.files, results)
    fleet = FleetSummary(job.request)
    fleet.add(results)
    return SliceSummary(part.number, part.stores, table_rows, fleet)


def _read(path: UPath, part: Slice) -> pd.DataFrame:
    return LazyTable(path).between(part.first_store, part.last_store)


def _evaluate(job: SliceJob, part: Slice, stores: pd.DataFrame) -> Evaluation:
    hours = OpeningHours(_read(job.weekly_hours, part), _read(job.special_dates, part))
    start, as_of = map(pd.Timestamp, job.request.span)
    polls = read_polls_with_lookback(job.polls, stores, hours, start, as_of, job.request.rules)
    return evaluate_slice(stores, hours, polls, job.request, job.no_data_after)


def _write_part(directory: UPath, part: Slice, table: pd.DataFrame) -> int:
    directory.mkdir(parents=True, exist_ok=True)
    write_table(table, directory / f"{part.number:06}.parquet")
    return len(table)


def in_order(summaries: Iterator[SliceSummary]) -> Iterator[SliceSummary]:
    """Yield summaries in the order of their slices, which sums of floats depend on."""
    waiting: dict[int, SliceSummary] = {}
    number = 0
    for summary in summaries:
        waiting[summary.number] = summary
        while number in waiting:
            yield waiting.pop(number)
            number += 1
