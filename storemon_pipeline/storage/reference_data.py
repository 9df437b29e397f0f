"""Reference data, each table replaced as a whole: opening hours, time zones, service levels."""

from __future__ import annotations

from io import BytesIO

import pandas as pd
import pyarrow as pa
from pyarrow import csv
from sqlalchemy import Connection, Table, delete, func, select

from storemon_pipeline.storage import bulk_load
from storemon_pipeline.storage.schema import (
    business_hours,
    polled_store,
    service_level,
    special_hours,
    store_timezone,
)
from storemon_pipeline.uptime.conversions import map_distinct
from storemon_pipeline.uptime.opening_hours import OpeningHours

_TIMES = ("start_time_local", "end_time_local")


def replace_snapshot(connection: Connection, table: Table, rows: pd.DataFrame) -> int:
    """Replace all rows of a table.

    Parameters
    ----------
    connection : Connection
        Of :meth:`~storemon_pipeline.storage.database.Database.data_transaction`.
    table : Table
        One of the snapshots.
    rows : DataFrame
        The columns of the table; of rows with the same key, the last is stored.

    Returns
    -------
    int
        Number of rows in the table.
    """
    keys = [column.name for column in table.primary_key]
    unique = rows.drop_duplicates(keys, keep="last")[[column.name for column in table.columns]]
    connection.execute(delete(table))
    columns = bulk_load.arrow_schema(table)
    arrow = pa.Table.from_pandas(unique, columns, preserve_index=False)
    bulk_load.insert_rows(connection, table.name, arrow)
    return len(unique)


def count_weekdays_with_hours(connection: Connection) -> pd.DataFrame:
    """Count the weekdays with opening hours of each store.

    Returns
    -------
    DataFrame
        ``store_id`` (text), ``weekdays`` (int64).
    """
    store = business_hours.c.store_id
    weekdays = func.count(business_hours.c.day_of_week.distinct()).label("weekdays")
    return pd.read_sql(select(store, weekdays).group_by(store), connection)


def count_rows(connection: Connection, table: Table) -> int:
    """Count the rows of a table."""
    return connection.execute(select(func.count()).select_from(table)).scalar_one()


def count_distinct_stores(connection: Connection, table: Table) -> int:
    """Count the distinct stores in a table with ``store_id``."""
    query = select(func.count(table.c.store_id.distinct()))
    return connection.execute(query).scalar_one()


def count_polled_stores(connection: Connection, table: Table) -> int:
    """Count the polled stores that have a row in a table with ``store_id``."""
    polled = polled_store.c.store_id
    query = select(func.count()).where(polled.in_(select(table.c.store_id)))
    return connection.execute(query).scalar_one()


def read_opening_hours(connection: Connection, store_id: str) -> OpeningHours:
    """Read the weekly and the special openings of one store."""
    return OpeningHours(
        read_business_hours(connection, store_id), read_special_hours(connection, store_id)
    )


def read_business_hours(connection: Connection, store_id: str | None = None) -> pd.DataFrame:
    """Read all weekly openings, or those of one store.

    Returns
    -------
    DataFrame
        ``store_id`` (text), ``day_of_week`` (int64, 0 = Monday), ``start_time_local``,
        ``end_time_local`` (``timedelta64[us]`` since midnight), sorted.
    """
    hours = _read(connection, business_hours, store_id)
    hours["day_of_week"] = hours["day_of_week"].astype("int64")
    for column in _TIMES:
        hours[column] = _parse_times(hours[column])
    return hours.sort_values(["store_id", "day_of_week", *_TIMES], ignore_index=True)


def _parse_times(text: pd.Series) -> pd.Series:
    return map_distinct(text, lambda distinct: pd.to_timedelta(distinct).astype("timedelta64[us]"))


def read_special_hours(connection: Connection, store_id: str | None = None) -> pd.DataFrame:
    """Read all openings of single dates, or those of one store.

    Returns
    -------
    DataFrame
        ``store_id`` (text), ``date`` (``datetime64[us]``), ``start_time_local``,
        ``end_time_local`` (``timedelta64[us]`` since midnight, both NaT: closed), sorted.
    """
    hours = _read(connection, special_hours, store_id)
    hours["date"] = pd.to_datetime(hours["date"], format="%Y-%m-%d").astype("datetime64[us]")
    for column in _TIMES:
        hours[column] = _parse_times(hours[column].mask(hours[column] == "", "NaT"))
    return hours.sort_values(["store_id", "date", *_TIMES], ignore_index=True)


def read_service_levels(connection: Connection) -> pd.DataFrame:
    """Read the SLO targets of stores with an individual target.

    Returns
    -------
    DataFrame
        ``store_id`` (text), ``target_pct`` (float64).
    """
    return _read(connection, service_level)


def read_timezones(connection: Connection) -> pd.DataFrame:
    """Read the time zone of each store as written in the file.

    Returns
    -------
    DataFrame
        ``store_id`` (text), ``timezone_str`` (text).
    """
    return _read(connection, store_timezone)


def _read(connection: Connection, table: Table, store_id: str | None = None) -> pd.DataFrame:
    if store_id is not None:
        return pd.read_sql(select(table).where(table.c.store_id == store_id), connection)
    if connection.dialect.name == "sqlite":
        return pd.read_sql(select(table), connection)
    # COPY is several times as fast as fetching rows
    rows = BytesIO()
    cursor = connection.connection.cursor()
    cursor.copy_expert(f"COPY {table.name} TO STDOUT (FORMAT csv, HEADER)", rows)
    cursor.close()
    rows.seek(0)
    read: pd.DataFrame = csv.read_csv(
        rows,
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(column_types=bulk_load.arrow_schema(table)),
    ).to_pandas()
    return read
