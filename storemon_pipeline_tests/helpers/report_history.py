"""Completed reports with given figures."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import pandas as pd

from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.report_history import save_metrics
from storemon_pipeline.storage.reports import complete_report, start_report
from storemon_pipeline.uptime.evaluate import StoreResults
from storemon_pipeline.uptime.fleet import FleetSummary
from storemon_pipeline.uptime.report_request import ReportSpec, resolve_spec
from storemon_pipeline.uptime.windows import Window

NOON = datetime(2023, 1, 25, 12, tzinfo=UTC)


HOUR = 3_600_000_000


Figures = Mapping[str, tuple[int, int, int]]
"""Uptime, downtime and unobserved time of each store, in microseconds."""


def kept(
    database: Database,
    report_id: str,
    figures: Figures,
    *,
    as_of: datetime = NOON,
    windows: tuple[Window, ...] = (Window.WEEK,),
    since: datetime | None = None,
    finished_at: datetime | None = None,
    batches: int = 1,
    run_id: str | None = None,
) -> None:
    """Store a complete report of all stores with these figures in each window, in batches."""
    span = {} if since is None else {"start": since, "end": as_of}
    spec = ReportSpec(as_of=as_of, windows=windows, **span)
    request = resolve_spec(spec, newest_poll=as_of, now=as_of)
    fleet = FleetSummary(request)
    stores = sorted(figures)
    for first in range(batches):
        part = stores[first * len(stores) // batches : (first + 1) * len(stores) // batches]
        exact = pd.DataFrame(
            {
                f"{figure}_{window.suffix}": [figures[store][at] for store in part]
                for window in windows
                for at, figure in enumerate(("uptime", "downtime", "unobserved"))
            },
            dtype="int64",
        )
        by_hour = pd.DataFrame(
            {
                "day_of_week": [2] * len(part),
                "hour": [11] * len(part),
                "open_minutes": [60.0] * len(part),
                "downtime_minutes": [15.0] * len(part),
            }
        )
        ids = pd.DataFrame({"store_id": pd.Series(part, dtype="str")})
        levels = ids.assign(
            **{
                f"met_{window.suffix}": pd.array([None] * len(part), "boolean")
                for window in windows
            }
        )
        fleet.add(
            StoreResults(
                ids,
                exact,
                levels,
                pd.DataFrame({"ongoing": []}),
                by_hour,
                current=ids.assign(status="up"),
                down_now=ids.head(0),
            )
        )
    with database.registry_transaction() as connection:
        start_report(connection, report_id, request, as_of)
        if run_id:
            start_report(connection, run_id, request, as_of, root_run_id=report_id)
        run = run_id or report_id
        complete_report(connection, run, stores=len(figures), finished_at=finished_at or as_of)
        save_metrics(connection, run, fleet)
