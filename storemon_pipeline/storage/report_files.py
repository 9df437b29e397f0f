"""The files of a report: how its tables are written as CSV, each whole or not at all.

A report has a directory of its own, named by its id, under the directory of all reports, which may
be any path that fsspec knows. :mod:`.latest_report` publishes ``report.csv`` of the newest one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv
from upath import UPath

from storemon_pipeline.uptime.fleet import StoreResults

REPORT, REPORT_FULL = "report.csv", "report_full.csv"
EVENTS, BY_HOUR = "downtime_events.csv", "downtime_by_hour.csv"
PAGE = "report.html"

_WRITERS = 2
_TWO_DECIMALS = pa.decimal128(18, 2)
# for each batch Arrow waits until no other thread is running Python, so these are few
_AS_IT_IS = csv.WriteOptions(include_header=False, quoting_style="none", batch_size=100_000)


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
    shown = figures.assign(last_poll_utc=utc_text(figures["last_poll_utc"]))
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
            "start_utc": utc_text(events["start_utc"]),
            "end_utc": utc_text(events["end_utc"]),
            "start_local": local_text(events["start_utc"], events["start_offset"]),
            "end_local": local_text(events["end_utc"], events["end_offset"]),
            "minutes": events["minutes"],
            "ongoing": np.where(events["ongoing"], "true", "false"),
        }
    )


def _clock_text(instants: np.ndarray) -> pa.Array:
    """``YYYY-MM-DDTHH:MM:SS``, with six digits of fraction where there is one."""
    text = pa.array(instants.astype("datetime64[us]")).cast(pa.string())
    return pc.replace_substring_regex(
        pc.replace_substring(text, " ", "T"), pattern=r"\.0+$", replacement=""
    )


def utc_text(instants: pd.Series) -> pd.Series:
    """Instants as ISO 8601 with ``Z``.

    Examples
    --------
    >>> utc_text(pd.Series(pd.to_datetime(["2023-01-25T18:00:00.25Z"]))).iloc[0]
    '2023-01-25T18:00:00.250000Z'
    """
    text = _clock_text(instants.dt.tz_localize(None).to_numpy())
    return pd.Series(pc.binary_join_element_wise(text, "Z", "").to_pandas())


def local_text(instants: pd.Series, offsets: pd.Series) -> pd.Series:
    """Instants as ISO 8601 in local time, with the offset from UTC.

    Parameters
    ----------
    instants : Series of ``datetime64[us, UTC]``
    offsets : Series of ``timedelta64``
        How far the local clock is ahead.
    """
    offset = offsets.to_numpy("timedelta64[us]")
    text = _clock_text(instants.dt.tz_localize(None).to_numpy() + offset)
    # there are few offsets and many events
    seconds, which = np.unique(offset.astype("timedelta64[s]").astype(int), return_inverse=True)
    names = pa.array([_offset_text(int(second)) for second in seconds], pa.string())
    zone = names.take(pa.array(which))
    return pd.Series(pc.binary_join_element_wise(text, zone, "").to_pandas())


def _offset_text(seconds: int) -> str:
    sign, left = "-" if seconds < 0 else "+", abs(seconds)
    text = f"{sign}{left // 3600:02}:{left // 60 % 60:02}"
    return f"{text}:{left % 60:02}" if left % 60 else text


_TABLES: dict[str, Callable[[StoreResults], pd.DataFrame]] = {
    REPORT: lambda results: short_report(results.figures),
    REPORT_FULL: lambda results: full_report(results.figures, results.levels),
    EVENTS: lambda results: event_rows(results.events),
    BY_HOUR: lambda results: results.by_hour,
}


def append_csv(file: BinaryIO, table: pd.DataFrame, *, header: bool) -> None:
    """Write a table's rows as CSV: numbers with two decimals, nothing for what is missing.

    Parameters
    ----------
    file : binary file
    table : DataFrame
        Columns of text, category, int64 or float64.
    header : bool
        Whether to write the header line first.
    """
    columns: dict[str, pa.Array] = {}
    for name, column in table.items():
        if pd.api.types.is_numeric_dtype(column.dtype):
            columns[str(name)] = _number_text(column)
        elif isinstance(column.dtype, pd.CategoricalDtype):
            categories = pa.array(column.cat.categories.astype(object), pa.string())
            columns[str(name)] = categories.take(pa.array(column.cat.codes.to_numpy()))
        else:
            columns[str(name)] = pa.array(column, from_pandas=True)
    if header:  # by hand, since Arrow puts column names in quotes
        file.write((",".join(columns) + "\n").encode())
    csv.write_csv(pa.table(columns), file, _AS_IT_IS)


def _number_text(column: pd.Series) -> pa.Array:
    """Numbers as text: there are few different ones, each of them is put into words once."""
    numbers = pa.array(column, from_pandas=True).dictionary_encode()
    different = numbers.dictionary
    if pa.types.is_floating(different.type):
        different = different.cast(_TWO_DECIMALS)
    return different.cast(pa.string()).take(numbers.indices)


@contextmanager
def appending(files: dict[str, BinaryIO]) -> Iterator[Callable[[StoreResults], None]]:
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
    append_csv(file, _TABLES[name](results), header=header)


def _finish(writing: list[Future[None]]) -> None:
    for one in writing:
        one.result()


class ReportFiles:
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
    def writing(self, names: list[str]) -> Iterator[dict[str, BinaryIO]]:
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
