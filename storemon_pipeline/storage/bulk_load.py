"""Bulk load, in the fastest way for each database.

PostgreSQL: binary COPY, twice as fast as text. A new partition is filled before it gets its key,
which doubles the speed again. SQLite: fifty rows per INSERT, in key order.

This module has its own COPY encoder: ADBC's ``adbc_ingest`` needs its own connection, hence its
own transaction, but an ingest is one transaction. pgpq would be one more dependency.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, Float, Integer, SmallInteger, Table, Text, text

from storemon_pipeline.concurrency import prefetch

_COPIED_ROWS = 250_000
# small, so that the memory of the strings is reused
ROWS_PER_LIST = 20_000
_INSERTED_ROWS = 50  # of at most ten columns: old versions of SQLite allow 999 parameters
COPY_CHUNK_BYTES = 2**18

# https://www.postgresql.org/docs/current/sql-copy.html, Binary Format
_COPY_BEGIN = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
_COPY_END = struct.pack(">h", -1)
_COPY_EPOCH = int(np.datetime64("2000-01-01", "us").astype(np.int64))
_COPY_NUMBERS = {pa.int16(): ">i2", pa.int32(): ">i4", pa.int64(): ">i8", pa.float64(): ">f8"}
_NOTHING = pa.scalar(b"", pa.large_binary())

_MONTH_EXISTS = text("SELECT to_regclass(:name) IS NOT NULL")
_CREATE_MONTH = "CREATE TABLE {name} (LIKE store_status INCLUDING CONSTRAINTS)"
_KEY_MONTH = "ALTER TABLE {name} ADD PRIMARY KEY (store_id, timestamp_utc)"
# attaching, unlike creating as a partition, does not block readers
_ATTACH_MONTH = (
    "ALTER TABLE store_status ATTACH PARTITION {name} FOR VALUES FROM ('{first}') TO ('{end}')"
)


# in this order, since a SmallInteger is also an Integer
_ARROW_TYPES = (
    (SmallInteger, pa.int16()),
    (Integer, pa.int64()),
    (Float, pa.float64()),
    (Text, pa.string()),
)


def arrow_schema(table: Table) -> pa.Schema:
    """Return the Arrow schema of a table of texts and numbers."""
    return pa.schema(
        [
            (
                column.name,
                next(arrow for kind, arrow in _ARROW_TYPES if isinstance(column.type, kind)),
            )
            for column in table.columns
        ]
    )


def format_utc(instant: datetime) -> str:
    """Format an instant in UTC, without zone, as both databases read it and SQLite stores it."""
    naive = instant.astimezone(UTC).replace(tzinfo=None)
    return naive.isoformat(sep=" ", timespec="microseconds")


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Convert naive UTC instants to text with six digits of fraction; keep text."""
    return column if pa.types.is_string(column.type) else column.cast(pa.string())


def execute_many(connection: Connection, statement: str, rows: pa.Table) -> None:
    """Insert rows into a SQLite table, many per statement, which halves the time.

    Parameters
    ----------
    connection : Connection
    statement : str
        An INSERT with the placeholder ``{rows}``, the columns in order.
    rows : Table
    """
    row = f"({', '.join('?' * rows.num_columns)})"
    width = rows.num_columns * _INSERTED_ROWS
    cursor = connection.connection.cursor()
    for first in range(0, len(rows), ROWS_PER_LIST):
        part = rows.slice(first, ROWS_PER_LIST)
        columns = [_as_text(column).to_pylist() for column in part.columns]
        values = list(chain.from_iterable(zip(*columns, strict=True)))
        whole = len(values) - len(values) % width
        cursor.executemany(
            statement.format(rows=", ".join([row] * _INSERTED_ROWS)),
            [values[at : at + width] for at in range(0, whole, width)],
        )
        if rest := values[whole:]:
            count = len(rest) // rows.num_columns
            cursor.execute(statement.format(rows=", ".join([row] * count)), rest)
    cursor.close()


def insert_rows(connection: Connection, table: str, rows: pa.Table) -> None:
    """Insert rows with new keys into a table."""
    if connection.dialect.name == "sqlite":
        columns = ", ".join(rows.column_names)
        execute_many(connection, f"INSERT INTO {table} ({columns}) VALUES {{rows}}", rows)  # noqa: S608 - our own names
    else:
        copy(connection, table, rows)


def copy(connection: Connection, table: str, rows: pa.Table) -> None:
    """COPY rows into a PostgreSQL table, in parts that fit into memory."""
    cursor = connection.connection.cursor()
    statement = f"COPY {table} ({', '.join(rows.column_names)}) FROM STDIN (FORMAT binary)"
    starts = range(0, len(rows), _COPIED_ROWS)
    parts = (rows.slice(first, _COPIED_ROWS) for first in starts)
    with prefetch(_encode_copy, parts) as buffers:
        for buffer in buffers:
            cursor.copy_expert(statement, pa.BufferReader(buffer), COPY_CHUNK_BYTES)
    cursor.close()


