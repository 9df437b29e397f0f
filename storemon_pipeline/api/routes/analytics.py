"""Analytics of past reports: histories, comparisons, downtime by hour of the week."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from io import BytesIO
from typing import Annotated

import pandas as pd
from fastapi import APIRouter, Query, Response

from storemon_pipeline.api.content_negotiation import CSV
from storemon_pipeline.api.dependencies import AppState, AppStateDep
from storemon_pipeline.api.file_responses import report_file_path, text_content
from storemon_pipeline.api.models import (
    Comparison,
    FleetByHour,
    FleetHistory,
    HourOfWeek,
    StoreByHour,
    StoreHistory,
    WindowColumn,
)
from storemon_pipeline.api.problems import ProblemError, problem_responses
from storemon_pipeline.api.report_lookup import ReportId, get_complete_report_or_409
from storemon_pipeline.api.routes.stores import StoreIdInPath, get_store_or_404
from storemon_pipeline.storage.csv_format import write_csv
from storemon_pipeline.storage.report_history import (
    read_fleet_by_hour,
    read_fleet_metrics,
    read_report_metrics,
    read_store_metrics,
    stored_windows,
)
from storemon_pipeline.storage.report_reader import read_store_rows
from storemon_pipeline.storage.report_writer import ReportFile
from storemon_pipeline.storage.reports import ReportRecord, latest_complete_report
from storemon_pipeline.uptime.conversions import to_records
from storemon_pipeline.uptime.past_reports import compare_uptime, history_figures, hour_figures
from storemon_pipeline.uptime.windows import Window

router = APIRouter(prefix="/v1")

_WEEK = WindowColumn(Window.WEEK.suffix)

WindowQuery = Annotated[
    WindowColumn, Query(description="The window, as in the column names of the report.")
]
HistoryLimit = Annotated[int, Query(ge=1, le=1000, description="Number of latest reports.")]


@router.get(
    "/stores/{store_id}/history",
    tags=["stores"],
    summary="Get the history of a store",
    responses=problem_responses(HTTPStatus.NOT_FOUND),
)
def get_store_history(
    app_state: AppStateDep,
    store_id: StoreIdInPath,
    window: WindowQuery = _WEEK,
    limit: HistoryLimit = 100,
) -> StoreHistory:
    """Return the figures of a store in the latest complete reports of all stores."""
    get_store_or_404(app_state, store_id)
    with app_state.database.read() as connection:
        metrics = read_store_metrics(connection, store_id, window.value, limit)
    history = history_figures(metrics)
    return StoreHistory(store_id=store_id, window=window, history=to_records(history))


@router.get(
    "/fleet/history",
    tags=["fleet"],
    summary="Get the history of all stores combined",
    responses=problem_responses(),
)
def get_fleet_history(
    app_state: AppStateDep, window: WindowQuery = _WEEK, limit: HistoryLimit = 100
) -> FleetHistory:
    """Return the combined figures of all stores in the latest complete reports of all stores."""
    with app_state.database.read() as connection:
        metrics = read_fleet_metrics(connection, window.value, limit)
    history = history_figures(metrics)
    return FleetHistory(window=window, history=to_records(history))


def _load_comparison(
    app_state: AppState, a: str, b: str, window: WindowColumn
) -> tuple[ReportRecord, ReportRecord, pd.DataFrame]:
    records = [get_complete_report_or_409(app_state, report_id) for report_id in (a, b)]
    with app_state.database.read() as connection:
        for record in records:
            windows = stored_windows(connection, record.report_id)
            if window.value not in windows:
                reason = (
                    f"it has {', '.join(windows)}"
                    if windows
                    else "it is not a report of all stores"
                )
                raise ProblemError(
                    HTTPStatus.CONFLICT,
                    f"report {record.report_id} has no figures for {window.value}: {reason}",
                    type_slug="no-figures",
                )
        of_a, of_b = (
            read_report_metrics(connection, record.report_id, window.value) for record in records
        )
    first, second = records
    return first, second, compare_uptime(of_a, of_b)


def _csv_response(table: pd.DataFrame, name: str) -> Response:
    text = BytesIO()
    write_csv(text, table, header=True)
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(text.getvalue(), media_type=CSV, headers=headers)


_COMPARISON_PROBLEMS = problem_responses(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)


@router.get(
    "/reports/{a}/compare/{b}.csv",
    tags=["reports"],
    summary="Compare two reports as CSV",
    response_class=Response,
    responses={
        HTTPStatus.OK.value: {"description": "The comparison.", "content": text_content(CSV)},
        **_COMPARISON_PROBLEMS,
    },
)
def compare_reports_csv(
    app_state: AppStateDep, a: ReportId, b: ReportId, window: WindowQuery = _WEEK
) -> Response:
    """Return the change of each store's uptime from a to b as CSV, largest decrease first."""
    *_, table = _load_comparison(app_state, a, b, window)
    return _csv_response(table, f"compare_{window.value}.csv")


