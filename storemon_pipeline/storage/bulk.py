"""Many rows into the database at once, each database by its own fastest way.

PostgreSQL takes them by COPY; a month that has no partition yet is filled before it gets its key,
which takes half the time. SQLite takes them row by row, in the order of the key.
"""

from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv
from sqlalchemy import Connection, text

_COPIED_ROWS = 500_000

_MONTH_EXISTS = text("SELECT to_regclass(:name) IS NOT NULL")
_CREATE_MONTH = "CREATE TABLE {name} (LIKE store_status INCLUDING CONSTRAINTS)"
_KEY_MONTH = "ALTER TABLE {name} ADD PRIMARY KEY (store_id, timestamp_utc)"
# attaching, unlike creating as a partition, lets others go on reading
_ATTACH_MONTH = (
    "ALTER TABLE store_status ATTACH PARTITION {name} FOR VALUES FROM ('{first}') TO ('{end}')"
)


def instant_text(instant: datetime) -> str:
    """An instant in UTC, without zone, as both databases read it and SQLite stores it."""
    naive = instant.astimezone(UTC).replace(tzinfo=None)
    return naive.isoformat(sep=" ", timespec="microseconds")


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text as it is; naive instants in UTC with six digits of fraction."""
    return column if pa.types.is_string(column.type) else column.cast(pa.string())


def execute_many(connection: Connection, statement: str, rows: pa.Table) -> None:
    """Execute a statement of SQLite's for each row, its columns in order."""
    cursor = connection.connection.cursor()
    for first in range(0, len(rows), _COPIED_ROWS):
        part = rows.slice(first, _COPIED_ROWS)
        columns = [_as_text(column).to_pylist() for column in part.columns]
        cursor.executemany(statement, list(zip(*columns, strict=True)))
    cursor.close()


def insert_rows(connection: Connection, table: str, rows: pa.Table) -> None:
    """Add rows, none of which is there yet, to a table."""
    if connection.dialect.name == "sqlite":
        marks = ", ".join("?" * rows.num_columns)
        columns = ", ".join(rows.column_names)
        execute_many(connection, f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows)  # noqa: S608 - names of ours
    else:
        copy(connection, table, rows)


def copy(connection: Connection, table: str, rows: pa.Table) -> None:
    """COPY rows into a table of PostgreSQL, in parts that fit into memory."""
    cursor = connection.connection.cursor()
    statement = f"COPY {table} ({', '.join(rows.column_names)}) FROM STDIN (FORMAT csv)"
    for first in range(0, len(rows), _COPIED_ROWS):
        part = rows.slice(first, _COPIED_ROWS)
        buffer = BytesIO()
        texts = pa.table({name: _for_copy(part[name]) for name in part.column_names})
        csv.write_csv(texts, buffer, csv.WriteOptions(include_header=False, quoting_style="needed"))
        buffer.seek(0)
        cursor.copy_expert(statement, buffer)
    cursor.close()


def _for_copy(column: pa.ChunkedArray) -> pa.ChunkedArray:
    plain = _as_text(column)
    if pa.types.is_timestamp(column.type):
        # without a zone, PostgreSQL would take them for its own local time
        return pc.binary_join_element_wise(plain, "+00", "")
    return plain


def stage(connection: Connection, create: str, table: str, rows: pa.Table) -> None:
    """COPY rows into a temporary table, empty before."""
    connection.exec_driver_sql(create)
    copy(connection, table, rows)


def fill_new_months(connection: Connection, rows: pa.Table) -> pa.Table:
    """Make the partitions of store_status that the rows need, and fill those that are new.

    Parameters
    ----------
    connection : Connection
        To PostgreSQL, in a transaction.
    rows : Table
        Of store_status, sorted by its key, none twice.

    Returns
    -------
    Table
        The rows of months that had a partition already.
    """
    month = rows["timestamp_utc"].to_numpy().astype("datetime64[M]")
    known = np.zeros(len(rows), dtype=bool)
    for first in np.unique(month):
        of_month = month == first
        begin, end = first.astype(object), (first + 1).astype(object)
        name = f"store_status_{begin.year:04}_{begin.month:02}"
        if connection.execute(_MONTH_EXISTS, {"name": name}).scalar_one():
            known |= of_month
            continue
        bounds = {
            "name": name,
            "first": f"{begin.isoformat()} 00:00:00+00",
            "end": f"{end.isoformat()} 00:00:00+00",
        }
        connection.exec_driver_sql(_CREATE_MONTH.format(**bounds))
        copy(connection, name, rows if of_month.all() else rows.filter(pa.array(of_month)))
        connection.exec_driver_sql(_KEY_MONTH.format(**bounds))
        connection.exec_driver_sql(_ATTACH_MONTH.format(**bounds))
        # until then the planner takes the month for an empty one
        connection.exec_driver_sql(f"ANALYZE {name}")
    return rows.slice(0, 0) if not known.any() else rows.filter(pa.array(known))
