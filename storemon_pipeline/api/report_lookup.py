"""Finds the report of a path parameter, or answers 404 or 409."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import Path

from storemon_pipeline.api.dependencies import AppState
from storemon_pipeline.api.problems import ProblemError
from storemon_pipeline.storage.report_writer import is_valid_report_id
from storemon_pipeline.storage.reports import (
    COMPLETE,
    ReportRecord,
    find_report,
    newest_standard_report,
)

LATEST = "latest"
"""Alias for the id of the latest standard report."""

ReportId = Annotated[
    str,
    Path(
        description=(
            "The id of the report or of its run, or `latest`: the latest report of all stores over "
            "the default windows with the default rules."
        ),
    ),
]


def get_report_or_404(app_state: AppState, report_id: str) -> ReportRecord:
    """Return a report by its id, or the latest standard report for ``latest``.

    The report itself is returned instead of a redirect, which not every client follows.

    Raises
    ------
    ProblemError
        404 if it does not exist.
    """
    if report_id != LATEST:
        return get_report_by_id_or_404(app_state, report_id)
    with app_state.database.read() as connection:
        record = newest_standard_report(connection)
    if record is None:
        msg = (
            "no report of all stores over the default windows with the default rules is Complete "
            "yet: request one by POST /v1/reports without a body"
        )
        raise ProblemError(HTTPStatus.NOT_FOUND, msg, type_slug="no-report")
    return record


def get_report_by_id_or_404(app_state: AppState, report_id: str) -> ReportRecord:
    """Return a report by its id.

    Raises
    ------
    ProblemError
        404 if it does not exist.
    """
    record = None
    # an invalid id may contain text that PostgreSQL rejects
    if is_valid_report_id(report_id):
        with app_state.database.read() as connection:
            record = find_report(connection, report_id)
    if record is None:
        msg = f"no report has the id {report_id}: GET /v1/reports lists all reports"
        raise ProblemError(HTTPStatus.NOT_FOUND, msg, type_slug="unknown-report")
    return record


def get_complete_report_or_409(app_state: AppState, report_id: str) -> ReportRecord:
    """Return a Complete report.

    Raises
    ------
    ProblemError
        404 if it does not exist, 409 if it is not Complete.
    """
    record = get_report_or_404(app_state, report_id)
    if record.status != COMPLETE:
        raise report_not_ready(record)
    return record


def report_not_ready(record: ReportRecord) -> ProblemError:
    """Return the 409 problem of a report that has no files."""
    detail = f"report {record.report_id} is {record.status}"
    if record.error:
        detail += f": {record.error}"
    return ProblemError(
        HTTPStatus.CONFLICT,
        f"{detail}. Its files are available once it is {COMPLETE}",
        type_slug="report-not-ready",
    )
