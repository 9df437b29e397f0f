"""Report requests over REST (table ``report_request``), stored before a run is launched.

The API stores a request, then launches its run. If Dagster is unreachable, or the API dies, the
request stays pending, and a sensor launches the run. A run claims its request when it starts, so
that only one of two runs for a request makes a report.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, insert, or_, select, update

from storemon_pipeline.storage.reports import (
    CANCELED,
    FAILED,
    IN_PROGRESS,
    LAUNCHED,
    PENDING,
    QUEUED,
    queue_report,
)
from storemon_pipeline.storage.schema import idempotency_key, report, report_request
from storemon_pipeline.uptime.messages import quote_value
from storemon_pipeline.uptime.report_request import ReportSpec
from storemon_pipeline.uptime.rules import BeforeFirstPoll


class IdempotencyKeyReusedError(ValueError):
    """Raised for an idempotency key that was used with a different request."""


class TooManyQueuedError(RuntimeError):
    """Raised when the maximum number of reports is queued."""


@dataclass(frozen=True, slots=True)
class StoredRequest:
    """A stored request.

    Attributes
    ----------
    request_id : str
    status : str
        Pending, Launched, Failed or Canceled.
    spec : ReportSpec
    requested_at : datetime
    http_request_id : str or None
    launch_attempted_at : datetime or None
        Start of the last launch attempt; None after it failed.
    run_id : str or None
        The launched run.
    error : str or None
    is_new : bool
        Whether the request was just stored, so that its run must be launched.
    """

    request_id: str
    status: str
    spec: ReportSpec
    requested_at: datetime
    http_request_id: str | None
    launch_attempted_at: datetime | None
    run_id: str | None
    error: str | None
    is_new: bool = False


_row = report_request.c
_COLUMNS = (
    _row.request_id,
    _row.status,
    _row.spec,
    _row.requested_at,
    _row.http_request_id,
    _row.launch_attempted_at,
    _row.run_id,
    _row.error,
)
# pending, or launched with a report in progress
_IN_PROGRESS = or_(
    _row.status == PENDING, (_row.status == LAUNCHED) & report.c.status.in_(IN_PROGRESS)
)


def _to_request(row: Sequence[Any]) -> StoredRequest:
    request_id, status, spec, *rest = row
    return StoredRequest(request_id, status, ReportSpec.model_validate(spec), *rest)


def request_digest(spec: ReportSpec) -> str:
    """Return a digest that is equal for equivalent specs.

    Examples
    --------
    >>> one = ReportSpec(store_ids=("b", "a"), windows=("day", "day"))
    >>> other = ReportSpec(store_ids=("a", "b", "b"), windows=("day",))
    >>> request_digest(one) == request_digest(other)
    True
    """
    normalized = spec.model_dump(mode="json", exclude_none=True)
    normalized["windows"] = list(dict.fromkeys(normalized["windows"]))
    if spec.rules.before_first_poll is BeforeFirstPoll.BACKFILL:
        # omit the default of a newer rule, so that stored digests stay valid
        del normalized["rules"]["before_first_poll"]
    if "store_ids" in normalized:
        normalized["store_ids"] = sorted(set(normalized["store_ids"]))
    return hashlib.sha256(json.dumps(normalized, sort_keys=True).encode()).hexdigest()


def create_or_get_request(
    connection: Connection,
    spec: ReportSpec,
    request_id: str,
    now: datetime,
    *,
    max_queued: int,
    key: str | None = None,
    http_request_id: str | None = None,
) -> StoredRequest:
    """Store a request, or return the existing one that it repeats.

    A request repeats one with the same key, or an equal one whose report is in progress.

    Parameters
    ----------
    connection : Connection
        Of :meth:`~storemon_pipeline.storage.database.Database.registry_transaction` with the lock
        "requests".
    spec : ReportSpec
    request_id : str
        Id of a new request.
    now : datetime
    max_queued : int
        Maximum number of queued reports.
    key : str, optional
        The client's idempotency key.
    http_request_id : str, optional

    Raises
    ------
    IdempotencyKeyReusedError
        If the key was used with a different request.
    TooManyQueuedError
        If too many reports are queued.
    """
    digest = request_digest(spec)
    repeated = _find_by_key(connection, key, digest) if key else None
    if repeated is None and (equal := _find_in_progress(connection, digest)):
        repeated = equal
        _store_key(connection, key, digest, equal.request_id)
    if repeated is not None:
        return repeated
    if _count_queued(connection) >= max_queued:
        msg = f"{max_queued} reports are already queued"
        raise TooManyQueuedError(msg)
    connection.execute(
        insert(report_request).values(
            request_id=request_id,
            status=PENDING,
            spec=spec.model_dump(mode="json", exclude_defaults=True),
            digest=digest,
            http_request_id=http_request_id,
            requested_at=now,
            launch_attempted_at=now,
        )
    )
    _store_key(connection, key, digest, request_id)
    return StoredRequest(
        request_id, PENDING, spec, now, http_request_id, now, None, None, is_new=True
    )


def _find_by_key(connection: Connection, key: str, digest: str) -> StoredRequest | None:
    query = (
        select(*_COLUMNS, idempotency_key.c.digest)
        .join_from(idempotency_key, report_request)
        .where(idempotency_key.c.idempotency_key == key)
    )
    row = connection.execute(query).first()
    if row is None:
        return None
    *columns, stored_digest = row
    if stored_digest != digest:
        msg = f"the key {quote_value(key)} was used with a different request"
        raise IdempotencyKeyReusedError(msg)
    return _to_request(columns)


def _store_key(connection: Connection, key: str | None, digest: str, request_id: str) -> None:
    if key:
        values = {"idempotency_key": key, "digest": digest, "request_id": request_id}
        connection.execute(insert(idempotency_key).values(values))


def _find_in_progress(connection: Connection, digest: str) -> StoredRequest | None:
    query = (
        select(*_COLUMNS)
        .join_from(report_request, report, report.c.report_id == _row.run_id, isouter=True)
        .where(_row.digest == digest, _IN_PROGRESS)
        .order_by(_row.requested_at)
    )
    row = connection.execute(query.limit(1)).first()
    return _to_request(row) if row else None


def _count_queued(connection: Connection) -> int:
    pending = select(func.count()).select_from(report_request).where(_row.status == PENDING)
    queued = select(func.count()).select_from(report).where(report.c.status == QUEUED)
    return connection.execute(pending).scalar_one() + connection.execute(queued).scalar_one()


def find_request(connection: Connection, request_id: str) -> StoredRequest | None:
    """Return a request by its id, or None."""
    row = connection.execute(select(*_COLUMNS).where(_row.request_id == request_id)).first()
    return _to_request(row) if row else None


def pending_requests(connection: Connection, attempted_before: datetime) -> list[StoredRequest]:
    """Return the pending requests, oldest first.

    Parameters
    ----------
    connection : Connection
    attempted_before : datetime
        Skip requests with a later launch attempt, which may still be in progress.
    """
    query = select(*_COLUMNS).where(
        _row.status == PENDING,
        or_(_row.launch_attempted_at.is_(None), _row.launch_attempted_at < attempted_before),
    )
    return [_to_request(row) for row in connection.execute(query.order_by(_row.requested_at))]


def mark_launched(connection: Connection, request: StoredRequest, run_id: str) -> None:
    """Record that a run was launched for a request, and queue its report."""
    if _update_pending(connection, request.request_id, status=LAUNCHED, run_id=run_id):
        queue_report(connection, run_id, request.requested_at)


def release_request(connection: Connection, request_id: str) -> None:
    """Record that the launch failed, so that it can be retried immediately."""
    _update_pending(connection, request_id, launch_attempted_at=None)


def mark_failed(connection: Connection, request_id: str, error: str) -> None:
    """Record why no run will be launched for a request."""
    _update_pending(connection, request_id, status=FAILED, error=error)


def cancel_request(connection: Connection, request_id: str) -> bool:
    """Cancel a pending request; return whether it was pending."""
    return _update_pending(connection, request_id, status=CANCELED)


def _update_pending(connection: Connection, request_id: str, **values: Any) -> bool:
    is_pending = (_row.request_id == request_id) & (_row.status == PENDING)
    return (
        connection.execute(update(report_request).where(is_pending).values(**values)).rowcount > 0
    )


def claim_request(
    connection: Connection, request_id: str, run_id: str, root_run_id: str | None
) -> bool:
    """Claim a request for a run; return whether the run may make the report.

    A claim fails if another run has claimed the request, or if it was canceled or deleted. A retry
    may claim the request of the run that it retries.

    Parameters
    ----------
    connection : Connection
    request_id : str
    run_id : str
    root_run_id : str or None
        The first run of a chain of retries.
    """
    first = root_run_id or run_id
    claimable = or_(_row.status == PENDING, (_row.status == LAUNCHED) & (_row.run_id == first))
    change = update(report_request).where(_row.request_id == request_id, claimable)
    claimed = change.values(status=LAUNCHED, run_id=first).returning(_row.requested_at)
    requested_at = connection.execute(claimed).scalar_one_or_none()
    if requested_at is None:
        return False
    queue_report(connection, first, requested_at)
    return True


def drop_requests(connection: Connection, report_id: str) -> None:
    """Delete the requests for a report, with their keys."""
    _drop(connection, or_(_row.run_id == report_id, _row.request_id == report_id))


def drop_old_requests(connection: Connection, before: datetime) -> int:
    """Delete failed and canceled requests without a run from before an instant; return how many.

    Other requests are deleted with their reports.
    """
    abandoned = _row.status.in_((FAILED, CANCELED)) & _row.run_id.is_(None)
    return _drop(connection, abandoned & (_row.requested_at < before))


def _drop(connection: Connection, which: ColumnElement[bool]) -> int:
    ids = select(_row.request_id).where(which)
    connection.execute(delete(idempotency_key).where(idempotency_key.c.request_id.in_(ids)))
    return connection.execute(delete(report_request).where(which)).rowcount
