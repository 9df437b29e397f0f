"""What reports tell over time: histories and comparisons; outages, and at which hours they are."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from http import HTTPStatus
from io import BytesIO
from typing import Annotated, Any, Self
from urllib.parse import urlencode

import pandas as pd
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field, model_validator

from storemon_pipeline.api.files import CSV, as_text, file_of, not_ready, prefers_csv
from storemon_pipeline.api.problems import ProblemError, documented
from storemon_pipeline.api.reports import ReportId, found
from storemon_pipeline.api.services import Given, Services
from storemon_pipeline.api.stores import StoreIdInPath, known_store
from storemon_pipeline.storage.history import (
    compare_reports,
    fleet_by_hour,
    fleet_history,
    kept_windows,
    store_history,
)
from storemon_pipeline.storage.registry import COMPLETE, ReportState, newest_complete_report
from storemon_pipeline.storage.report_files import BY_HOUR, EVENTS, append_csv
from storemon_pipeline.storage.report_rows import EventFilter, find_events, rows_of_store
from storemon_pipeline.uptime.request import Instant, StoreId
from storemon_pipeline.uptime.windows import Window

router = APIRouter(prefix="/v1")

_ID = "5e135a30-2328-44f2-b25b-b3e4eeda8dd8"
_AT = "2023-01-25T18:13:22.479220Z"

# a name for each window, as in the columns of the report
WindowColumn = StrEnum("WindowColumn", {window.name: window.column for window in Window})  # type: ignore[misc]

_WEEK = WindowColumn(Window.WEEK.column)

OfWindow = Annotated[
    WindowColumn, Query(description="The window, as in the names of the report's columns.")
]
Points = Annotated[int, Query(ge=1, le=1000, description="How many of the newest reports.")]


class HistoryPoint(BaseModel):
    """Figures of one report."""

    report_id: str = Field(examples=[_ID])
    as_of: datetime = Field(examples=[_AT])
    start: datetime | None = Field(
        description="Where the range begins; null for all other windows.", examples=[None]
    )
    uptime_pct: float | None = Field(
        description="Of observed open time; null where nothing was observed.", examples=[98.71]
    )
    uptime_hours: float = Field(examples=[76.0])
    downtime_hours: float = Field(examples=[1.0])
    unobserved_hours: float = Field(examples=[0.0])


class FleetHistory(BaseModel):
    """The figures of all stores together in past reports."""

    window: WindowColumn = Field(examples=["last_week"])
    history: list[HistoryPoint] = Field(description="Oldest first.")


class StoreHistory(FleetHistory):
    """The figures of a store in past reports."""

    store_id: str = Field(examples=["1481966498820158979"])


class Change(BaseModel):
    """A store's uptime in two reports."""

    store_id: str = Field(examples=["1481966498820158979"])
    uptime_pct_a: float | None = Field(
        description="null where report a does not have the store, or observed nothing.",
        examples=[99.5],
    )
    uptime_pct_b: float | None = Field(examples=[87.25])
    change: float | None = Field(description="b - a, in percentage points.", examples=[-12.25])


class Comparison(BaseModel):
    """How each store's uptime changed from one report to another."""

    a: str = Field(examples=[_ID])
    b: str = Field(examples=["b6a1e9d0-5b5c-4a3e-9d3f-0d3f7e0b9a11"])
    window: WindowColumn = Field(examples=["last_week"])
    as_of_a: datetime = Field(examples=["2023-01-18T18:13:22.479220Z"])
    as_of_b: datetime = Field(examples=[_AT])
    start_a: datetime | None = Field(
        description="Where report a's range begins; null for all other windows.", examples=[None]
    )
    start_b: datetime | None = Field(examples=[None])
    stores: list[Change] = Field(description="The one that got worst first.")


class AskedEvents(BaseModel):
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


