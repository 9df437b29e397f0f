"""All reports and their status (table ``report``).

The id of a report is the id of the first Dagster run that made it. A retry of that run makes the
same report, unless it is Complete: a Complete report never changes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, case, func, insert, null, or_, select, union_all, update

from storemon_pipeline.storage.schema import fleet_figure, report, report_request
from storemon_pipeline.uptime.messages import shorten
from storemon_pipeline.uptime.report_request import ReportRequest
from storemon_pipeline.uptime.rules import UptimeRules
from storemon_pipeline.uptime.windows import Window

QUEUED, RUNNING, COMPLETE, FAILED = "Queued", "Running", "Complete", "Failed"
CANCELED = "Canceled"
STATUSES = (QUEUED, RUNNING, COMPLETE, FAILED, CANCELED)
IN_PROGRESS = (QUEUED, RUNNING)

PENDING, LAUNCHED = "Pending", "Launched"
"""Status of a request before and after its run is launched; clients see its report as Queued."""

AS_OF_IN_PAST = report.c.as_of <= report.c.finished_at
"""Reports whose ``as_of`` was not in the future when they finished."""


def start_report(
    connection: Connection,
    run_id: str,
    request: ReportRequest | None,
    requested_at: datetime,
    *,
    root_run_id: str | None = None,
) -> None:
    """Record that a run makes a report, with its request once resolved.

    Does nothing for a Complete report.

    Parameters
    ----------
    connection : Connection
    run_id : str
    request : ReportRequest or None
    requested_at : datetime
    root_run_id : str, optional
        The first run of a chain of retries. Its report is made, unless it is Complete.
    """
    report_id = run_id
    if root_run_id is not None and _status(connection, root_run_id) not in (None, COMPLETE):
        report_id = root_run_id
    values = {
        "status": RUNNING,
        "run_id": run_id,
        "request": None if request is None else request.model_dump(mode="json"),
        "as_of": None if request is None else request.as_of,
        "finished_at": None,
        "error": None,
    }
    status = _status(connection, report_id)
    if status is None:
        connection.execute(
            insert(report).values(report_id=report_id, requested_at=requested_at, **values)
        )
    elif status != COMPLETE:
        connection.execute(update(report).where(report.c.report_id == report_id).values(**values))


def _status(connection: Connection, report_id: str) -> str | None:
    return connection.execute(
        select(report.c.status).where(report.c.report_id == report_id)
    ).scalar_one_or_none()


def queue_report(connection: Connection, run_id: str, requested_at: datetime) -> None:
    """Record that the run of a report is queued, unless the report exists."""
    if _status(connection, run_id) is None:
        connection.execute(
            insert(report).values(
                report_id=run_id, run_id=run_id, status=QUEUED, requested_at=requested_at
            )
        )


def complete_report(
    connection: Connection, run_id: str, *, stores: int, finished_at: datetime
) -> None:
    """Mark the report of a run as Complete; its files must exist."""
    connection.execute(
        update(report)
        .where(report.c.run_id == run_id)
        .values(status=COMPLETE, stores=stores, finished_at=finished_at, error=None)
    )


def fail_report(connection: Connection, run_id: str, *, error: str, failed_at: datetime) -> None:
    """Mark the report of a run, if it is in progress, as Failed, with the reason."""
    connection.execute(
        update(report)
        .where(report.c.run_id == run_id, report.c.status.in_(IN_PROGRESS))
        .values(status=FAILED, finished_at=failed_at, error=shorten(error))
    )


def cancel_report(connection: Connection, run_id: str, *, canceled_at: datetime) -> None:
    """Mark the report of a run, if it is in progress, as Canceled."""
    connection.execute(
        update(report)
        .where(report.c.run_id == run_id, report.c.status.in_(IN_PROGRESS))
        .values(status=CANCELED, finished_at=canceled_at)
    )


def running_reports(connection: Connection, run_ids: Collection[str]) -> list[str]:
    """Return those of some runs whose reports are Running."""
    query = select(report.c.run_id).where(report.c.run_id.in_(run_ids), report.c.status == RUNNING)
    return list(connection.execute(query).scalars())


def runs_in_progress(connection: Connection) -> list[str]:
    """Return the runs whose reports are Queued or Running."""
    in_progress = report.c.status.in_(IN_PROGRESS)
    return list(connection.execute(select(report.c.run_id).where(in_progress)).scalars())


@dataclass(frozen=True, slots=True)
class ReportRecord:
    """A report, or a request without a run yet.

    Attributes
    ----------
    report_id : str
        The id of the run, or of the request before a run is launched.
    run_id : str or None
        The latest run that makes the report.
    status : str
        One of :data:`STATUSES`.
    request : dict or None
        The spec, or the resolved request once the run has started.
    as_of, finished_at : datetime or None
    requested_at : datetime
    stores : int or None
    error : str or None
    """

    report_id: str
    run_id: str | None
    status: str
    request: dict[str, Any] | None
    as_of: datetime | None
    requested_at: datetime
    finished_at: datetime | None
    stores: int | None
    error: str | None


_REPORTS = select(
    report.c.report_id,
    report.c.run_id,
    report.c.status,
    report.c.request,
    report_request.c.spec,
    report.c.as_of,
    report.c.requested_at,
    report.c.finished_at,
    report.c.stores,
    report.c.error,
).join_from(report, report_request, report_request.c.run_id == report.c.report_id, isouter=True)
_REQUESTS = select(
    report_request.c.request_id,
    report_request.c.run_id,
    report_request.c.status,
    null(),
    report_request.c.spec,
    null(),
    report_request.c.requested_at,
    null(),
    null(),
    report_request.c.error,
)


def _to_record(row: Sequence[Any]) -> ReportRecord:
    report_id, run_id, status, request, spec, *rest = row
    return ReportRecord(
        report_id,
        run_id,
        QUEUED if status in (PENDING, LAUNCHED) else status,
        spec if request is None else request,
        *rest,
    )


def find_report(connection: Connection, report_id: str) -> ReportRecord | None:
    """Return a report by its id, the id of a retry, or the id of its request; or None."""
    by_report = _REPORTS.where(or_(report.c.report_id == report_id, report.c.run_id == report_id))
    if row := connection.execute(by_report).first():
        return _to_record(row)
    row = connection.execute(_REQUESTS.where(report_request.c.request_id == report_id)).first()
    if row is None:
        return None
    by_run = _REPORTS.where(report.c.report_id == row.run_id)
    return _to_record(connection.execute(by_run).first() or row)


def read_reports(
    connection: Connection, *, limit: int, before: tuple[datetime, str] | None = None
) -> list[ReportRecord]:
    """Return reports, and requests without a run yet, newest first.

    Parameters
    ----------
    connection : Connection
    limit : int
        Maximum number of reports.
    before : tuple of datetime and str, optional
        Only reports older than the one with this ``requested_at`` and ``report_id``.
    """
    reports = union_all(_REPORTS, _REQUESTS.where(report_request.c.run_id.is_(None))).subquery()
    query = select(reports).order_by(reports.c.requested_at.desc(), reports.c.report_id.desc())
    if before is not None:
        requested_at, report_id = before
        query = query.where(
            or_(
                reports.c.requested_at < requested_at,
                (reports.c.requested_at == requested_at) & (reports.c.report_id < report_id),
            )
        )
    return [_to_record(row) for row in connection.execute(query.limit(limit))]


def latest_complete_report(connection: Connection) -> ReportRecord | None:
    """Return the Complete report of all stores to show by default, or None.

    Reports with default rules and the last week come first, then the greatest ``as_of``, then the
    last one to complete. Reports with an ``as_of`` in the future are excluded.
    """
    rules = report.c.request["rules"]
    # a rule that is missing in a stored request did not exist then, so it had its default
    default_rules = [
        or_(rules[name].as_string().is_(None), rules[name].as_string() == value)
        for name, value in UptimeRules().model_dump(mode="json").items()
    ]
    has_week = (
        select(fleet_figure.c.report_id)
        .where(
            fleet_figure.c.report_id == report.c.report_id,
            fleet_figure.c.window_name == Window.WEEK.suffix,
        )
        .exists()
    )
    query = _REPORTS.where(
        report.c.status == COMPLETE,
        report.c.request.is_not(None),
        report.c.request["store_ids"].as_string().is_(None),
        AS_OF_IN_PAST,
    ).order_by(
        case((and_(has_week, *default_rules), 0), else_=1),
        report.c.as_of.desc(),
        report.c.finished_at.desc(),
    )
    row = connection.execute(query.limit(1)).first()
    return None if row is None else _to_record(row)


def newest_standard_report(
    connection: Connection, has_files: Callable[[ReportRecord], bool] = lambda _: True
) -> ReportRecord | None:
    """Find the Complete standard report with the greatest ``as_of``.

    Standard: all stores, default windows and default rules
    (:attr:`~storemon_pipeline.uptime.report_request.ReportRequest.is_standard`). Of several reports
    with the same ``as_of``, the last one to complete.

    Parameters
    ----------
    connection : Connection
    has_files : callable, optional
        Skip reports for which this is false.
    """
    query = _REPORTS.where(
        report.c.status == COMPLETE,
        report.c.request.is_not(None),
        report.c.request["store_ids"].as_string().is_(None),
        AS_OF_IN_PAST,
    ).order_by(report.c.as_of.desc(), report.c.finished_at.desc())
    with connection.execute(query.execution_options(yield_per=50)) as rows:
        for row in rows:
            state = _to_record(row)
            if ReportRequest.model_validate(state.request).is_standard and has_files(state):
                return state
    return None


def count_reports_by_status(connection: Connection) -> dict[str, int]:
    """Count reports by status, including requests without a run yet."""
    requests = select(report_request.c.status).where(report_request.c.run_id.is_(None))
    statuses = union_all(select(report.c.status), requests).subquery()
    query = select(statuses.c.status, func.count()).group_by(statuses.c.status)
    counts = dict.fromkeys(STATUSES, 0)
    for status, count in connection.execute(query):
        counts[QUEUED if status == PENDING else status] += count
    return counts
