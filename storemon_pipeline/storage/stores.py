"""Details, search and counts of stores."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby

from sqlalchemy import Connection, func, literal, select

from storemon_pipeline.storage.poll_store import PollStore
from storemon_pipeline.storage.schema import (
    StoreId,
    business_hours,
    polled_store,
    service_level,
    special_hours,
    store_timezone,
)
from storemon_pipeline.uptime.time_zones import canonical_timezone, resolve_timezone


@dataclass(frozen=True, slots=True)
class StoreDetails:
    """Stored details of a store.

    Attributes
    ----------
    store_id : str
    first_poll_utc, last_poll_utc : datetime
    polls : int
    timezone : str
        The time zone that applies to the store (rule 3).
    timezone_known : bool
        Whether the time zone is stored, rather than the assumed default.
    weekdays_with_hours : int
        Number of weekdays with opening hours; 0: always open.
    """

    store_id: str
    first_poll_utc: datetime
    last_poll_utc: datetime
    polls: int
    timezone: str
    timezone_known: bool
    weekdays_with_hours: int


def find_store(polls: PollStore, connection: Connection, store_id: str) -> StoreDetails | None:
    """Return the details of a store, or None if it was never polled."""
    this = polled_store.c.store_id == store_id
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
        select(known.first_poll_utc, known.last_poll_utc, zone, weekdays).where(this)
    ).first()
    if row is None:
        return None
    first, last, zone_name, days = row
    count = polls.count_of_store(connection, store_id)
    is_known = zone_name is not None and canonical_timezone(zone_name) is not None
    return StoreDetails(store_id, first, last, count, resolve_timezone(zone_name), is_known, days)


@dataclass(frozen=True, slots=True)
class StoredHours:
    """The opening hours of a store as stored, in local time.

    Attributes
    ----------
    weekly : list of (day_of_week, start, end)
        0 = Monday; ``HH:MM:SS[.ffffff]``, the end up to 24:00:00.
    special : list of (date, list of (start, end))
        Without openings if closed on that date.
    """

    weekly: list[tuple[int, str, str]]
    special: list[tuple[date, list[tuple[str, str]]]]


def read_stored_hours(connection: Connection, store_id: str) -> StoredHours:
    """Return the weekly and the special opening hours of a store, sorted."""
    week, dates = business_hours.c, special_hours.c
    weekly = connection.execute(
        select(week.day_of_week, week.start_time_local, week.end_time_local)
        .where(week.store_id == store_id)
        .order_by(week.day_of_week, week.start_time_local, week.end_time_local)
    )
    special = connection.execute(
        select(dates.date, dates.start_time_local, dates.end_time_local)
        .where(dates.store_id == store_id)
        .order_by(dates.date, dates.start_time_local, dates.end_time_local)
    )
    return StoredHours(
        [(day, start, end) for day, start, end in weekly],
        [
            (date.fromisoformat(day), [(start, end) for _, start, end in openings if start])
            for day, openings in groupby(special, key=lambda row: row.date)
        ],
    )


def get_target(connection: Connection, store_id: str) -> float | None:
    """Return the SLO target of a store in percent, or None if the fleet's applies."""
    query = select(service_level.c.target_pct).where(service_level.c.store_id == store_id)
    target: float | None = connection.execute(query).scalar_one_or_none()
    return target


def count_stores(connection: Connection, silent_since: datetime | None = None) -> int:
    """Count the polled stores, or only those not polled since an instant."""
    query = select(func.count()).select_from(polled_store)
    if silent_since is not None:
        query = query.where(polled_store.c.last_poll_utc < silent_since)
    return int(connection.execute(query).scalar_one())


@dataclass(frozen=True, slots=True)
class SearchResult:
    """A page of search results.

    Attributes
    ----------
    total : int
        Number of all matches.
    stores : list of (store_id, last poll)
        The matches on this page.
    """

    total: int
    stores: list[tuple[str, datetime]]


def search_stores(
    connection: Connection, text: str, limit: int, *, after: str | None = None
) -> SearchResult:
    """Search stores by a part of their id: prefix matches first, then by id.

    Parameters
    ----------
    connection : Connection
    text : str
        Case-insensitive; empty for all.
    limit : int
        Maximum number of stores.
    after : str, optional
        Only stores after this id.
    """
    if "\0" in text:  # not allowed in ids, and rejected by PostgreSQL
        return SearchResult(0, [])
    store_id = polled_store.c.store_id
    matches = store_id.icontains(text, autoescape=True)
    has_prefix = store_id.istartswith(text, autoescape=True)
    total = select(func.count()).select_from(polled_store).where(matches)
    query = (
        select(store_id, polled_store.c.last_poll_utc)
        .where(matches)
        .order_by(has_prefix.desc(), store_id)
        .limit(limit)
    )
    if after is not None:
        after_has_prefix = literal(after, StoreId).istartswith(text, autoescape=True)
        later = (has_prefix == after_has_prefix) & (store_id > after)
        query = query.where(later | (after_has_prefix & ~has_prefix))
    rows = [(row[0], row[1]) for row in connection.execute(query)]
    return SearchResult(int(connection.execute(total).scalar_one()), rows)
