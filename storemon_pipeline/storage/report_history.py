"""Metrics of past reports, for trends and comparisons.

Only complete reports of all stores are stored, since only these are comparable. The metrics are
exact, in microseconds; :mod:`storemon_pipeline.uptime.past_reports` derives the figures.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
from sqlalchemy import Connection, Select, Table, delete, null, select

from storemon_pipeline.storage import bulk_load
from storemon_pipeline.storage.reports import AS_OF_IN_PAST
from storemon_pipeline.storage.schema import fleet_figure, fleet_hour, report, report_figure
from storemon_pipeline.uptime.fleet import FleetSummary
from storemon_pipeline.uptime.past_reports import METRICS
from storemon_pipeline.uptime.windows import Window


def save_metrics(connection: Connection, run_id: str, fleet: FleetSummary) -> None:
    """Store the metrics of a run's report, replacing those of an earlier attempt.

    Parameters
    ----------
    connection : Connection
        Of :meth:`~storemon_pipeline.storage.database.Database.registry_transaction`: the
        transaction that marks the report Complete.
    run_id : str
    fleet : FleetSummary
        A report of all stores.
    """
    report_id = connection.execute(
        select(report.c.report_id).where(report.c.run_id == run_id)
    ).scalar_one()
    for table in (report_figure, fleet_figure, fleet_hour):
        connection.execute(delete(table).where(table.c.report_id == report_id))
    for window in fleet.request.windows:
        for figures, exact in zip(fleet.metrics, fleet.metrics_us, strict=True):
            rows = _rows(report_id, window.suffix, figures["store_id"], exact)
            bulk_load.insert_rows(connection, report_figure.name, rows)
    fleet_rows = [
        {"report_id": report_id, "window_name": window.suffix}
        | {figure: fleet.total_us(figure, window.suffix) for figure in METRICS}
        for window in fleet.request.windows
    ]
    connection.execute(fleet_figure.insert(), fleet_rows)
    by_hour = [
        {
            "report_id": report_id,
            "day_of_week": day,
            "hour": hour,
            "open_minutes": float(open_minutes),
            "downtime_minutes": float(fleet.downtime_minutes[day, hour]),
        }
        for (day, hour), open_minutes in np.ndenumerate(fleet.open_minutes)
        if open_minutes
    ]
    if by_hour:
        connection.execute(fleet_hour.insert(), by_hour)


def _rows(report_id: str, window: str, store_id: pd.Series, exact: pd.DataFrame) -> pa.Table:
    same = pa.array(np.zeros(len(exact), dtype=np.int8))
    return pa.table(
        {
            "report_id": pa.DictionaryArray.from_arrays(same, pa.array([report_id])),
            "window_name": pa.DictionaryArray.from_arrays(same, pa.array([window])),
            "store_id": pa.array(store_id, pa.string()),
        }
        | {figure: pa.array(exact[f"{figure}_{window}"]) for figure in METRICS}
    )


def read_store_metrics(
    connection: Connection, store_id: str, window: str, limit: int = 100
) -> pd.DataFrame:
    """Read the metrics of a store in the newest reports of all stores.

    Parameters
    ----------
    connection : Connection
    store_id : str
    window : str
        Suffix of the report's columns, such as ``last_week``.
    limit : int
        Maximum number of reports.

    Returns
    -------
    DataFrame
        ``report_id``, ``as_of`` (``datetime64[us, UTC]``), ``start`` (text, start of a range; else
        None), ``uptime``, ``downtime``, ``unobserved`` (int64, microseconds), oldest first.
    """
    query = _newest_reports(report_figure, window).where(report_figure.c.store_id == store_id)
    return _to_frame(connection, query, limit)


def read_fleet_metrics(connection: Connection, window: str, limit: int = 100) -> pd.DataFrame:
    """Read the metrics of the fleet in the newest reports, as :func:`read_store_metrics` does."""
    return _to_frame(connection, _newest_reports(fleet_figure, window), limit)


def _newest_reports(table: Table, window: str) -> Select[tuple[object, ...]]:
    figures = [table.c[figure] for figure in METRICS]
    # ranges may differ in length, so their start is needed to tell them apart
    is_range = window == Window.RANGE.suffix
    start = report.c.request["start"].as_string() if is_range else null()
    return (
        select(report.c.report_id, report.c.as_of, start, *figures)
        .join_from(report, table, table.c.report_id == report.c.report_id)
        .where(table.c.window_name == window, AS_OF_IN_PAST)
        # of two reports with the same as_of, the later one to finish comes later
        .order_by(report.c.as_of.desc(), report.c.finished_at.desc(), report.c.report_id.desc())
    )


def _to_frame(
    connection: Connection, query: Select[tuple[object, ...]], limit: int
) -> pd.DataFrame:
    newest_first = connection.execute(query.limit(limit)).all()
    rows = pd.DataFrame(newest_first[::-1], columns=["report_id", "as_of", "start", *METRICS])
    rows["as_of"] = pd.to_datetime(rows["as_of"], utc=True)
    types = {"report_id": "str", "as_of": "datetime64[us, UTC]", "start": "object"}
    return rows.astype(types | dict.fromkeys(METRICS, "int64"))


def stored_windows(connection: Connection, report_id: str) -> list[str]:
    """Return the windows, by suffix, for which a report's metrics are stored; sorted."""
    table = fleet_figure.c
    query = select(table.window_name).where(table.report_id == report_id)
    return list(connection.execute(query.order_by(table.window_name)).scalars())


def read_report_metrics(connection: Connection, report_id: str, window: str) -> pd.DataFrame:
    """Read the metrics of each store in a report.

    Returns
    -------
    DataFrame
        ``store_id``, ``uptime``, ``downtime`` (int64, microseconds), unordered.
    """
    table = report_figure.c
    query = select(table.store_id, table.uptime, table.downtime).where(
        table.report_id == report_id, table.window_name == window
    )
    types = {"store_id": "str", "uptime": "int64", "downtime": "int64"}
    return pd.DataFrame(connection.execute(query).all(), columns=list(types)).astype(types)


def read_fleet_by_hour(connection: Connection, report_id: str) -> pd.DataFrame:
    """Read open time and downtime of the fleet by local hour, for a report.

    Returns
    -------
    DataFrame
        ``day_of_week`` (int64, 0 = Monday), ``hour`` (int64), ``open_minutes``,
        ``downtime_minutes`` (float64): one row per hour with open time, sorted.
    """
    table = fleet_hour.c
    query = (
        select(table.day_of_week, table.hour, table.open_minutes, table.downtime_minutes)
        .where(table.report_id == report_id)
        .order_by(table.day_of_week, table.hour)
    )
    types = {
        "day_of_week": "int64",
        "hour": "int64",
        "open_minutes": "float64",
        "downtime_minutes": "float64",
    }
    return pd.DataFrame(connection.execute(query).all(), columns=list(types)).astype(types)
