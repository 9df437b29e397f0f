"""Reference data, each table replaced as a whole: opening hours, time zones, service levels."""

from __future__ import annotations

import json

import pandas as pd
import pyarrow as pa
from sqlalchemy import ARRAY, Connection, Table, Text, any_, delete, func, literal, select

from storemon_pipeline.storage import bulk_load
from storemon_pipeline.storage.bulk_read import fetch_from_sqlite, fetch_table
from storemon_pipeline.storage.schema import (
    business_hours,
    polled_store,
    service_level,
    special_hours,
    store_timezone,
)
from storemon_pipeline.storage.store_revisions import EVERY_STORE, revise
from storemon_pipeline.uptime.conversions import map_distinct
from storemon_pipeline.uptime.opening_hours import OpeningHours

_TIMES = ("start_time_local", "end_time_local")
_EVALUATED = (business_hours, special_hours, store_timezone)
"""The snapshots that the states of stores depend on."""


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
    if table in _EVALUATED:
        revise(connection, pa.array([EVERY_STORE]))
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
    hours = _parse_weekly(_read(connection, business_hours, store_id))
    return hours.sort_values(["store_id", "day_of_week", *_TIMES], ignore_index=True)


def _parse_weekly(hours: pd.DataFrame) -> pd.DataFrame:
    times = {column: _parse_times(hours[column]) for column in _TIMES}
    return hours.assign(day_of_week=hours["day_of_week"].astype("int64"), **times)


def _parse_special(hours: pd.DataFrame) -> pd.DataFrame:
    dates = pd.to_datetime(hours["date"], format="%Y-%m-%d").astype("datetime64[us]")
    times = {
        column: _parse_times(hours[column].mask(hours[column] == "", "NaT")) for column in _TIMES
    }
    return hours.assign(date=dates, **times)


def _parse_times(texts: pd.Series) -> pd.Series:
    return map_distinct(texts, lambda distinct: pd.to_timedelta(distinct).astype("timedelta64[us]"))


def read_special_hours(connection: Connection, store_id: str | None = None) -> pd.DataFrame:
    """Read all openings of single dates, or those of one store.

    Returns
    -------
    DataFrame
        ``store_id`` (text), ``date`` (``datetime64[us]``), ``start_time_local``,
        ``end_time_local`` (``timedelta64[us]`` since midnight, both NaT: closed), sorted.
    """
    hours = _parse_special(_read(connection, special_hours, store_id))
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
    read: pd.DataFrame = fetch_table(connection, table).to_pandas()
    return read


def read_hours_of(connection: Connection, store_ids: pd.Series) -> OpeningHours:
    """Read the weekly and the special openings of some stores; cheaper than all only for few.

    Parameters
    ----------
    connection : Connection
    store_ids : Series of text
    """
    weekly, special = (
        _read_stores(connection, table, store_ids) for table in (business_hours, special_hours)
    )
    return OpeningHours(_parse_weekly(weekly), _parse_special(special))


def _read_stores(connection: Connection, table: Table, store_ids: pd.Series) -> pd.DataFrame:
    schema = bulk_load.arrow_schema(table)
    if connection.dialect.name == "sqlite":
        ids = json.dumps(store_ids.tolist())
        query = (
            f"SELECT {', '.join(schema.names)} FROM {table.name} "  # noqa: S608 - our own names
            "WHERE store_id IN (SELECT value FROM json_each(:ids))"
        )
        rows = fetch_from_sqlite(connection, query, {"ids": ids}, schema)
    else:
        of_stores = table.c.store_id == any_(literal(store_ids.tolist(), ARRAY(Text)))
        found = connection.execute(select(table).where(of_stores)).all()
        columns = list(zip(*found, strict=True)) or [()] * len(schema)
        rows = pa.table(list(map(pa.array, columns, schema.types)), schema)
    read: pd.DataFrame = rows.to_pandas()
    return read
