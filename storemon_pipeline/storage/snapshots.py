"""business_hours and store_timezone: snapshots, replaced whole and read whole."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pandas as pd
import pyarrow as pa
from pyarrow import csv
from sqlalchemy import Connection, Integer, Table, delete, func, select

from storemon_pipeline.storage import bulk
from storemon_pipeline.storage.tables import business_hours, store_timezone

_TIMES = ("start_time_local", "end_time_local")


def replace_snapshot(connection: Connection, table: Table, rows: pd.DataFrame) -> int:
    """Put ``rows`` in place of all that the table holds.

    Parameters
    ----------
    connection : Connection
        Of :meth:`~storemon_pipeline.storage.database.Database.write`.
    table : Table
        One of the two snapshots.
    rows : DataFrame
        The table's columns; of rows with one key the last counts.

    Returns
    -------
    int
        How many rows the table has now.
    """
    keys = [column.name for column in table.primary_key]
    unique = rows.drop_duplicates(keys, keep="last")[[column.name for column in table.columns]]
    connection.execute(delete(table))
    bulk.insert_rows(connection, table.name, pa.Table.from_pandas(unique, preserve_index=False))
    return len(unique)


def weekdays_with_hours(connection: Connection) -> pd.DataFrame:
    """On how many weekdays each store has opening hours.

    Returns
    -------
    DataFrame
        ``store_id`` (text), ``weekdays`` (int64).
    """
    store = business_hours.c.store_id
    weekdays = func.count(business_hours.c.day_of_week.distinct()).label("weekdays")
    return pd.read_sql(select(store, weekdays).group_by(store), connection)


def rows_of(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a small table, for SQLAlchemy."""
    return [
        dict(zip(table.columns, row, strict=True))
        for row in table.astype(object).itertuples(index=False, name=None)
    ]


def count_rows(connection: Connection, table: Table) -> int:
    """How many rows a table holds."""
    return connection.execute(select(func.count()).select_from(table)).scalar_one()


def read_business_hours(connection: Connection, store_id: str | None = None) -> pd.DataFrame:
    """All weekly openings, or those of one store.

    Returns
    -------
    DataFrame
        ``store_id`` (text), ``day_of_week`` (int64, 0 = Monday), ``start_time_local``,
        ``end_time_local`` (``timedelta64[us]`` since midnight), sorted.
    """
    if store_id is None:
        hours = _read(connection, business_hours)
    else:
        query = select(business_hours).where(business_hours.c.store_id == store_id)
        hours = pd.read_sql(query, connection)
    hours["day_of_week"] = hours["day_of_week"].astype("int64")
    for column in _TIMES:
        # the same few hundred times of day again and again, each read once
        which, texts = pd.factorize(hours[column])
        hours[column] = pd.to_timedelta(texts).as_unit("us").take(which)
    return hours.sort_values(["store_id", "day_of_week", *_TIMES], ignore_index=True)


def read_timezones(connection: Connection) -> pd.DataFrame:
    """Each store's time zone as the file names it.

    Returns
    -------
    DataFrame
        ``store_id`` (text), ``timezone_str`` (text).
    """
    return _read(connection, store_timezone)


def _read(connection: Connection, table: Table) -> pd.DataFrame:
    if connection.dialect.name == "sqlite":
        return pd.read_sql(select(table), connection)
    # all at once, several times as fast as row by row
    rows = BytesIO()
    cursor = connection.connection.cursor()
    cursor.copy_expert(f"COPY {table.name} TO STDOUT (FORMAT csv, HEADER)", rows)
    cursor.close()
    rows.seek(0)
    types = {
        column.name: pa.int64() if isinstance(column.type, Integer) else pa.string()
        for column in table.columns
    }
    read: pd.DataFrame = csv.read_csv(
        rows,
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(column_types=types),
    ).to_pandas()
    return read
