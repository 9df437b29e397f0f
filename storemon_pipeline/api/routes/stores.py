"""/v1/stores: list and get stores, and their status intervals."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any

import pandas as pd
from fastapi import APIRouter, Path, Query
from pydantic import TypeAdapter

from storemon_pipeline.api import models
from storemon_pipeline.api.dependencies import AppState, AppStateDep
from storemon_pipeline.api.pagination import CursorQuery, Paginator
from storemon_pipeline.api.problems import ProblemError, problem_responses
from storemon_pipeline.api.report_submission import unanswerable
from storemon_pipeline.evaluation.store_inputs import read_store_intervals
from storemon_pipeline.evaluation.store_states import read_current_status
from storemon_pipeline.storage.polled_stores import newest_poll
from storemon_pipeline.storage.reference_data import read_opening_hours
from storemon_pipeline.storage.report_reader import read_store_rows
from storemon_pipeline.storage.report_writer import ReportFile
from storemon_pipeline.storage.reports import latest_complete_report
from storemon_pipeline.storage.stores import (
    StoreDetails,
    find_store,
    read_stored_hours,
    search_stores,
)
from storemon_pipeline.uptime.conversions import to_iso_z, to_records
from storemon_pipeline.uptime.report_request import (
    STORE_ID_PATTERN,
    Instant,
    StoreId,
    UnanswerableError,
    reject_future,
)
from storemon_pipeline.uptime.rules import UptimeRules

router = APIRouter(prefix="/v1/stores", tags=["stores"])

MAX_RANGE = timedelta(days=92)
DEFAULT_RANGE = timedelta(days=7)
LEGACY_TIMESTAMP_FORMAT = "%Y-%m-%d %H:%M:%S UTC"

StoreIdInPath = Annotated[str, Path(description="The id of the store.")]
STORE_PAGINATOR = Paginator[str](TypeAdapter(StoreId))


def get_store_or_404(app_state: AppState, store_id: str) -> StoreDetails:
    """Return a store by its id.

    Raises
    ------
    ProblemError
        404 if it was never polled, or the id is invalid.
    """
    store = None
    if re.fullmatch(STORE_ID_PATTERN, store_id):
        with app_state.database.read() as connection:
            store = find_store(app_state.database.polls, connection, store_id)
    if store is None:
        msg = f"store {store_id} was never polled: check the store id"
        raise ProblemError(HTTPStatus.NOT_FOUND, msg, type_slug="unknown-store")
    return store


def to_store_summary(store: StoreDetails) -> models.StoreSummary:
    """Return the summary of a store, with timestamps in the legacy format."""
    return models.StoreSummary(
        data_available_from=store.first_poll_utc.strftime(LEGACY_TIMESTAMP_FORMAT),
        data_available_until=store.last_poll_utc.strftime(LEGACY_TIMESTAMP_FORMAT),
        **_facts(store),
    )


def _facts(store: StoreDetails) -> dict[str, Any]:
    return {
        "store_id": store.store_id,
        "total_status_records": store.polls,
        "timezone": store.timezone,
        "has_business_hours": store.weekdays_with_hours > 0,
        "business_days_defined": store.weekdays_with_hours,
    }


def _latest_metrics(app_state: AppState, store_id: str) -> models.LatestFigures | None:
    """Return the store's row of the latest complete report of all stores; None if it has none."""
    with app_state.database.read() as connection:
        record = latest_complete_report(connection)
    if record is None or record.as_of is None:
        return None
    path = app_state.settings.reports_path / str(record.run_id) / ReportFile.REPORT_FULL
    if not path.is_file():
        return None
    rows = read_store_rows(path, store_id).to_pylist()
    if not rows:
        return None
    figures = {name: _to_json(value) for name, value in rows[0].items() if name != "store_id"}
    return models.LatestFigures(report_id=record.report_id, as_of=record.as_of, figures=figures)


def _now(app_state: AppState, store: StoreDetails) -> models.StoreNow | None:
    """Return the store's status at the newest poll; None if all its polls are later."""
    with app_state.database.read() as connection:
        newest = newest_poll(app_state.database.polls, connection, datetime.now(UTC))
        if newest is None or store.first_poll_utc > newest:
            return None
        hours = read_opening_hours(connection, store.store_id)
    stores = pd.DataFrame({"store_id": [store.store_id], "timezone": [store.timezone]})
    as_of, no_data_after = pd.Timestamp(newest), app_state.settings.no_data_after
    current = read_current_status(
        app_state.database.polls, stores, hours, as_of, UptimeRules(), no_data_after
    ).iloc[0]
    poll = None if pd.isna(current["poll_utc"]) else current["poll_utc"].to_pydatetime()
    return models.StoreNow(status=current["status"], as_of=newest, poll_utc=poll)