class DowntimeEvent(BaseModel):
    """A stretch of downtime within one opening."""

    store_id: str = Field(examples=["1481966498820158979"])
    start_utc: datetime = Field(examples=["2023-01-25T17:00:00Z"])
    end_utc: datetime = Field(description="Not included.", examples=[_AT])
    start_local: datetime = Field(examples=["2023-01-25T11:00:00-06:00"])
    end_local: datetime = Field(examples=["2023-01-25T12:13:22.479220-06:00"])
    minutes: float = Field(examples=[73.37])
    ongoing: bool = Field(
        description="It reaches the report's as_of, and the store is down then.", examples=[True]
    )


class DowntimeEvents(BaseModel):
    """A page of downtime events, by store and start."""

    report_id: str = Field(examples=[_ID])
    total: int = Field(description="How many fit, on all pages.", examples=[1])
    events: list[DowntimeEvent]
    next: str | None = Field(
        description="Where the next page is; null on the last.",
        examples=[f"/v1/reports/{_ID}/events?limit=100&offset=100"],
    )


class HourOfWeek(BaseModel):
    """Open time and downtime in an hour of the week, on the stores' own clocks."""

    day_of_week: int = Field(description="0 = Monday.", examples=[4])
    hour: int = Field(description="0 to 23.", examples=[18])
    open_minutes: float = Field(examples=[60.0])
    downtime_minutes: float = Field(examples=[13.37])
    downtime_pct: float = Field(description="Of open time.", examples=[22.28])


class FleetByHour(BaseModel):
    """Downtime of all stores together by hour of the week, in the newest report of all stores."""

    report_id: str = Field(examples=[_ID])
    as_of: datetime = Field(examples=[_AT])
    hours: list[HourOfWeek] = Field(description="Each hour with open time.")


class StoreByHour(FleetByHour):
    """Downtime of a store by hour of the week, in the newest report of all stores."""

    store_id: str = Field(examples=["1481966498820158979"])
    timezone: str = Field(description="The zone whose clock counts.", examples=["America/New_York"])


def _records(table: pd.DataFrame) -> Any:
    return table.astype(object).where(table.notna(), None).to_dict("records")


@router.get(
    "/stores/{store_id}/history",
    tags=["stores"],
    summary="A store's figures in past reports",
    responses=documented(HTTPStatus.NOT_FOUND),
)
def history_of_store(
    services: Given,
    store_id: StoreIdInPath,
    window: OfWindow = _WEEK,
    limit: Points = 100,
) -> StoreHistory:
    """Whether a store gets better: its figures in the newest complete reports of all stores."""
    known_store(services, store_id)
    with services.database.read() as connection:
        history = store_history(connection, store_id, window.value, limit)
    return StoreHistory(store_id=store_id, window=window, history=_records(history))


@router.get(
    "/fleet/history",
    tags=["fleet"],
    summary="All stores' figures in past reports",
    responses=documented(),
)
def history_of_fleet(
    services: Given, window: OfWindow = _WEEK, limit: Points = 100
) -> FleetHistory:
    """Whether it gets better: the figures of all stores together in the newest reports of all."""
    with services.database.read() as connection:
        history = fleet_history(connection, window.value, limit)
    return FleetHistory(window=window, history=_records(history))


def _compared(
    services: Services, a: str, b: str, window: WindowColumn
) -> tuple[ReportState, ReportState, pd.DataFrame]:
    states = [_complete(services, each) for each in (a, b)]
    with services.database.read() as connection:
        for state in states:
            kept = kept_windows(connection, state.report_id)
            if window.value not in kept:
                has = f"it has {', '.join(kept)}" if kept else "it is not one of all stores"
                raise ProblemError(
                    HTTPStatus.CONFLICT,
                    f"report {state.report_id} has no figures of {window.value}: {has}",
                    kind="no-figures",
                )
        first, second = states
        table = compare_reports(connection, first.report_id, second.report_id, window.value)
    return first, second, table


def _complete(services: Services, report_id: str) -> ReportState:
    """A report that is Complete.

    Raises
    ------
    ProblemError
        404 where there is none, 409 where it is not Complete.
    """
    state = found(services, report_id)
    if state.status != COMPLETE:
        raise not_ready(state)
    return state


