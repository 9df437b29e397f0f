"""Benchmark of the computation, from tables in memory to metrics, against SQL in DuckDB."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pandas as pd

from benchmarks import duckdb_report
from storemon_pipeline.uptime.evaluate import evaluate_intervals
from storemon_pipeline.uptime.metrics import compute_metrics, round_metrics
from storemon_pipeline.uptime.opening_hours import OpeningHours
from storemon_pipeline.uptime.report_request import ReportRequest, ReportSpec, resolve_spec
from storemon_pipeline.uptime.time_zones import resolve_timezones


@dataclass(frozen=True)
class Tables:
    """Inputs of the project's computation."""

    stores: pd.DataFrame
    polls: pd.DataFrame
    hours: OpeningHours
    request: ReportRequest


def load_tables(connection: duckdb.DuckDBPyConnection) -> Tables:
    """Convert DuckDB's tables to pandas, the same rows in the same order."""
    polls = connection.sql("FROM store_status").df()
    polls["timestamp_utc"] = polls["timestamp_utc"].dt.tz_localize("UTC")
    polls = polls.astype({"store_id": "category", "status": "category"})
    hours = connection.sql(
        "SELECT store_id, day_of_week, start_time_local::VARCHAR AS start_time_local, "
        "end_time_local::VARCHAR AS end_time_local FROM business_hours"
    ).df()
    for column in ("start_time_local", "end_time_local"):
        hours[column] = pd.to_timedelta(hours[column])
    zones = connection.sql("FROM store_timezone").df()
    last = polls.groupby("store_id", observed=True)["timestamp_utc"].max()
    stores = last.rename("last_poll_utc").rename_axis("store_id").reset_index()
    stores = stores.astype({"store_id": "str"}).merge(zones, on="store_id", how="left")
    stores["timezone"] = resolve_timezones(stores["timezone_str"])
    stores = stores.sort_values("store_id", ignore_index=True)
    newest = polls["timestamp_utc"].max().to_pydatetime()
    request = resolve_spec(ReportSpec(), newest_poll=newest, now=datetime.now(UTC))
    special = pd.DataFrame(
        {
            "store_id": pd.Series(dtype="str"),
            "date": pd.Series(dtype="datetime64[us]"),
            "start_time_local": pd.Series(dtype="timedelta64[us]"),
            "end_time_local": pd.Series(dtype="timedelta64[us]"),
        }
    )
    return Tables(stores, polls, OpeningHours(hours, special), request)


def compute_report(tables: Tables) -> pd.DataFrame:
    """Compute the project's metrics."""
    request = tables.request
    intervals = evaluate_intervals(
        tables.stores, tables.hours, tables.polls, request.span, request.rules
    )
    exact = compute_metrics(intervals.observed(), request, tables.stores)
    return round_metrics(tables.stores, exact, request)


def measure(data: Path, runs: int) -> tuple[list[float], list[float]]:
    """Measure the seconds of the project's computation and of DuckDB's, alternately."""
    connection = duckdb_report.connect(threads=2)
    duckdb_report.load(connection, data)
    tables = load_tables(connection)
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(runs):
        started = time.perf_counter()
        compute_report(tables)
        ours.append(time.perf_counter() - started)
        started = time.perf_counter()
        connection.sql(duckdb_report.REPORT).to_arrow_table()
        theirs.append(time.perf_counter() - started)
    return ours, theirs
