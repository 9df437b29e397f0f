"""Transactional outbox for outage and ingest alerts (table ``alert``).

A sender claims an alert before it sends it. The claim postpones the next attempt, so that no
concurrent sender takes the alert, and it is due again if the sender dies: delivery is at least
once. A confirmed alert is never due again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

import pandas as pd
from sqlalchemy import Connection, delete, func, insert, or_, select, update

from storemon_pipeline.storage.schema import alert
from storemon_pipeline.uptime.alert_record import AlertRecord
from storemon_pipeline.uptime.ingest_alerts import INGEST_FAILED
from storemon_pipeline.uptime.outage_alerts import DOWN, Alert

FIRST_DELAY = timedelta(seconds=30)
MAX_DELAY = timedelta(minutes=15)

_row = alert.c
_COLUMNS = [_row[field.name] for field in fields(AlertRecord)]
_DOUBLINGS = 10  # enough to reach the maximum


def retry_delay(attempts: int) -> timedelta:
    """Return the back-off after a number of attempts.

    Examples
    --------
    >>> [retry_delay(attempts).total_seconds() for attempts in (1, 2, 3, 100)]
    [30.0, 60.0, 120.0, 900.0]
    """
    doublings = min(attempts - 1, _DOUBLINGS)
    return min(FIRST_DELAY * (1 << doublings), MAX_DELAY)


def latest_alerts(connection: Connection) -> pd.DataFrame:
    """Return the latest alert of each store.

    Returns
    -------
    DataFrame
        ``store_id``, ``kind``, ``alert_id`` (text), ``down_since``, ``as_of``
        (``datetime64[us, UTC]``).
    """
    newest = select(func.max(_row.id)).where(_row.store_id.is_not(None)).group_by(_row.store_id)
    columns = {
        _row.store_id: "str",
        _row.kind: "str",
        _row.alert_id: "str",
        _row.down_since: "datetime64[us, UTC]",
        _row.as_of: "datetime64[us, UTC]",
    }
    rows = connection.execute(select(*columns).where(_row.id.in_(newest))).all()
    return pd.DataFrame(
        {
            column.name: pd.Series([row[at] for row in rows], dtype=dtype)
            for at, (column, dtype) in enumerate(columns.items())
        }
    )


def latest_ingest_alert(connection: Connection) -> AlertRecord | None:
    """Return the latest alert about ingestion, or None."""
    query = select(*_COLUMNS).where(_row.store_id.is_(None)).order_by(_row.id.desc())
    row = connection.execute(query.limit(1)).first()
    return None if row is None else AlertRecord(*row)


def insert_alerts(connection: Connection, alerts: Sequence[Alert], created_at: datetime) -> None:
    """Insert alerts in order; each is due immediately.

    Parameters
    ----------
    connection : Connection
        Of :meth:`~storemon_pipeline.storage.database.Database.registry_transaction` with the lock
        "alerts": the transaction in which :func:`latest_alerts` were read.
    alerts : sequence of Alert
    created_at : datetime
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
                    "created_at": created_at,
                    "payload": each.payload,
                    "attempts": 0,
                    "next_attempt_at": created_at,
                }
                for each in alerts
            ],
        )


@dataclass(frozen=True, slots=True)
class ClaimedAlert:
    """An alert that the caller has claimed.

    Attributes
    ----------
    id : int
    alert_id : str
    payload : dict
    attempts : int
        Number of attempts, including this one.
    """

    id: int
    alert_id: str
    payload: dict[str, Any]
    attempts: int


def claim_next_alert(connection: Connection, now: datetime) -> ClaimedAlert | None:
    """Claim the alert that has been due for the longest time; None if none is due.

    An alert is due only after all earlier alerts of its store are sent, so that no recovery is
    delivered before its outage.

    Parameters
    ----------
    connection : Connection
        Of :meth:`~storemon_pipeline.storage.database.Database.registry_transaction` with the lock
        "alerts".
    now : datetime
    """
    before = alert.alias("before")
    is_first = ~(
        select(before.c.id)
        .where(
            before.c.store_id.is_not_distinct_from(_row.store_id),
            before.c.id < _row.id,
            before.c.sent_at.is_(None),
        )
        .exists()
    )
    due = (
        select(_row.id, _row.alert_id, _row.payload, _row.attempts)
        .where(_row.next_attempt_at <= now, is_first)
        .order_by(_row.next_attempt_at, _row.id)
        .limit(1)
    )
    row = connection.execute(due).first()
    if row is None:
        return None
    id_, alert_id, payload, attempts = row
    claimed = ClaimedAlert(id_, alert_id, payload, attempts + 1)
    next_attempt_at = now + retry_delay(claimed.attempts)
    _update_unsent(connection, claimed, attempts=claimed.attempts, next_attempt_at=next_attempt_at)
    return claimed


def mark_sent(connection: Connection, sent: ClaimedAlert, sent_at: datetime) -> None:
    """Record that the webhook confirmed an alert."""
    _update_unsent(connection, sent, sent_at=sent_at, next_attempt_at=None, last_error=None)


def mark_failed(connection: Connection, claimed: ClaimedAlert, error: str) -> None:
    """Record why an attempt failed; the alert is retried when it is due."""
    _update_unsent(connection, claimed, last_error=error)


def _update_unsent(connection: Connection, which: ClaimedAlert, **values: Any) -> None:
    # a confirmation by a concurrent sender is final
    unsent = (_row.id == which.id) & _row.sent_at.is_(None)
    connection.execute(update(alert).where(unsent).values(**values))


def read_alerts(
    connection: Connection,
    *,
    limit: int,
    before: int | None = None,
    store_id: str | None = None,
) -> list[AlertRecord]:
    """Return alerts, newest first.

    Parameters
    ----------
    connection : Connection
    limit : int
        Maximum number of alerts.
    before : int, optional
        Only alerts created before the one with this id.
    store_id : str, optional
        Only alerts of this store.
    """
    query = select(*_COLUMNS).order_by(_row.id.desc()).limit(limit)
    if before is not None:
        query = query.where(_row.id < before)
    if store_id is not None:
        query = query.where(_row.store_id == store_id)
    return [AlertRecord(*row) for row in connection.execute(query)]


def count_pending(connection: Connection) -> int:
    """Count the alerts that the webhook has not confirmed."""
    unsent = select(func.count()).select_from(alert).where(_row.sent_at.is_(None))
    return connection.execute(unsent).scalar_one()


def drop_alerts(connection: Connection, before: datetime) -> int:
    """Delete sent alerts of past outages that were created before an instant; return how many."""
    newest = select(func.max(_row.id)).group_by(_row.store_id)
    over = or_(_row.kind.not_in((DOWN, INGEST_FAILED)), _row.id.not_in(newest))
    old = (_row.created_at < before) & _row.sent_at.is_not(None)
    return connection.execute(delete(alert).where(old, over)).rowcount