def _encode_copy(rows: pa.Table) -> pa.Buffer:
    """Encode rows in binary COPY format: the number of fields, then the fields."""
    width = pa.scalar(struct.pack(">h", rows.num_columns), pa.large_binary())
    fields = [_encode_column(column.combine_chunks()) for column in rows.columns]
    records = pc.binary_join_element_wise(width, *fields, _NOTHING)
    _, ends, data = records.buffers()
    size = np.frombuffer(ends, dtype=np.int64)[records.offset + len(records)]
    buffer = pa.BufferOutputStream()
    for piece in (_COPY_BEGIN, data.slice(0, size), _COPY_END):
        buffer.write(piece)
    return buffer.getvalue()


def _encode_column(column: pa.Array) -> pa.Array:
    """Encode the fields of a column in binary COPY format: the length, then the bytes."""
    if pa.types.is_timestamp(column.type):
        instants = column.cast(pa.timestamp("us")).cast(pa.int64()).to_numpy()
        return _number_field(instants - _COPY_EPOCH, ">i8")
    if kind := _COPY_NUMBERS.get(column.type):
        return _number_field(column.to_numpy(), kind)
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    texts = encoded.dictionary.cast(pa.large_binary())
    lengths = _bytes_of(pc.binary_length(texts).to_numpy().astype(">i4"))
    return pc.binary_join_element_wise(lengths, texts, _NOTHING).take(encoded.indices)


def _number_field(numbers: np.ndarray, kind: str) -> pa.Array:
    fields = np.empty(len(numbers), dtype=[("length", ">i4"), ("number", kind)])
    fields["length"] = fields.dtype["number"].itemsize
    fields["number"] = numbers
    return _bytes_of(fields)


def _bytes_of(values: np.ndarray) -> pa.Array:
    """Return the bytes of each value."""
    each = pa.binary(values.dtype.itemsize)
    buffers = [None, pa.py_buffer(values.tobytes())]
    return pa.FixedSizeBinaryArray.from_buffers(each, len(values), buffers).cast(pa.large_binary())


def upsert_rows(
    connection: Connection,
    table: Table,
    rows: pa.Table,
    *,
    values: Mapping[str, str] | None = None,
    where: str = "true",
) -> None:
    """Insert rows into a table, or update those whose key it has.

    Parameters
    ----------
    connection : Connection
    table : Table
    rows : Table
        Named columns of the table, its key among them; no key twice. Other columns keep their
        values.
    values : mapping, optional
        Column -> SQL of its value in an updated row, from that of the row, which has the table's
        name, and of ``excluded``. Not given: the values of ``excluded``.
    where : str
        SQL: the rows to update, in the same terms.
    """
    name, columns = table.name, ", ".join(rows.column_names)
    keys = [column.name for column in table.primary_key]
    if values is None:
        values = {each: f"excluded.{each}" for each in rows.column_names if each not in keys}
    updates = ", ".join(f"{column} = {value}" for column, value in values.items())
    on_conflict = f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {updates} WHERE {where}"
    insert = f"INSERT INTO {name} ({columns})"
    if connection.dialect.name == "sqlite":
        execute_many(connection, f"{insert} VALUES {{rows}} {on_conflict}", rows)
        return
    staged, some = f"staged_{name}", f"SELECT {columns} FROM"
    # without the constraints, since the rows may have only some of the columns
    create = (
        f"CREATE TEMPORARY TABLE IF NOT EXISTS {staged} ON COMMIT DROP AS "
        f"{some} {name} WITH NO DATA; TRUNCATE {staged}"
    )
    stage_rows(connection, create, staged, rows)
    connection.exec_driver_sql(f"{insert} {some} {staged} {on_conflict}")


def stage_rows(connection: Connection, create: str, table: str, rows: pa.Table) -> None:
    """COPY rows into a new temporary table."""
    connection.exec_driver_sql(create)
    copy(connection, table, rows)


def load_new_partitions(connection: Connection, rows: pa.Table) -> pa.Table:
    """Create the missing monthly partitions of store_status, and fill them.

    Parameters
    ----------
    connection : Connection
        To PostgreSQL, in a transaction.
    rows : Table
        Rows of store_status, sorted by its key, without duplicates.

    Returns
    -------
    Table
        The rows of months that already had a partition.
    """
    month = rows["timestamp_utc"].to_numpy().astype("datetime64[M]")
    has_partition = np.zeros(len(rows), dtype=bool)
    for first in np.unique(month):
        of_month = month == first
        begin, end = first.astype(object), (first + 1).astype(object)
        name = f"store_status_{begin.year:04}_{begin.month:02}"
        if connection.execute(_MONTH_EXISTS, {"name": name}).scalar_one():
            has_partition |= of_month
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
        # without statistics the planner assumes an empty partition
        connection.exec_driver_sql(f"ANALYZE {name}")
    return rows.slice(0, 0) if not has_partition.any() else rows.filter(pa.array(has_partition))
