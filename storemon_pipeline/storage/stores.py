"""One store: what all the tables hold of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby

from sqlalchemy import Connection, func, literal, select

from storemon_pipeline.storage.schema import (
    StoreId,
    business_hours,
    polled_store,
    service_level,
    special_hours,
    store_status,
    store_timezone,
)
from storemon_pipeline.uptime.time_zones import canonical_timezone, resolve_timezone


@dataclass(frozen=True, slots=True)
class StoreDetails:
    """What the tables hold of a store.

    Attributes
    ----------
    store_id : str
    first_poll_utc, last_poll_utc : datetime
    polls : int
    timezone : str
        The zone whose clock counts for it (rule 3).
    timezone_known : bool
        Whether that is its own; or else it is assumed, since none that exists is named for it.
    weekdays_with_hours : int
        On how many weekdays it has opening hours; 0 means always open.
    """

    store_id: str
    first_poll_utc: datetime
    last_poll_utc: datetime
    polls: int
    timezone: str
    timezone_known: bool
    weekdays_with_hours: int


def find_store(connection: Connection, store_id: str) -> StoreDetails | None:
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
    is_known = zone_name is not None and canonical_timezone(zone_name) is not None
    return StoreDetails(store_id, first, last, count, resolve_timezone(zone_name), is_known, days)


@dataclass(frozen=True, slots=True)
class StoredHours:
    """The opening hours of a store as the tables have them, in local time.

    Attributes
    ----------
    weekly : list of (day_of_week, start, end)
        0 = Monday; ``HH:MM:SS[.ffffff]``, the end up to 24:00:00.
    special : list of (date, list of (start, end))
        Without openings where it is closed on that date.
    """

    weekly: list[tuple[int, str, str]]
    special: list[tuple[date, list[tuple[str, str]]]]


def read_stored_hours(connection: Connection, store_id: str) -> StoredHours:
    """The weekly and the special opening hours of a store, each in order."""
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


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Stores that were searched for.

    Attributes
    ----------
    total : int
        How many there are.
    stores : list of (store_id, last poll)
        Those of them that were asked for.
    """

    total: int
    stores: list[tuple[str, datetime]]


def search_stores(
    connection: Connection, part: str, limit: int, *, after: str | None = None
) -> SearchResult:
    """Find stores by a part of their id: those that begin with it first, then by id.

    Parameters
    ----------
    connection : Connection
    query : str
        Of either case; empty for all.
    limit : int
        How many at most.
    after : str, optional
        Only those that come after this id.
    """
    if "\0" in part:  # which no id has, and PostgreSQL takes no text with
        return SearchResult(0, [])
    store_id = polled_store.c.store_id
    has_it = store_id.icontains(part, autoescape=True)
    begins = store_id.istartswith(part, autoescape=True)
    number = select(func.count()).select_from(polled_store).where(has_it)
    query = (
        select(store_id, polled_store.c.last_poll_utc)
        .where(has_it)
        .order_by(begins.desc(), store_id)
        .limit(limit)
    )
    if after is not None:
        last_begins = literal(after, StoreId).istartswith(part, autoescape=True)
        later = (begins == last_begins) & (store_id > after)
        query = query.where(later | (last_begins & ~begins))
    rows = [(row[0], row[1]) for row in connection.execute(query)]
    return SearchResult(int(connection.execute(number).scalar_one()), rows)
