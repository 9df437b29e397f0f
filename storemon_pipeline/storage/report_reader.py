"""Read rows from the files of a report: those of one store, or those that match a filter.

The files are sorted by store, so the rows of a store are found by bisection. All rows are read
block by block, in bounded memory.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv
from upath import UPath

_INSTANT = pa.timestamp("us", "UTC")
_READ_AS = csv.ConvertOptions(
    column_types={
        "store_id": pa.string(),
        "start_utc": _INSTANT,
        "end_utc": _INSTANT,
        # as a timestamp it would lose its offset
        "start_local": pa.string(),
        "end_local": pa.string(),
        "minutes": pa.float64(),
        "ongoing": pa.bool_(),
        "target_pct": pa.float64(),
    },
    null_values=[""],  # NA is a valid store id
    strings_can_be_null=True,
)


def lines_of_store(path: UPath, store_id: str) -> bytes:
    """Return the header and the lines of one store from a file of a report, unchanged.

    Parameters
    ----------
    path : UPath
        A CSV file whose first column is ``store_id``, sorted by it as text.
    store_id : str
    """
    key = store_id.encode()
    with path.open("rb") as file:
        header = file.readline()
        _seek(file, key, len(header))
        lines = io.BytesIO()
        lines.write(header)
        while (line := file.readline()).partition(b",")[0] == key and line:
            lines.write(line)
    return lines.getvalue()


def read_store_rows(path: UPath, store_id: str) -> pa.Table:
    """Read the rows of one store from any table of a report.

    Parameters
    ----------
    path : UPath
        A CSV file whose first column is ``store_id``, sorted by it as text.
    store_id : str

    Returns
    -------
    Table
        Empty if the store is not in the file.
    """
    lines = io.BytesIO(lines_of_store(path, store_id))
    return csv.read_csv(lines, convert_options=_READ_AS)


def json_rows(file: BinaryIO) -> Iterator[str]:
    """Convert the rows of ``report_full.csv`` to JSON objects, separated by commas, block by block.

    Empty fields become null, instants stay text. Memory does not grow with the file.

    Parameters
    ----------
    file : binary file
        Read from its beginning.

    Yields
    ------
    str
        The objects of one block, without enclosing brackets.
    """
    columns = file.readline().decode().rstrip("\n").split(",")
    file.seek(0)
    # declared, since a column may be empty throughout the first block
    types = {name: _type_in_full_report(name) for name in columns}
    options = csv.ConvertOptions(column_types=types, null_values=[""], strings_can_be_null=True)
    separator = ""
    with csv.open_csv(file, convert_options=options) as reader:
        for batch in reader:
            rows = batch.to_pandas(types_mapper=_NULLABLE.get)
            # pandas escapes slashes, which JSON does not require
            objects = rows.to_json(orient="records")[1:-1].replace("\\/", "/")
            if objects:
                yield separator + objects
                separator = ","


_NULLABLE = {pa.bool_(): pd.BooleanDtype(), pa.int64(): pd.Int64Dtype()}


def _type_in_full_report(column: str) -> pa.DataType:
    if column in ("store_id", "timezone", "last_poll_utc"):
        return pa.string()
    if column.startswith("met_"):
        return pa.bool_()
    return pa.int64() if column.startswith("outages_") else pa.float64()


def _seek(file: BinaryIO, store_id: bytes, first: int) -> None:
    """Seek to the first line at or after ``first`` whose store is not less than ``store_id``."""
    last = file.seek(0, io.SEEK_END)
    while first < last:
        middle = (first + last) // 2
        # back by one, so that a line that begins at the middle is not skipped
        file.seek(middle - 1)
        file.readline()
        line = file.readline()
        if line and line.partition(b",")[0] < store_id:
            first = middle + 1
        else:
            last = middle
    file.seek(first - 1)
    file.readline()


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Filter of downtime events.

    Attributes
    ----------
    store_id : str or None
    min_minutes : float or None
        Minimum length.
    start, end : datetime or None
        Only events that overlap ``[start, end)``.
    ongoing : bool or None
        Only events that are, or are not, ongoing at the as_of of the report.
    """

    store_id: str | None = None
    min_minutes: float | None = None
    start: datetime | None = None
    end: datetime | None = None
    ongoing: bool | None = None

    def apply(self, events: pa.Table) -> pa.Table:
        """Return the events that match."""
        conditions = []
        if self.min_minutes is not None:
            conditions.append(pc.field("minutes") >= self.min_minutes)
        if self.start is not None:
            conditions.append(pc.field("end_utc") > pa.scalar(self.start, _INSTANT))
        if self.end is not None:
            conditions.append(pc.field("start_utc") < pa.scalar(self.end, _INSTANT))
        if self.ongoing is not None:
            conditions.append(pc.field("ongoing") == self.ongoing)
        for condition in conditions:
            events = events.filter(condition)
        return events


def query_events(
    path: UPath, where: EventFilter, *, offset: int, limit: int
) -> tuple[pa.Table, int]:
    """Return a page of the downtime events that match a filter, in file order.

    Parameters
    ----------
    path : UPath
        The report's ``downtime_events.csv``.
    where : EventFilter
    offset, limit : int
        Number of events to skip, and maximum number to return.

    Returns
    -------
    page : Table
    total : int
        Number of all matching events.
    """
    if where.store_id is not None:
        events = where.apply(read_store_rows(path, where.store_id))
        return events.slice(offset, limit), len(events)
    page, total = [], 0
    with path.open("rb") as file:
        # block by block, in bounded memory
        reader = csv.open_csv(file, convert_options=_READ_AS)
        for batch in reader:
            events = where.apply(pa.Table.from_batches([batch]))
            first = max(offset - total, 0)
            page.append(events.slice(first, max(offset + limit - total - first, 0)))
            total += len(events)
    return pa.concat_tables(page or [reader.schema.empty_table()]), total
