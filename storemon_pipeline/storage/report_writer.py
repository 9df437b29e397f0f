"""The files of a report: how its tables are written as CSV, each whole or not at all.

A report has a directory of its own, named by its id, under the directory of all reports, which may
be any path that fsspec knows. :mod:`.latest_report` publishes ``report.csv`` of the newest one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import BinaryIO

import numpy as np
import pandas as pd
from upath import UPath

from storemon_pipeline.storage.csv_format import format_local_column, format_utc_column, write_csv
from storemon_pipeline.uptime.fleet import StoreResults
from storemon_pipeline.uptime.messages import quote_value

REPORT, REPORT_FULL = "report.csv", "report_full.csv"
EVENTS, BY_HOUR = "downtime_events.csv", "downtime_by_hour.csv"
PAGE = "report.html"

_WRITERS = 2


def short_report(figures: pd.DataFrame) -> pd.DataFrame:
    """The columns of ``report.csv``: uptime and downtime of each window."""
    wanted = [
        column
        for column in figures.columns
        if column.startswith(("uptime_", "downtime_")) and not column.startswith("uptime_pct_")
    ]
    return figures[["store_id", *wanted]]


def full_report(figures: pd.DataFrame, levels: pd.DataFrame) -> pd.DataFrame:
    """The columns of ``report_full.csv``, instants as text: figures, then service levels."""
    shown = figures.assign(last_poll_utc=format_utc_column(figures["last_poll_utc"]))
    # a third decimal counts in a target, and there are few different ones
    which, targets = pd.factorize(levels["target_pct"])
    names = np.array([f"{target:g}" for target in targets], dtype=object)
    return pd.concat([shown, levels.assign(target_pct=names[which])], axis=1)


def event_rows(events: pd.DataFrame) -> pd.DataFrame:
    """The columns of ``downtime_events.csv``, instants as text."""
    events = events.reset_index(drop=True)
    return pd.DataFrame(
        {
            "store_id": events["store_id"],
            "start_utc": format_utc_column(events["start_utc"]),
            "end_utc": format_utc_column(events["end_utc"]),
            "start_local": format_local_column(events["start_utc"], events["start_offset"]),
            "end_local": format_local_column(events["end_utc"], events["end_offset"]),
            "minutes": events["minutes"],
            "ongoing": np.where(events["ongoing"], "true", "false"),
        }
    )


_TABLES: dict[str, Callable[[StoreResults], pd.DataFrame]] = {
    REPORT: lambda results: short_report(results.metrics),
    REPORT_FULL: lambda results: full_report(results.metrics, results.slo),
    EVENTS: lambda results: event_rows(results.events),
    BY_HOUR: lambda results: results.by_hour,
}


@contextmanager
def csv_appender(files: dict[str, BinaryIO]) -> Iterator[Callable[[StoreResults], None]]:
    """Write what a report says of its stores to those of its tables' files that are open.

    Yields
    ------
    callable
        Takes the results of some stores. Threads write them while the next are computed; at the
        end, all are written.
    """
    writing: list[Future[None]] = []
    with ThreadPoolExecutor(max_workers=_WRITERS) as threads:

        def append(results: StoreResults) -> None:
            header = not writing
            # so that no more than two slices are in memory, and each file's are in order
            _finish(writing)
            writing[:] = [
                threads.submit(_append, name, file, results, header=header)
                for name, file in files.items()
                if name in _TABLES
            ]

        yield append
        _finish(writing)


def _append(name: str, file: BinaryIO, results: StoreResults, *, header: bool) -> None:
    write_csv(file, _TABLES[name](results), header=header)


def _finish(writing: list[Future[None]]) -> None:
    for one in writing:
        one.result()


class ReportWriter:
    """The files of one report.

    Parameters
    ----------
    reports_dir : UPath
        The directory of all reports.
    report_id : str
    """

    def __init__(self, reports_dir: UPath, report_id: str) -> None:
        self._reports_dir = reports_dir
        self.directory = reports_dir / report_id

    @contextmanager
    def open(self, names: list[str]) -> Iterator[dict[str, BinaryIO]]:
        """Open files to write; they appear under their names when all of them are whole.

        Yields
        ------
        dict
            Name -> binary file.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        parts = {name: self.directory / f".{name}.part" for name in names}
        try:
            with ExitStack() as files:
                yield {name: files.enter_context(part.open("wb")) for name, part in parts.items()}
        except BaseException:
            for part in parts.values():
                part.unlink(missing_ok=True)
            raise
        for name, part in parts.items():
            part.rename(self.directory / name)


def drop_parts(reports_dir: UPath, report_id: str) -> None:
    """Remove the unfinished files that a run whose process died has left."""
    directory = reports_dir / report_id
    if directory.is_dir():
        for part in [path for path in directory.iterdir() if path.name.endswith(".part")]:
            part.unlink(missing_ok=True)


_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def is_valid_report_id(report_id: str) -> bool:
    """Whether an id can be the name of a report's directory: one segment of a path."""
    return _SEGMENT.fullmatch(report_id) is not None


def delete_report_files(reports_dir: UPath, report_id: str) -> bool:
    """Remove the directory of a report with all that is in it.

    Parameters
    ----------
    reports_dir : UPath
        The directory of all reports.
    report_id : str

    Returns
    -------
    bool
        Whether there was one.

    Raises
    ------
    ValueError
        Where the id is not one segment of a path.
    """
    if not is_valid_report_id(report_id):
        msg = f"{quote_value(report_id)} cannot be the name of a report's directory"
        raise ValueError(msg)
    directory = reports_dir / report_id
    if directory.is_symlink():  # what it leads to is not ours
        directory.unlink()
        return True
    if not directory.is_dir():
        return False
    directory.fs.rm(directory.path, recursive=True)
    return True