def _as_csv(table: pd.DataFrame, name: str) -> Response:
    text = BytesIO()
    append_csv(text, table, header=True)
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Vary": "Accept"}
    return Response(text.getvalue(), media_type=CSV, headers=headers)


_COMPARED = documented(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)


@router.get(
    "/reports/{a}/compare/{b}.csv",
    tags=["reports"],
    summary="Two reports compared, as CSV",
    response_class=Response,
    responses={
        HTTPStatus.OK.value: {"description": "The comparison.", "content": as_text(CSV)},
        **_COMPARED,
    },
)
def compare_as_csv(services: Given, a: ReportId, b: ReportId, window: OfWindow = _WEEK) -> Response:
    """Which stores got worse from report a to report b, the worst first, as CSV."""
    *_, table = _compared(services, a, b, window)
    return _as_csv(table, f"compare_{window.value}.csv")


@router.get(
    "/reports/{a}/compare/{b}",
    tags=["reports"],
    summary="Two reports compared",
    response_model=Comparison,
    responses={
        HTTPStatus.OK.value: {
            "description": "The comparison; as CSV where `Accept` asks for it.",
            "content": as_text(CSV),
        },
        **_COMPARED,
    },
)
def compare(
    services: Given,
    request: Request,
    a: ReportId,
    b: ReportId,
    window: OfWindow = _WEEK,
) -> Comparison | Response:
    """Which stores got worse from report a to report b, the worst first."""
    first, second, table = _compared(services, a, b, window)
    if prefers_csv(request.headers.get("accept", "")):
        return _as_csv(table, f"compare_{window.value}.csv")
    start_a, start_b = (_start(state, window) for state in (first, second))
    return Comparison(
        a=first.report_id,
        b=second.report_id,
        window=window,
        as_of_a=first.as_of,
        as_of_b=second.as_of,
        start_a=start_a,
        start_b=start_b,
        stores=_records(table),
    )


def _start(state: ReportState, window: WindowColumn) -> str | None:
    """Where the window begins, if it is a range."""
    asked = state.request if window.value == Window.RANGE.column else None
    return None if asked is None else asked.get("start")


@router.get(
    "/reports/{report_id}/events",
    tags=["reports"],
    summary="A report's downtime events",
    responses=documented(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
)
def events(
    services: Given,
    report_id: ReportId,
    asked: Annotated[AskedEvents, Query()],
) -> DowntimeEvents:
    """The downtime events of a Complete report, by store and start."""
    state = _complete(services, report_id)
    wanted = EventFilter(asked.store_id, asked.min_minutes, asked.start, asked.end, asked.ongoing)
    path = file_of(services, state, EVENTS)
    page, total = find_events(path, wanted, offset=asked.offset, limit=asked.limit)
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


def _newest(services: Services) -> tuple[ReportState, datetime]:
    with services.database.read() as connection:
        state = newest_complete_report(connection)
    if state is None or state.as_of is None:
        raise ProblemError(
            HTTPStatus.NOT_FOUND,
            "no report of all stores is complete yet: POST /v1/reports asks for one",
            kind="no-report",
        )
    return state, state.as_of


@router.get(
    "/stores/{store_id}/downtime_by_hour",
    tags=["stores"],
    summary="When a store is down",
    responses=documented(HTTPStatus.NOT_FOUND),
)
def by_hour_of_store(services: Given, store_id: StoreIdInPath) -> StoreByHour:
    """At which hours of its week a store is down, by the newest report of all stores."""
    store = known_store(services, store_id)
    state, as_of = _newest(services)
    rows = rows_of_store(file_of(services, state, BY_HOUR), store_id).drop_columns("store_id")
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
    responses=documented(HTTPStatus.NOT_FOUND),
)
def by_hour_of_fleet(services: Given) -> FleetByHour:
    """At which hours of their weeks stores are down, all together, by the newest report of all."""
    state, as_of = _newest(services)
    with services.database.read() as connection:
        hours = fleet_by_hour(connection, state.report_id)
    return FleetByHour(report_id=state.report_id, as_of=as_of, hours=_records(hours))
