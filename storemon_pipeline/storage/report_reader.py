"""Rows of a report's files, read back: those of one store, or those of all that fit a filter.

A file of a report is sorted by store, so that a store's rows are found by bisection, whatever the
file's size; what looks at all rows goes through them block by block.
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
        # an instant would be UTC again, without the offset
        "start_local": pa.string(),
        "end_local": pa.string(),
        "minutes": pa.float64(),
        "ongoing": pa.bool_(),
        "target_pct": pa.float64(),
    },
    null_values=[""],  # NA is the id of a store like any other
    strings_can_be_null=True,
)


def lines_of_store(path: UPath, store_id: str) -> bytes:
    """The header of one of a report's tables and the lines of one store, as they are in the file.

    Parameters
    ----------
    path : UPath
        A CSV file whose first column is ``store_id``, sorted by it as text.
    store_id : str
    """
    wanted = store_id.encode()
    with path.open("rb") as file:
        header = file.readline()
        _seek(file, wanted, len(header))
        found = io.BytesIO()
        found.write(header)
        while (line := file.readline()).partition(b",")[0] == wanted and line:
            found.write(line)
    return found.getvalue()


def read_store_rows(path: UPath, store_id: str) -> pa.Table:
    """The rows of one store, of any of a report's tables.

    Parameters
    ----------
    path : UPath
        A CSV file whose first column is ``store_id``, sorted by it as text.
    store_id : str

    Returns
    -------
    Table
        Without rows where the store is not in it.
    """
    lines = io.BytesIO(lines_of_store(path, store_id))
    return csv.read_csv(lines, convert_options=_READ_AS)


def json_rows(file: BinaryIO) -> Iterator[str]:
    """The rows of ``report_full.csv`` as JSON objects, separated by commas, block by block.

    Numbers are numbers, what is empty is null, instants are text as in the file. What is in memory
    does not grow with the file.

    Parameters
    ----------
    file : binary file
        It is read from its beginning.

    Yields
    ------
    str
        The objects of one block, without brackets around them.
    """
    columns = file.readline().decode().rstrip("\n").split(",")
    file.seek(0)
    # none is inferred: a column may be empty throughout the first block
    types = {name: _type_in_full_report(name) for name in columns}
    options = csv.ConvertOptions(column_types=types, null_values=[""], strings_can_be_null=True)
    separator = ""
    with csv.open_csv(file, convert_options=options) as reader:
        for batch in reader:
            rows = batch.to_pandas(types_mapper=_NULLABLE.get)
            # pandas escapes each slash, which JSON does not ask for
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


def _seek(file: BinaryIO, wanted: bytes, first: int) -> None:
    """Go to the first line, of those from ``first`` on, whose store is not before ``wanted``."""
    last = file.seek(0, io.SEEK_END)
    while first < last:
        middle = (first + last) // 2
        # back by one, so that a line that begins at the middle is not passed over
        file.seek(middle - 1)
        file.readline()
        line = file.readline()
        if line and line.partition(b",")[0] < wanted:
            first = middle + 1
        else:
            last = middle
    file.seek(first - 1)
    file.readline()


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which downtime events are looked for.

    Attributes
    ----------
    store_id : str or None
    min_minutes : float or None
        Only those that are at least as long.
    start, end : datetime or None
        Only those of which some part is within ``[start, end)``.
    ongoing : bool or None
        Only those that go on at the report's as_of, or only those that do not.
    """

    store_id: str | None = None
    min_minutes: float | None = None
    start: datetime | None = None
    end: datetime | None = None
    ongoing: bool | None = None

    def apply(self, events: pa.Table) -> pa.Table:
        """The events that fit."""
        fits = []
        if self.min_minutes is not None:
            fits.append(pc.field("minutes") >= self.min_minutes)
        if self.start is not None:
            fits.append(pc.field("end_utc") > pa.scalar(self.start, _INSTANT))
        if self.end is not None:
            fits.append(pc.field("start_utc") < pa.scalar(self.end, _INSTANT))
        if self.ongoing is not None:
            fits.append(pc.field("ongoing") == self.ongoing)
        for fit in fits:
            events = events.filter(fit)
        return events


def query_events(
    path: UPath, wanted: EventFilter, *, offset: int, limit: int
) -> tuple[pa.Table, int]:
    """A page of the downtime events that fit a filter, in the file's order.

    Parameters
    ----------
    path : UPath
        The report's ``downtime_events.csv``.
    wanted : EventFilter
    offset, limit : int
        How many of them to pass over, and how many to give.

    Returns
    -------
    page : Table
    total : int
        How many there are in all.
    """
    if wanted.store_id is not None:
        found = wanted.apply(read_store_rows(path, wanted.store_id))
        return found.slice(offset, limit), len(found)
    page, total = [], 0
    with path.open("rb") as file:
        # block by block, so that memory does not grow with the file
        reader = csv.open_csv(file, convert_options=_READ_AS)
        for batch in reader:
            found = wanted.apply(pa.Table.from_batches([batch]))
            first = max(offset - total, 0)
            page.append(found.slice(first, max(offset + limit - total - first, 0)))
            total += len(found)
    return pa.concat_tables(page or [reader.schema.empty_table()]), total
