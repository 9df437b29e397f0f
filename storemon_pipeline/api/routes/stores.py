"""/v1/stores: which there are, what is known of one, and which status it has when."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import urlencode

import pandas as pd
from fastapi import APIRouter, Path, Query

from storemon_pipeline.api import models
from storemon_pipeline.api.dependencies import AppState, AppStateDep
from storemon_pipeline.api.errors import ProblemError, problem_responses
from storemon_pipeline.api.report_submission import unanswerable
from storemon_pipeline.evaluation.store_inputs import read_store_intervals
from storemon_pipeline.evaluation.store_states import read_current_status
from storemon_pipeline.storage.polls import newest_poll
from storemon_pipeline.storage.reference_data import read_opening_hours
from storemon_pipeline.storage.report_reader import read_store_rows
from storemon_pipeline.storage.report_writer import REPORT_FULL
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
    refuse_future,
)
from storemon_pipeline.uptime.rules import UptimeRules

router = APIRouter(prefix="/v1/stores", tags=["stores"])

MAX_RANGE = timedelta(days=92)
DEFAULT_RANGE = timedelta(days=7)
LEGACY_TIMESTAMP_FORMAT = "%Y-%m-%d %H:%M:%S UTC"

StoreIdInPath = Annotated[str, Path(description="The store.")]


def get_store_or_404(services: AppState, store_id: str) -> StoreDetails:
    """What the tables hold of a store.

    Raises
    ------
    ProblemError
        404 where it was never polled; what is no id, or not even text, never was.
    """
    store = None
    if re.fullmatch(STORE_ID_PATTERN, store_id):
        with services.database.read() as connection:
            store = find_store(connection, store_id)
    if store is None:
        msg = f"store {store_id} was never polled: check the id against store_status"
        raise ProblemError(HTTPStatus.NOT_FOUND, msg, type_slug="unknown-store")
    return store


def to_store_summary(store: StoreDetails) -> models.StoreSummary:
    """What the tables hold of a store, with instants as older clients read them."""
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


def _latest_metrics(services: AppState, store_id: str) -> models.LatestFigures | None:
    """The store's row of the newest complete report."""
    with services.database.read() as connection:
        state = latest_complete_report(connection)
    if state is None or state.as_of is None:
        return None
    path = services.settings.reports_path / str(state.run_id) / REPORT_FULL
    if not path.is_file():
        return None
    rows = read_store_rows(path, store_id).to_pylist()
    if not rows:
        return None
    figures = {name: _to_json(value) for name, value in rows[0].items() if name != "store_id"}
    return models.LatestFigures(report_id=state.report_id, as_of=state.as_of, figures=figures)


def _now(services: AppState, store: StoreDetails) -> models.StoreNow | None:
    """How the store is at the newest poll of the data; None where it was polled only later."""
    with services.database.read() as connection:
        newest = newest_poll(connection, datetime.now(UTC))
        if newest is None or store.first_poll_utc > newest:
            return None
        hours = read_opening_hours(connection, store.store_id)
    stores = pd.DataFrame({"store_id": [store.store_id], "timezone": [store.timezone]})
    as_of, no_data_after = pd.Timestamp(newest), services.settings.no_data_after
    current = read_current_status(
        services.database, stores, hours, as_of, UptimeRules(), no_data_after
    ).iloc[0]
    poll = None if pd.isna(current["poll_utc"]) else current["poll_utc"].to_pydatetime()
    return models.StoreNow(status=current["status"], as_of=newest, poll_utc=poll)


def _to_json(value: object) -> object:
    return to_iso_z(value) if isinstance(value, datetime) else value


@router.get("", summary="All stores", responses=problem_responses())
def list_stores(
    services: AppStateDep,
    q: Annotated[
        str,
        Query(
            max_length=64,
            pattern=r"^[A-Za-z0-9._:-]*$",
            description="Only those with this in their id, in either case.",
            examples=["148"],
        ),
    ] = "",
    limit: Annotated[int, Query(ge=1, le=1000, description="How many on a page.")] = 100,
    after: Annotated[
        StoreId | None, Query(description="As the link to the next page has it.")
    ] = None,
) -> models.Stores:
    """Every store that was ever polled, or those with a part of their id."""
    with services.database.read() as connection:
        found = search_stores(connection, q, limit + 1, after=after)
    shown, following = found.stores[:limit], None
    if len(found.stores) > limit:
        asked = {"q": q} if q else {}
        query = urlencode(asked | {"limit": limit, "after": shown[-1][0]})
        following = f"/v1/stores?{query}"
    return models.Stores(
        total=found.total,
        stores=[
            models.ListedStore(store_id=store_id, last_poll_utc=last_poll)
            for store_id, last_poll in shown
        ],
        next=following,
    )


@router.get("/{store_id}", summary="A store", responses=problem_responses(HTTPStatus.NOT_FOUND))
def get_store(services: AppStateDep, store_id: StoreIdInPath) -> models.Store:
    """What the tables hold of a store, and its figures in the newest report of all stores."""
    store = get_store_or_404(services, store_id)
    with services.database.read() as connection:
        hours = read_stored_hours(connection, store_id)
    return models.Store(
        **_facts(store),
        data_available_from=store.first_poll_utc,
        data_available_until=store.last_poll_utc,
        now=_now(services, store),
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
        latest=_latest_metrics(services, store_id),
    )


@router.get(
    "/{store_id}/status",
    summary="A store's status intervals and opening intervals",
    responses=problem_responses(HTTPStatus.NOT_FOUND),
)
def get_store_status(
    services: AppStateDep,
    store_id: StoreIdInPath,
    start: Annotated[
        Instant | None, Query(description="The beginning; a week before the end if not given.")
    ] = None,
    end: Annotated[
        Instant | None, Query(description="The end; the store's last poll if not given.")
    ] = None,
) -> models.StoreStatus:
    """Which status a store has when, by the default rules, and when it is open."""
    store = get_store_or_404(services, store_id)
    now = datetime.now(UTC)
    for name, given in (("start", start), ("end", end)):
        try:
            refuse_future(name, given or now, now)
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
        services.database, store, since, until, UptimeRules()
    )
    return models.StoreStatus(
        store_id=store.store_id,
        timezone=store.timezone,
        start=since.to_pydatetime(),
        end=until.to_pydatetime(),
        status_intervals=to_records(status_table.drop(columns="store_id")),
        open_intervals=to_records(open_table.drop(columns="store_id")),
    )
