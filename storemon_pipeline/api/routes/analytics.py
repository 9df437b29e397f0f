"""What reports tell over time: histories and comparisons; outages, and at which hours they are."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from io import BytesIO
from typing import Annotated, Self
from urllib.parse import urlencode

import pandas as pd
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field, model_validator

from storemon_pipeline.api.content_negotiation import CSV, prefers_csv
from storemon_pipeline.api.dependencies import AppState, AppStateDep
from storemon_pipeline.api.errors import ProblemError, problem_responses
from storemon_pipeline.api.file_responses import report_file_path, report_not_ready, text_content
from storemon_pipeline.api.models import (
    Comparison,
    DowntimeEvent,
    DowntimeEvents,
    FleetByHour,
    FleetHistory,
    HourOfWeek,
    StoreByHour,
    StoreHistory,
    WindowColumn,
)
from storemon_pipeline.api.routes.reports import ReportId, get_report_or_404
from storemon_pipeline.api.routes.stores import StoreIdInPath, get_store_or_404
from storemon_pipeline.storage.csv_format import write_csv
from storemon_pipeline.storage.report_history import (
    fleet_by_hour,
    fleet_history,
    read_comparison,
    store_history,
    stored_windows,
)
from storemon_pipeline.storage.report_reader import EventFilter, query_events, read_store_rows
from storemon_pipeline.storage.report_writer import BY_HOUR, EVENTS
from storemon_pipeline.storage.reports import COMPLETE, ReportRecord, latest_complete_report
from storemon_pipeline.uptime.conversions import to_records
from storemon_pipeline.uptime.report_request import Instant, StoreId
from storemon_pipeline.uptime.windows import Window

router = APIRouter(prefix="/v1")

_WEEK = WindowColumn(Window.WEEK.suffix)

WindowQuery = Annotated[
    WindowColumn, Query(description="The window, as in the names of the report's columns.")
]
HistoryLimit = Annotated[int, Query(ge=1, le=1000, description="How many of the newest reports.")]


class EventQuery(BaseModel):
    """Which downtime events are asked for."""

    store_id: StoreId | None = Field(default=None, description="Only those of this store.")
    min_minutes: float | None = Field(
        default=None, ge=0, allow_inf_nan=False, description="Only those that are at least as long."
    )
    start: Instant | None = Field(
        default=None, description="Only those that go on after this instant."
    )
    end: Instant | None = Field(
        default=None, description="Only those that begin before this instant."
    )
    ongoing: bool | None = Field(
        default=None, description="Only those that go on at the report's as_of, or are over."
    )
    limit: int = Field(default=100, ge=1, le=1000, description="How many on a page.")
    offset: int = Field(
        default=0, ge=0, le=10**9, description="As the link to the next page has it."
    )

    @model_validator(mode="after")
    def _begins_before_it_ends(self) -> Self:
        if self.start is not None and self.end is not None and self.start >= self.end:
            msg = f"start ({self.start.isoformat()}) must be before end ({self.end.isoformat()})"
            raise ValueError(msg)
        return self


@router.get(
    "/stores/{store_id}/history",
    tags=["stores"],
    summary="A store's figures in past reports",
    responses=problem_responses(HTTPStatus.NOT_FOUND),
)
def get_store_history(
    services: AppStateDep,
    store_id: StoreIdInPath,
    window: WindowQuery = _WEEK,
    limit: HistoryLimit = 100,
) -> StoreHistory:
    """Whether a store gets better: its figures in the newest complete reports of all stores."""
    get_store_or_404(services, store_id)
    with services.database.read() as connection:
        history = store_history(connection, store_id, window.value, limit)
    return StoreHistory(store_id=store_id, window=window, history=to_records(history))


@router.get(
    "/fleet/history",
    tags=["fleet"],
    summary="All stores' figures in past reports",
    responses=problem_responses(),
)
def get_fleet_history(
    services: AppStateDep, window: WindowQuery = _WEEK, limit: HistoryLimit = 100
) -> FleetHistory:
    """Whether it gets better: the figures of all stores together in the newest reports of all."""
    with services.database.read() as connection:
        history = fleet_history(connection, window.value, limit)
    return FleetHistory(window=window, history=to_records(history))


def _load_comparison(
    services: AppState, a: str, b: str, window: WindowColumn
) -> tuple[ReportRecord, ReportRecord, pd.DataFrame]:
    states = [get_complete_report_or_409(services, each) for each in (a, b)]
    with services.database.read() as connection:
        for state in states:
            kept = stored_windows(connection, state.report_id)
            if window.value not in kept:
                has = f"it has {', '.join(kept)}" if kept else "it is not one of all stores"
                raise ProblemError(
                    HTTPStatus.CONFLICT,
                    f"report {state.report_id} has no figures of {window.value}: {has}",
                    type_slug="no-figures",
                )
        first, second = states
        table = read_comparison(connection, first.report_id, second.report_id, window.value)
    return first, second, table


def get_complete_report_or_409(services: AppState, report_id: str) -> ReportRecord:
    """A report that is Complete.

    Raises
    ------
    ProblemError
        404 where there is none, 409 where it is not Complete.
    """
    state = get_report_or_404(services, report_id)
    if state.status != COMPLETE:
        raise report_not_ready(state)
    return state


def _as_csv(table: pd.DataFrame, name: str) -> Response:
    text = BytesIO()
    write_csv(text, table, header=True)
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Vary": "Accept"}
    return Response(text.getvalue(), media_type=CSV, headers=headers)


_COMPARED = problem_responses(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)


@router.get(
    "/reports/{a}/compare/{b}.csv",
    tags=["reports"],
    summary="Two reports compared, as CSV",
    response_class=Response,
    responses={
        HTTPStatus.OK.value: {"description": "The comparison.", "content": text_content(CSV)},
        **_COMPARED,
    },
)
def compare_reports_csv(
    services: AppStateDep, a: ReportId, b: ReportId, window: WindowQuery = _WEEK
) -> Response:
    """Which stores got worse from report a to report b, the worst first, as CSV."""
    *_, table = _load_comparison(services, a, b, window)
    return _as_csv(table, f"compare_{window.value}.csv")


@router.get(
    "/reports/{a}/compare/{b}",
    tags=["reports"],
    summary="Two reports compared",
    response_model=Comparison,
    responses={
        HTTPStatus.OK.value: {
            "description": "The comparison; as CSV where `Accept` asks for it.",
            "content": text_content(CSV),
        },
        **_COMPARED,
    },
)
def compare_reports(
    services: AppStateDep,
    request: Request,
    a: ReportId,
    b: ReportId,
    window: WindowQuery = _WEEK,
) -> Comparison | Response:
    """Which stores got worse from report a to report b, the worst first."""
    first, second, table = _load_comparison(services, a, b, window)
    if prefers_csv(request.headers.get("accept", "")):
        return _as_csv(table, f"compare_{window.value}.csv")
    start_a, start_b = (_range_start(state, window) for state in (first, second))
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


def _range_start(state: ReportRecord, window: WindowColumn) -> str | None:
    """Where the window begins, if it is a range."""
    asked = state.request if window.value == Window.RANGE.suffix else None
    return None if asked is None else asked.get("start")


@router.get(
    "/reports/{report_id}/events",
    tags=["reports"],
    summary="A report's downtime events",
    responses=problem_responses(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
)
def list_downtime_events(
    services: AppStateDep,
    report_id: ReportId,
    asked: Annotated[EventQuery, Query()],
) -> DowntimeEvents:
    """The downtime events of a Complete report, by store and start."""
    state = get_complete_report_or_409(services, report_id)
    wanted = EventFilter(asked.store_id, asked.min_minutes, asked.start, asked.end, asked.ongoing)
    path = report_file_path(services, state, EVENTS)
    page, total = query_events(path, wanted, offset=asked.offset, limit=asked.limit)
    following = None
    if asked.offset + asked.limit < total:
        further = asked.model_copy(update={"offset": asked.offset + asked.limit})
        query = urlencode(further.model_dump(mode="json", exclude_none=True))
        following = f"/v1/reports/{state.report_id}/events?{query}"
    return DowntimeEvents(
        report_id=state.report_id,
        total=total,
        events=[DowntimeEvent(**row) for row in page.to_pylist()],
        next=following,
    )


def _latest_report(services: AppState) -> tuple[ReportRecord, datetime]:
    with services.database.read() as connection:
        state = latest_complete_report(connection)
    if state is None or state.as_of is None:
        raise ProblemError(
            HTTPStatus.NOT_FOUND,
            "no report of all stores is complete yet: POST /v1/reports asks for one",
            type_slug="no-report",
        )
    return state, state.as_of


@router.get(
    "/stores/{store_id}/downtime_by_hour",
    tags=["stores"],
    summary="When a store is down",
    responses=problem_responses(HTTPStatus.NOT_FOUND),
)
def get_store_downtime_by_hour(services: AppStateDep, store_id: StoreIdInPath) -> StoreByHour:
    """At which hours of its week a store is down, by the newest report of all stores."""
    store = get_store_or_404(services, store_id)
    state, as_of = _latest_report(services)
    rows = read_store_rows(report_file_path(services, state, BY_HOUR), store_id).drop_columns(
        "store_id"
    )
    return StoreByHour(
        store_id=store_id,
        timezone=store.timezone,
        report_id=state.report_id,
        as_of=as_of,
        hours=[HourOfWeek(**row) for row in rows.to_pylist()],
    )


@router.get(
    "/fleet/downtime_by_hour",
    tags=["fleet"],
    summary="When stores are down",
    responses=problem_responses(HTTPStatus.NOT_FOUND),
)
def get_fleet_downtime_by_hour(services: AppStateDep) -> FleetByHour:
    """At which hours of their weeks stores are down, all together, by the newest report of all."""
    state, as_of = _latest_report(services)
    with services.database.read() as connection:
        hours = fleet_by_hour(connection, state.report_id)
    return FleetByHour(report_id=state.report_id, as_of=as_of, hours=to_records(hours))
