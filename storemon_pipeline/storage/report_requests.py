"""report_request: what was asked for over REST, kept until a run makes it and beyond.

A request is first kept and then offered to Dagster, by the API that took it. Where Dagster cannot
be reached, or the API dies meanwhile, the request waits, and a sensor launches its run. A run
claims its request when it begins, so that of two runs for one request only one makes a report.
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
    QUEUED,
    WAITING,
    queue_report,
)
from storemon_pipeline.storage.schema import idempotency_key, report, report_request
from storemon_pipeline.uptime.messages import quote_value
from storemon_pipeline.uptime.report_request import ReportSpec
from storemon_pipeline.uptime.rules import BeforeFirstPoll


class IdempotencyKeyReusedError(ValueError):
    """A key that came with another request before."""


class TooManyQueuedError(RuntimeError):
    """As many reports wait already as may."""


@dataclass(frozen=True, slots=True)
class StoredRequest:
    """A request that is on record.

    Attributes
    ----------
    request_id : str
    status : str
        Waiting, Launched, Failed or Canceled.
    asked : ReportSpec
    requested_at : datetime
    http_request_id : str or None
    offered_at : datetime or None
        When somebody last began to launch a run for it; None where that failed.
    run_id : str or None
        The run that was launched for it.
    error : str or None
    is_new : bool
        Whether it was put on record just now, and is to be offered to Dagster.
    """

    request_id: str
    status: str
    asked: ReportSpec
    requested_at: datetime
    http_request_id: str | None
    offered_at: datetime | None
    run_id: str | None
    error: str | None
    is_new: bool = False


_row = report_request.c
_COLUMNS = (
    _row.request_id,
    _row.status,
    _row.asked,
    _row.requested_at,
    _row.http_request_id,
    _row.offered_at,
    _row.run_id,
    _row.error,
)
# a run that was launched and has not ended, as far as is known
_IN_PROGRESS = or_(
    _row.status == WAITING, (_row.status == LAUNCHED) & report.c.status.in_(IN_PROGRESS)
)


def _kept(row: Sequence[Any]) -> StoredRequest:
    request_id, status, asked, *rest = row
    return StoredRequest(request_id, status, ReportSpec.model_validate(asked), *rest)


def request_digest(asked: ReportSpec) -> str:
    """The same for all requests that ask for the same.

    Examples
    --------
    >>> one = ReportSpec(store_ids=("b", "a"), windows=("day", "day"))
    >>> other = ReportSpec(store_ids=("a", "b", "b"), windows=("day",))
    >>> request_digest(one) == request_digest(other)
    True
    """
    same = asked.model_dump(mode="json", exclude_none=True)
    same["windows"] = list(dict.fromkeys(same["windows"]))
    if asked.rules.before_first_poll is BeforeFirstPoll.BACKFILL:
        # as before there was this rule: a key's digest on record must still fit its request
        del same["rules"]["before_first_poll"]
    if "store_ids" in same:
        same["store_ids"] = sorted(set(same["store_ids"]))
    return hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()


def create_or_get_request(
    connection: Connection,
    asked: ReportSpec,
    request_id: str,
    now: datetime,
    *,
    max_queued: int,
    key: str | None = None,
    http_request_id: str | None = None,
) -> StoredRequest:
    """Put a request on record, or find the one that it repeats.

    It repeats the one that came with the same key, or an equal one whose report is in progress.

    Parameters
    ----------
    connection : Connection
        Of :meth:`~storemon_pipeline.storage.database.Database.registry_transaction`, alone with the
        requests.
    asked : ReportSpec
    request_id : str
        For a new one.
    now : datetime
    max_queued : int
        How many reports may be queued at a time.
    key : str, optional
        The client's key: what comes with the same is the same request.
    http_request_id : str, optional

    Raises
    ------
    IdempotencyKeyReusedError
        Where the key came with another request.
    TooManyQueuedError
        Where too many reports are queued already.
    """
    digest = request_digest(asked)
    found = _of_key(connection, key, digest) if key else None
    if found is None and (equal := _in_progress(connection, digest)):
        found = equal
        _keep_key(connection, key, digest, equal.request_id)
    if found is not None:
        return found
    if _count_queued(connection) >= max_queued:
        msg = f"{max_queued} reports are queued already"
        raise TooManyQueuedError(msg)
    connection.execute(
        insert(report_request).values(
            request_id=request_id,
            status=WAITING,
            asked=asked.model_dump(mode="json", exclude_defaults=True),
            digest=digest,
            http_request_id=http_request_id,
            requested_at=now,
            offered_at=now,
        )
    )
    _keep_key(connection, key, digest, request_id)
    return StoredRequest(
        request_id, WAITING, asked, now, http_request_id, now, None, None, is_new=True
    )


def _of_key(connection: Connection, key: str, digest: str) -> StoredRequest | None:
    query = (
        select(*_COLUMNS, idempotency_key.c.digest)
        .join_from(idempotency_key, report_request)
        .where(idempotency_key.c.idempotency_key == key)
    )
    row = connection.execute(query).first()
    if row is None:
        return None
    *columns, kept_digest = row
    if kept_digest != digest:
        msg = f"the key {quote_value(key)} came with another request before"
        raise IdempotencyKeyReusedError(msg)
    return _kept(columns)


def _keep_key(connection: Connection, key: str | None, digest: str, request_id: str) -> None:
    if key:
        values = {"idempotency_key": key, "digest": digest, "request_id": request_id}
        connection.execute(insert(idempotency_key).values(values))


def _in_progress(connection: Connection, digest: str) -> StoredRequest | None:
    query = (
        select(*_COLUMNS)
        .join_from(report_request, report, report.c.report_id == _row.run_id, isouter=True)
        .where(_row.digest == digest, _IN_PROGRESS)
        .order_by(_row.requested_at)
    )
    row = connection.execute(query.limit(1)).first()
    return _kept(row) if row else None


def _count_queued(connection: Connection) -> int:
    waiting = select(func.count()).select_from(report_request).where(_row.status == WAITING)
    queued = select(func.count()).select_from(report).where(report.c.status == QUEUED)
    return connection.execute(waiting).scalar_one() + connection.execute(queued).scalar_one()


def find_request(connection: Connection, request_id: str) -> StoredRequest | None:
    """A request by its id; None where there is none."""
    row = connection.execute(select(*_COLUMNS).where(_row.request_id == request_id)).first()
    return _kept(row) if row else None


def waiting_requests(connection: Connection, attempted_before: datetime) -> list[StoredRequest]:
    """The requests that wait for a run, oldest first.

    Parameters
    ----------
    connection : Connection
    attempted_before : datetime
        Not those that somebody began to launch a run for since then: he may be at it still.
    """
    query = select(*_COLUMNS).where(
        _row.status == WAITING, or_(_row.offered_at.is_(None), _row.offered_at < attempted_before)
    )
    return [_kept(row) for row in connection.execute(query.order_by(_row.requested_at))]


def mark_launched(connection: Connection, request: StoredRequest, run_id: str) -> None:
    """Record that a run was launched for a request; its report is queued from now on."""
    if _update_waiting(connection, request.request_id, status=LAUNCHED, run_id=run_id):
        queue_report(connection, run_id, request.requested_at)


def release_request(connection: Connection, request_id: str) -> None:
    """Record that no run could be launched: whoever comes next may try."""
    _update_waiting(connection, request_id, offered_at=None)


def mark_failed(connection: Connection, request_id: str, error: str) -> None:
    """Record that no run will ever be launched for a request, with the reason."""
    _update_waiting(connection, request_id, status=FAILED, error=error)


def cancel_request(connection: Connection, request_id: str) -> bool:
    """Cancel a request that waits for a run; gives whether it did."""
    return _update_waiting(connection, request_id, status=CANCELED)


def _update_waiting(connection: Connection, request_id: str, **values: Any) -> bool:
    waiting = (_row.request_id == request_id) & (_row.status == WAITING)
    return connection.execute(update(report_request).where(waiting).values(**values)).rowcount > 0


def claim_request(
    connection: Connection, request_id: str, run_id: str, root_run_id: str | None
) -> bool:
    """Let a run make the report of a request; gives whether it may.

    It may unless another run has claimed the request, or it was canceled, or is not on record.
    A retry may claim what the run that it retries has.

    Parameters
    ----------
    connection : Connection
    request_id : str
    run_id : str
    root_run_id : str or None
        The run that this one retries in the end.
    """
    first = root_run_id or run_id
    mine = or_(_row.status == WAITING, (_row.status == LAUNCHED) & (_row.run_id == first))
    change = update(report_request).where(_row.request_id == request_id, mine)
    claimed = change.values(status=LAUNCHED, run_id=first).returning(_row.requested_at)
    requested_at = connection.execute(claimed).scalar_one_or_none()
    if requested_at is None:
        return False
    queue_report(connection, first, requested_at)
    return True


def drop_requests(connection: Connection, report_id: str) -> None:
    """Drop the requests for a report with their keys: they go with it."""
    _drop(connection, or_(_row.run_id == report_id, _row.request_id == report_id))


def drop_old_requests(connection: Connection, before: datetime) -> int:
    """Drop what was asked for before an instant and never had a run, and will not; gives how many.

    The others go with their reports.
    """
    given_up = _row.status.in_((FAILED, CANCELED)) & _row.run_id.is_(None)
    return _drop(connection, given_up & (_row.requested_at < before))


def _drop(connection: Connection, which: ColumnElement[bool]) -> int:
    ids = select(_row.request_id).where(which)
    connection.execute(delete(idempotency_key).where(idempotency_key.c.request_id.in_(ids)))
    return connection.execute(delete(report_request).where(which)).rowcount
