"""alert: what there is to tell of stores, kept before it is told, and until it was.

An outbox. Whoever sends an alert claims it first, which moves its next attempt away: another one
does not send it meanwhile, and should the sender die, it is due again. What the webhook has
confirmed is never due again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

import pandas as pd
from sqlalchemy import Connection, delete, func, insert, or_, select, update

from storemon_pipeline.storage.schema import alert
from storemon_pipeline.uptime.ingest_alerts import INGEST_FAILED
from storemon_pipeline.uptime.outage_alerts import DOWN, Alert

FIRST_DELAY = timedelta(seconds=30)
MAX_DELAY = timedelta(minutes=15)

_row = alert.c
_DOUBLINGS = 10  # by then the delay is the longest


def retry_delay(attempts: int) -> timedelta:
    """How long to wait after so many attempts.

    Examples
    --------
    >>> [retry_delay(attempts).total_seconds() for attempts in (1, 2, 3, 100)]
    [30.0, 60.0, 120.0, 900.0]
    """
    doublings = min(attempts - 1, _DOUBLINGS)
    return min(FIRST_DELAY * (1 << doublings), MAX_DELAY)


def latest_alerts(connection: Connection) -> pd.DataFrame:
    """The newest alert of each store that has any.

    Returns
    -------
    DataFrame
        ``store_id``, ``kind``, ``alert_id`` (text), ``down_since``, ``as_of``
        (``datetime64[us, UTC]``).
    """
    newest = (
        select(func.max(_row.alert_number))
        .where(_row.store_id.is_not(None))
        .group_by(_row.store_id)
    )
    columns = {
        _row.store_id: "str",
        _row.kind: "str",
        _row.alert_id: "str",
        _row.down_since: "datetime64[us, UTC]",
        _row.as_of: "datetime64[us, UTC]",
    }
    rows = connection.execute(select(*columns).where(_row.alert_number.in_(newest))).all()
    return pd.DataFrame(
        {
            column.name: pd.Series([row[at] for row in rows], dtype=dtype)
            for at, (column, dtype) in enumerate(columns.items())
        }
    )


def latest_ingest_alert(connection: Connection) -> AlertRecord | None:
    """The newest alert about the ingest; None if there is no such alert."""
    columns = [_row[each.name] for each in fields(AlertRecord)]
    query = select(*columns).where(_row.store_id.is_(None)).order_by(_row.alert_number.desc())
    row = connection.execute(query.limit(1)).first()
    return None if row is None else AlertRecord(*row)


def insert_alerts(connection: Connection, alerts: Sequence[Alert], noticed_at: datetime) -> None:
    """Put alerts on record, in their order; each is due at once.

    Parameters
    ----------
    connection : Connection
        Of :meth:`~storemon_pipeline.storage.database.Database.registry_transaction`, alone with the
        alerts, and the one by which :func:`latest_alerts` were read that they were decided by.
    alerts : sequence of Alert
    noticed_at : datetime
    """
    if alerts:
        connection.execute(
            insert(alert),
            [
                {
                    "alert_id": each.alert_id,
                    "store_id": each.store_id,
                    "kind": each.kind,
                    "down_since": each.down_since,
                    "as_of": each.as_of,
                    "noticed_at": noticed_at,
                    "payload": each.payload,
                    "attempts": 0,
                    "next_attempt_at": noticed_at,
                }
                for each in alerts
            ],
        )


@dataclass(frozen=True, slots=True)
class ClaimedAlert:
    """An alert that is the claimer's to send.

    Attributes
    ----------
    alert_number : int
    alert_id : str
    payload : dict
    attempts : int
        This one included.
    """

    alert_number: int
    alert_id: str
    payload: dict[str, Any]
    attempts: int


def claim_next_alert(connection: Connection, now: datetime) -> ClaimedAlert | None:
    """Claim the alert that has been due for longest; None where none is.

    An alert is not due before those of its store that were noticed before it are sent, so that
    nobody hears of a recovery before the outage.

    Parameters
    ----------
    connection : Connection
        Of :meth:`~storemon_pipeline.storage.database.Database.registry_transaction`, alone with the
        alerts.
    now : datetime
    """
    before = alert.alias("before")
    is_first = ~(
        select(before.c.alert_number)
        .where(
            before.c.store_id.is_not_distinct_from(_row.store_id),
            before.c.alert_number < _row.alert_number,
            before.c.sent_at.is_(None),
        )
        .exists()
    )
    due = (
        select(_row.alert_number, _row.alert_id, _row.payload, _row.attempts)
        .where(_row.next_attempt_at <= now, is_first)
        .order_by(_row.next_attempt_at, _row.alert_number)
        .limit(1)
    )
    found = connection.execute(due).first()
    if found is None:
        return None
    number, alert_id, payload, attempts = found
    claimed = ClaimedAlert(number, alert_id, payload, attempts + 1)
    next_attempt_at = now + retry_delay(claimed.attempts)
    _update_unsent(connection, claimed, attempts=claimed.attempts, next_attempt_at=next_attempt_at)
    return claimed


def mark_sent(connection: Connection, sent: ClaimedAlert, sent_at: datetime) -> None:
    """Record that the webhook has confirmed an alert."""
    _update_unsent(connection, sent, sent_at=sent_at, next_attempt_at=None, last_error=None)


def mark_failed(connection: Connection, claimed: ClaimedAlert, error: str) -> None:
    """Record why the webhook has not confirmed an alert; it is tried again when it is due."""
    _update_unsent(connection, claimed, last_error=error)


def _update_unsent(connection: Connection, which: ClaimedAlert, **values: Any) -> None:
    # what somebody else has heard the webhook confirm stays confirmed
    unsent = (_row.alert_number == which.alert_number) & _row.sent_at.is_(None)
    connection.execute(update(alert).where(unsent).values(**values))


@dataclass(frozen=True, slots=True)
class AlertRecord:
    """What is known of an alert beside what is sent.

    Attributes
    ----------
    alert_number : int
        In the order they were noticed.
    alert_id, kind : str
    store_id : str or None
        None: the alert is about the ingest.
    down_since, as_of, noticed_at : datetime
    sent_at : datetime or None
        When the webhook confirmed it; None where it did not yet.
    attempts : int
    last_error : str or None
        Why the last attempt failed, of one that is not sent.
    """

    alert_number: int
    alert_id: str
    kind: str
    store_id: str | None
    down_since: datetime
    as_of: datetime
    noticed_at: datetime
    sent_at: datetime | None
    attempts: int
    last_error: str | None


def read_alerts(
    connection: Connection,
    *,
    limit: int,
    before: int | None = None,
    store_id: str | None = None,
) -> list[AlertRecord]:
    """The alerts on record, newest first.

    Parameters
    ----------
    connection : Connection
    limit : int
        How many at most.
    before : int, optional
        Only those that were noticed before the one with this number.
    store_id : str, optional
        Only those of this store.
    """
    columns = [_row[each.name] for each in fields(AlertRecord)]
    query = select(*columns).order_by(_row.alert_number.desc()).limit(limit)
    if before is not None:
        query = query.where(_row.alert_number < before)
    if store_id is not None:
        query = query.where(_row.store_id == store_id)
    return [AlertRecord(*row) for row in connection.execute(query)]


def count_pending(connection: Connection) -> int:
    """How many alerts the webhook has not confirmed."""
    unsent = select(func.count()).select_from(alert).where(_row.sent_at.is_(None))
    return connection.execute(unsent).scalar_one()


def drop_alerts(connection: Connection, before: datetime) -> int:
    """Drop the alerts that were sent, noticed before an instant, and are of outages that are over.

    Gives how many.
    """
    newest = select(func.max(_row.alert_number)).group_by(_row.store_id)
    over = or_(_row.kind.not_in((DOWN, INGEST_FAILED)), _row.alert_number.not_in(newest))
    old = (_row.noticed_at < before) & _row.sent_at.is_not(None)
    return connection.execute(delete(alert).where(old, over)).rowcount
