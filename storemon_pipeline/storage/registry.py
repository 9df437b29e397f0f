"""report: every report that was started, whoever started it, and what became of it.

A report's id is the id of the Dagster run that makes it. A report that is Complete stays so.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from storemon_pipeline.storage.tables import report
from storemon_pipeline.uptime.request import ReportRequest

QUEUED, RUNNING, COMPLETE, FAILED = "Queued", "Running", "Complete", "Failed"
IN_PROGRESS = (QUEUED, RUNNING)


def start_report(
    connection: Connection, report_id: str, request: ReportRequest | None, requested_at: datetime
) -> None:
    """Record that a run makes a report, and what it was asked for once that is resolved.

    Nothing happens for a report that is Complete.
    """
    values = {
        "status": RUNNING,
        "request": None if request is None else request.model_dump(mode="json"),
        "as_of": None if request is None else request.as_of,
    }
    this = report.c.report_id == report_id
    status = connection.execute(select(report.c.status).where(this)).scalar_one_or_none()
    if status is None:
        connection.execute(
            insert(report).values(report_id=report_id, requested_at=requested_at, **values)
        )
    elif status != COMPLETE:
        connection.execute(update(report).where(this).values(**values))


def complete_report(
    connection: Connection, report_id: str, *, stores: int, finished_at: datetime
) -> None:
    """Mark a report Complete: its files are there, whole."""
    connection.execute(
        update(report)
        .where(report.c.report_id == report_id)
        .values(status=COMPLETE, stores=stores, finished_at=finished_at, error=None)
    )


def fail_report(connection: Connection, report_id: str, *, error: str, failed_at: datetime) -> None:
    """Mark a report that is not Complete as Failed, with the reason.

    Nothing happens for a run that makes no report.
    """
    connection.execute(
        update(report)
        .where(report.c.report_id == report_id, report.c.status != COMPLETE)
        .values(status=FAILED, finished_at=failed_at, error=error)
    )
