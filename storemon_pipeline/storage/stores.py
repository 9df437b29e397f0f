"""One store: what all the tables hold of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import pandas as pd
from sqlalchemy import Connection, func, select

from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.evidence import read_evidence
from storemon_pipeline.storage.polls import polled_stores
from storemon_pipeline.storage.snapshots import read_opening_hours
from storemon_pipeline.storage.tables import (
    business_hours,
    polled_store,
    service_level,
    store_status,
    store_timezone,
)
from storemon_pipeline.uptime.open_hours import OpeningHours
from storemon_pipeline.uptime.rules import UptimeRules
from storemon_pipeline.uptime.wall_clock import effective_timezone


@dataclass(frozen=True, slots=True)
class StoreRecord:
    """What the tables hold of a store.

    Attributes
    ----------
    store_id : str
    first_poll_utc, last_poll_utc : datetime
    polls : int
    timezone : str
        The zone whose clock counts for it (rule 3).
    weekdays_with_hours : int
        On how many weekdays it has opening hours; 0 means always open.
    """

    store_id: str
    first_poll_utc: datetime
    last_poll_utc: datetime
    polls: int
    timezone: str
    weekdays_with_hours: int


def find_store(connection: Connection, store_id: str) -> StoreRecord | None:
    """What the tables hold of a store; None where it was never polled."""
    this = polled_store.c.store_id == store_id
    polls = select(func.count()).where(store_status.c.store_id == store_id).scalar_subquery()
    zone = (
        select(store_timezone.c.timezone_str)
        .where(store_timezone.c.store_id == store_id)
        .scalar_subquery()
    )
    weekdays = (
        select(func.count(business_hours.c.day_of_week.distinct()))
        .where(business_hours.c.store_id == store_id)
        .scalar_subquery()
    )
    known = polled_store.c
    row = connection.execute(
        select(known.first_poll_utc, known.last_poll_utc, polls, zone, weekdays).where(this)
    ).first()
    if row is None:
        return None
    first, last, count, zone_name, days = row
    return StoreRecord(store_id, first, last, count, effective_timezone(zone_name), days)


def target_of(connection: Connection, store_id: str) -> float | None:
    """A store's own target, in percent; None where it has none but the fleet's."""
    own = select(service_level.c.target_pct).where(service_level.c.store_id == store_id)
    target: float | None = connection.execute(own).scalar_one_or_none()
    return target


def count_stores(connection: Connection, silent_since: datetime | None = None) -> int:
    """How many stores were ever polled; or of them, not since an instant."""
    query = select(func.count()).select_from(polled_store)
    if silent_since is not None:
        query = query.where(polled_store.c.last_poll_utc < silent_since)
    return int(connection.execute(query).scalar_one())


def search_stores(
    connection: Connection, part: str, most: int
) -> tuple[int, list[tuple[str, datetime]]]:
    """Find stores by a part of their id.

    Returns
    -------
    number : int
        How many there are.
    found : list of (store_id, last poll)
        Those whose id begins with it first, then by id.
    """
    store_id = polled_store.c.store_id
    has_it = store_id.icontains(part, autoescape=True)
    number = select(func.count()).select_from(polled_store).where(has_it)
    query = (
        select(store_id, polled_store.c.last_poll_utc)
        .where(has_it)
        .order_by(store_id.istartswith(part, autoescape=True).desc(), store_id)
        .limit(most)
    )
    rows = [(row[0], row[1]) for row in connection.execute(query)]
    return int(connection.execute(number).scalar_one()), rows


@dataclass(frozen=True, slots=True)
class StoreTables:
    """The tables that the intervals of a store are computed from.

    Attributes
    ----------
    stores, hours, polls
        As :func:`~storemon_pipeline.uptime.status.status_intervals` takes them.
    """

    stores: pd.DataFrame
    hours: OpeningHours
    polls: pd.DataFrame


def read_store(
    database: Database,
    store: StoreRecord,
    start: pd.Timestamp,
    end: pd.Timestamp,
    rules: UptimeRules,
) -> StoreTables:
    """Read what a store's status within ``[start, end)`` depends on."""
    with database.read() as connection:
        stores = polled_stores(connection, end, (store.store_id,))
        hours = read_opening_hours(connection, store.store_id)
    stores = stores.assign(timezone=store.timezone)
    polls = read_evidence(database, stores, hours, start, end, rules)
    return StoreTables(stores, hours, polls)
