"""/v1/stores: what is known of a store, and which status it has when."""

from __future__ import annotations

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any

import pandas as pd
from fastapi import APIRouter, Path, Query

from storemon_pipeline.api import resources
from storemon_pipeline.api.problems import ProblemError, documented
from storemon_pipeline.api.services import Given, Services
from storemon_pipeline.storage.registry import newest_complete_report
from storemon_pipeline.storage.report_files import REPORT_FULL
from storemon_pipeline.storage.report_rows import rows_of_store
from storemon_pipeline.storage.stores import StoreRecord, find_store, read_store
from storemon_pipeline.uptime.open_hours import open_hours
from storemon_pipeline.uptime.request import Instant
from storemon_pipeline.uptime.rules import UptimeRules
from storemon_pipeline.uptime.status import status_intervals

router = APIRouter(prefix="/v1/stores", tags=["stores"])

_LONGEST = timedelta(days=92)
_DEFAULT = timedelta(days=7)
_SECOND = "%Y-%m-%d %H:%M:%S UTC"

StoreIdInPath = Annotated[
    str,
    # in a path, a slash would part it
    Path(description="The store.", max_length=200, pattern=r"^[^\x00-\x1f\x7f/]+$"),
]


def known_store(services: Services, store_id: str) -> StoreRecord:
    """What the tables hold of a store.

    Raises
    ------
    ProblemError
        404 where it was never polled.
    """
    with services.database.read() as connection:
        store = find_store(connection, store_id)
    if store is None:
        msg = f"store {store_id} was never polled: check the id against store_status"
        raise ProblemError(HTTPStatus.NOT_FOUND, msg, kind="unknown-store")
    return store


def summary(store: StoreRecord) -> resources.StoreSummary:
    """What the tables hold of a store, as JSON."""
    return resources.StoreSummary(
        store_id=store.store_id,
        total_status_records=store.polls,
        data_available_from=store.first_poll_utc.strftime(_SECOND),
        data_available_until=store.last_poll_utc.strftime(_SECOND),
        timezone=store.timezone,
        has_business_hours=store.weekdays_with_hours > 0,
        business_days_defined=store.weekdays_with_hours,
    )


def _latest(services: Services, store_id: str) -> resources.LatestFigures | None:
    """The store's row of the newest complete report."""
    with services.database.read() as connection:
        state = newest_complete_report(connection)
    if state is None or state.as_of is None:
        return None
    path = services.settings.reports_path / str(state.run_id) / REPORT_FULL
    if not path.is_file():
        return None
    rows = rows_of_store(path, store_id).to_pylist()
    if not rows:
        return None
    figures = {name: _plain(value) for name, value in rows[0].items() if name != "store_id"}
    return resources.LatestFigures(report_id=state.report_id, as_of=state.as_of, figures=figures)


def _plain(value: object) -> str | bool | float | None:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value if isinstance(value, str | bool | float | None) else float(str(value))


@router.get("/{store_id}", summary="A store", responses=documented(HTTPStatus.NOT_FOUND))
def one(services: Given, store_id: StoreIdInPath) -> resources.Store:
    """What the tables hold of a store, and its figures in the newest report of all stores."""
    store = known_store(services, store_id)
    latest = _latest(services, store_id)
    return resources.Store(**summary(store).model_dump(), latest=latest)


@router.get(
    "/{store_id}/status",
    summary="A store's status intervals and opening intervals",
    responses=documented(HTTPStatus.NOT_FOUND),
)
def status(
    services: Given,
    store_id: StoreIdInPath,
    start: Annotated[
        Instant | None, Query(description="The beginning; a week before the end if not given.")
    ] = None,
    end: Annotated[
        Instant | None, Query(description="The end; the store's last poll if not given.")
    ] = None,
) -> resources.StoreStatus:
    """Which status a store has when, by the default rules, and when it is open."""
    store = known_store(services, store_id)
    until = pd.Timestamp(end or store.last_poll_utc)
    since = pd.Timestamp(start) if start else until - _DEFAULT
    if not timedelta(0) < until - since <= _LONGEST:
        msg = (
            f"start ({since.isoformat()}) must be before end ({until.isoformat()}), by at most "
            f"{_LONGEST.days} days"
        )
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, msg)
    rules = UptimeRules()
    known = read_store(services.database, store, since, until, rules)
    opened = open_hours(known.stores, known.hours, since, until, rules)
    intervals = status_intervals(
        known.stores, known.polls, opened, known.hours, since, until, rules
    )
    return resources.StoreStatus(
        store_id=store.store_id,
        timezone=store.timezone,
        start=since.to_pydatetime(),
        end=until.to_pydatetime(),
        status_intervals=_records(intervals),
        open_intervals=_records(opened),
    )


def _records(table: pd.DataFrame) -> Any:
    return table.drop(columns="store_id").to_dict("records")
