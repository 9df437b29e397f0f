"""Write and delete the files of a report; writes are atomic.

Each report has a directory, named by its id, below the reports directory, which may be any fsspec
path. :mod:`.latest_report` publishes ``report.csv`` of the newest report.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from typing import BinaryIO

import numpy as np
import pandas as pd
from upath import UPath

from storemon_pipeline.storage.atomic_file import open_atomically
from storemon_pipeline.storage.csv_format import format_local_column, format_utc_column, write_csv
from storemon_pipeline.uptime.evaluate import StoreResults
from storemon_pipeline.uptime.messages import quote_value


class ReportFile(StrEnum):
    """The files of a report."""

    REPORT = "report.csv"
    REPORT_FULL = "report_full.csv"
    EVENTS = "downtime_events.csv"
    BY_HOUR = "downtime_by_hour.csv"
    PAGE = "report.html"


_COPIED_BYTES = 2**22


def short_report(figures: pd.DataFrame) -> pd.DataFrame:
    """Select the columns of ``report.csv``: uptime and downtime of each window."""
    columns = [
        column
        for column in figures.columns
        if column.startswith(("uptime_", "downtime_")) and not column.startswith("uptime_pct_")
    ]
    return figures[["store_id", *columns]]


def full_report(figures: pd.DataFrame, levels: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of ``report_full.csv``, instants as text: metrics, then service levels."""
    formatted = figures.assign(last_poll_utc=format_utc_column(figures["last_poll_utc"]))
    # a target has up to three decimals; format each distinct one once
    which, targets = pd.factorize(levels["target_pct"])
    names = np.array([f"{target:g}" for target in targets], dtype=object)
    return pd.concat([formatted, levels.assign(target_pct=names[which])], axis=1)


def event_rows(events: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of ``downtime_events.csv``, instants as text."""
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
    ReportFile.REPORT: lambda results: short_report(results.metrics),
    ReportFile.REPORT_FULL: lambda results: full_report(results.metrics, results.slo),
    ReportFile.EVENTS: lambda results: event_rows(results.events),
    ReportFile.BY_HOUR: lambda results: results.by_hour,
}


def csv_files(names: Iterable[str]) -> tuple[str, ...]:
    """Select the CSV files among the files of a report."""
    return tuple(name for name in names if name in _TABLES)


def write_report_parts(
    parts: UPath, number: int, names: Iterable[str], results: StoreResults
) -> None:
    """Write a slice's rows of CSV files, the header with the first slice.

    Parameters
    ----------
    parts : UPath
        Directory with a subdirectory per file.
    number : int
        Of the slice.
    names : iterable of str
        Names of CSV files.
    results : StoreResults
    """
    for name in names:
        (parts / name).mkdir(parents=True, exist_ok=True)
        with open_atomically(parts / name / f"{number:06}.csv") as file:
            write_csv(file, _TABLES[name](results), header=number == 0)


def join_report_parts(parts: UPath, files: Mapping[str, BinaryIO], slices: int) -> None:
    """Append the parts of all slices to the open CSV files of a report, in order."""
    for name in csv_files(files):
        for number in range(slices):
            with (parts / name / f"{number:06}.csv").open("rb") as part:
                shutil.copyfileobj(part, files[name], _COPIED_BYTES)


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
        """Open files for writing; they appear under their names once all are complete.

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

    @contextmanager
    def open_parts(self) -> Iterator[UPath]:
        """Create a directory for the parts of slices, and delete it at the end."""
        directory = self.directory / ".slices.part"
        directory.mkdir(parents=True, exist_ok=True)
        try:
            yield directory
        finally:
            delete_directory(directory)


def delete_directory(directory: UPath) -> None:
    """Delete a directory with its contents, if it exists."""
    if directory.is_dir():
        directory.fs.rm(directory.path, recursive=True)


def drop_parts(reports_dir: UPath, report_id: str) -> None:
    """Delete unfinished files of a run whose process died."""
    directory = reports_dir / report_id
    if directory.is_dir():
        for part in [path for path in directory.iterdir() if path.name.endswith(".part")]:
            if part.is_dir():
                delete_directory(part)
            else:
                part.unlink(missing_ok=True)


_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def is_valid_report_id(report_id: str) -> bool:
    """Return whether an id can be the name of a report's directory: a single path segment."""
    return _SEGMENT.fullmatch(report_id) is not None


def delete_report_files(reports_dir: UPath, report_id: str) -> bool:
    """Delete the directory of a report with its contents.

    Parameters
    ----------
    reports_dir : UPath
        The directory of all reports.
    report_id : str

    Returns
    -------
    bool
        Whether the directory existed.

    Raises
    ------
    ValueError
        If the id is not a single path segment.
    """
    if not is_valid_report_id(report_id):
        msg = f"{quote_value(report_id)} cannot be the name of a report's directory"
        raise ValueError(msg)
    directory = reports_dir / report_id
    if directory.is_symlink():  # keep its target
        directory.unlink()
        return True
    if not directory.is_dir():
        return False
    delete_directory(directory)
    return True
