"""business_hours and store_timezone: snapshots, replaced whole and read whole."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa
from sqlalchemy import Connection, Table, delete, func, select

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


def read_business_hours(connection: Connection) -> pd.DataFrame:
    """All weekly openings.

    Returns
    -------
    DataFrame
        ``store_id`` (text), ``day_of_week`` (int64, 0 = Monday), ``start_time_local``,
        ``end_time_local`` (``timedelta64[us]`` since midnight), sorted.
    """
    hours = pd.read_sql(select(business_hours), connection)
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
    return pd.read_sql(select(store_timezone), connection)