@router.get(
    "/reports/{a}/compare/{b}",
    tags=["reports"],
    summary="Compare two reports",
    responses=_COMPARISON_PROBLEMS,
)
def compare_reports(
    app_state: AppStateDep, a: ReportId, b: ReportId, window: WindowQuery = _WEEK
) -> Comparison:
    """Return the change of each store's uptime from report a to b, largest decrease first."""
    first, second, table = _load_comparison(app_state, a, b, window)
    start_a, start_b = (_range_start(record, window) for record in (first, second))
    return Comparison(
        a=first.report_id,
        b=second.report_id,
        window=window,
        as_of_a=first.as_of,
        as_of_b=second.as_of,
        start_a=start_a,
        start_b=start_b,
        stores=to_records(table),
    )


def _range_start(record: ReportRecord, window: WindowColumn) -> str | None:
    """Return the start of the range; None for all other windows."""
    if window.value != Window.RANGE.suffix or record.request is None:
        return None
    return record.request.get("start")


def _latest_report(app_state: AppState) -> tuple[ReportRecord, datetime]:
    with app_state.database.read() as connection:
        record = latest_complete_report(connection)
    if record is None or record.as_of is None:
        raise ProblemError(
            HTTPStatus.NOT_FOUND,
            "no report of all stores is complete yet: request one by POST /v1/reports",
            type_slug="no-report",
        )
    return record, record.as_of


@router.get(
    "/stores/{store_id}/downtime_by_hour",
    tags=["stores"],
    summary="Get the downtime of a store by hour of the week",
    responses=problem_responses(HTTPStatus.NOT_FOUND),
)
def get_store_downtime_by_hour(app_state: AppStateDep, store_id: StoreIdInPath) -> StoreByHour:
    """Return the downtime of a store by hour of the week, in the latest report of all stores."""
    store = get_store_or_404(app_state, store_id)
    record, as_of = _latest_report(app_state)
    rows = read_store_rows(
        report_file_path(app_state, record, ReportFile.BY_HOUR), store_id
    ).drop_columns("store_id")
    return StoreByHour(
        store_id=store_id,
        timezone=store.timezone,
        report_id=record.report_id,
        as_of=as_of,
        hours=[HourOfWeek(**row) for row in rows.to_pylist()],
    )


@router.get(
    "/fleet/downtime_by_hour",
    tags=["fleet"],
    summary="Get the downtime of all stores by hour of the week",
    responses=problem_responses(HTTPStatus.NOT_FOUND),
)
def get_fleet_downtime_by_hour(app_state: AppStateDep) -> FleetByHour:
    """Return the combined downtime of all stores, in the latest report of all stores."""
    record, as_of = _latest_report(app_state)
    with app_state.database.read() as connection:
        hours = hour_figures(read_fleet_by_hour(connection, record.report_id))
    return FleetByHour(report_id=record.report_id, as_of=as_of, hours=to_records(hours))
