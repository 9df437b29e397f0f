"""Bulk reads in the transaction of a connection, in the fastest way for each database.

PostgreSQL: COPY, several times as fast as fetching rows. SQLite: rows of the driver, without the
conversions of SQLAlchemy.
"""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO

import pyarrow as pa
from pyarrow import csv
from sqlalchemy import Connection, Table

from storemon_pipeline.storage import bulk_load

_FETCHED_ROWS = 500


def fetch_table(connection: Connection, table: Table) -> pa.Table:
    """Read a table of texts and numbers, sorted by its key."""
    schema = bulk_load.arrow_schema(table)
    keys = ", ".join(column.name for column in table.primary_key)
    query = f"SELECT {', '.join(schema.names)} FROM {table.name} ORDER BY {keys}"  # noqa: S608 - our own names
    if connection.dialect.name == "sqlite":
        return fetch_from_sqlite(connection, query, {}, schema)
    rows = BytesIO()
    cursor = connection.connection.cursor()
    cursor.copy_expert(f"COPY ({query}) TO STDOUT (FORMAT csv, HEADER)", rows)
    cursor.close()
    rows.seek(0)
    return csv.read_csv(
        rows,
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(column_types=schema),
    )


def fetch_from_sqlite(
    connection: Connection,
    query: str,
    parameters: Mapping[str, str],
    schema: pa.Schema | None = None,
) -> pa.Table:
    """Read rows of SQLite.

    Parameters
    ----------
    connection : Connection
    query : str
        With ``:name`` for each parameter.
    parameters : mapping of str to str
    schema : Schema, optional
        Types of the columns; not given: text, as SQLite stores instants.
    """
    batches = []
    cursor = connection.connection.cursor()
    cursor.execute(query, parameters)
    if schema is None:
        schema = pa.schema([(column[0], pa.string()) for column in cursor.description])
    # few at a time, since the garbage collector scans all live rows repeatedly
    while rows := cursor.fetchmany(_FETCHED_ROWS):
        columns = map(pa.array, zip(*rows, strict=True), schema.types)
        batches.append(pa.RecordBatch.from_arrays(list(columns), schema=schema))
    cursor.close()
    return pa.Table.from_batches(batches, schema).combine_chunks()