def _to_json(value: object) -> object:
    return to_iso_z(value) if isinstance(value, datetime) else value


@router.get("", summary="List stores", responses=problem_responses())
def list_stores(
    app_state: AppStateDep,
    q: Annotated[
        str,
        Query(
            max_length=64,
            pattern=r"^[A-Za-z0-9._:-]*$",
            description="Only stores whose id contains this text, case-insensitively.",
            examples=["148"],
        ),
    ] = "",
    limit: Annotated[int, Query(ge=1, le=1000, description="Page size.")] = 100,
    cursor: CursorQuery = None,
) -> models.Stores:
    """List polled stores, optionally those with a text in their id."""
    after = STORE_PAGINATOR.decode(cursor)
    with app_state.database.read() as connection:
        result = search_stores(connection, q, limit + 1, after=after)
    page = STORE_PAGINATOR.page(result.stores, limit, lambda store: store[0])
    return models.Stores(
        total=result.total,
        stores=[
            models.ListedStore(store_id=store_id, last_poll_utc=last_poll)
            for store_id, last_poll in page.items
        ],
        next=page.next_link("/v1/stores", {"q": q or None, "limit": limit}),
    )


@router.get("/{store_id}", summary="Get a store", responses=problem_responses(HTTPStatus.NOT_FOUND))
def get_store(app_state: AppStateDep, store_id: StoreIdInPath) -> models.Store:
    """Return a store: its data, status, and figures in the latest report of all stores."""
    store = get_store_or_404(app_state, store_id)
    with app_state.database.read() as connection:
        hours = read_stored_hours(connection, store_id)
    return models.Store(
        **_facts(store),
        data_available_from=store.first_poll_utc,
        data_available_until=store.last_poll_utc,
        now=_now(app_state, store),
        timezone_known=store.timezone_known,
        opening_hours=[
            models.WeeklyOpening(day_of_week=day, start_time_local=start, end_time_local=end)
            for day, start, end in hours.weekly
        ],
        special_hours=[
            models.SpecialDate(
                date=day,
                openings=[
                    models.Opening(start_time_local=start, end_time_local=end)
                    for start, end in openings
                ],
            )
            for day, openings in hours.special
        ],
        latest=_latest_metrics(app_state, store_id),
    )


@router.get(
    "/{store_id}/status",
    summary="Get the status intervals and open intervals of a store",
    responses=problem_responses(HTTPStatus.NOT_FOUND),
)
def get_store_status(
    app_state: AppStateDep,
    store_id: StoreIdInPath,
    start: Annotated[
        Instant | None, Query(description="Start of the range; by default a week before its end.")
    ] = None,
    end: Annotated[
        Instant | None,
        Query(description="End of the range; by default the last poll of the store."),
    ] = None,
) -> models.StoreStatus:
    """Return the status intervals and open intervals of a store, by the default rules."""
    store = get_store_or_404(app_state, store_id)
    now = datetime.now(UTC)
    for name, value in (("start", start), ("end", end)):
        try:
            reject_future(name, value or now, now)
        except UnanswerableError as error:
            raise unanswerable(error, "query") from error
    until = pd.Timestamp(end or min(store.last_poll_utc, now))
    since = pd.Timestamp(start) if start else until - DEFAULT_RANGE
    if not timedelta(0) < until - since <= MAX_RANGE:
        msg = (
            f"start ({since.isoformat()}) must be before end ({until.isoformat()}), by at most "
            f"{MAX_RANGE.days} days"
        )
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, msg)
    open_table, status_table = read_store_intervals(
        app_state.database, store, since, until, UptimeRules()
    )
    return models.StoreStatus(
        store_id=store.store_id,
        timezone=store.timezone,
        start=since.to_pydatetime(),
        end=until.to_pydatetime(),
        status_intervals=to_records(status_table.drop(columns="store_id")),
        open_intervals=to_records(open_table.drop(columns="store_id")),
    )
