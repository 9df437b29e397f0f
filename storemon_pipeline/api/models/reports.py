"""Models of reports, their rows and their downtime events."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, Field

from storemon_pipeline.api.models.examples import AS_OF, REPORT_ID, STORE_ID
from storemon_pipeline.api.pagination import NextLink
from storemon_pipeline.storage.reports import STATUSES
from storemon_pipeline.uptime.report_request import ReportRequest

Figure = str | bool | int | float | None
"""A value in a row of ``report_full.csv``."""

# a named schema: an inline enum would be named after its field by client generators
ReportStatus = StrEnum("ReportStatus", {status.upper(): status for status in STATUSES})  # type: ignore[misc]


class Progress(BaseModel):
    """Progress of a running report."""

    done: int = Field(description="Number of completed steps.", examples=[3])
    steps: int = Field(description="Number of steps.", examples=[6])
    running: list[str] = Field(description="Steps in progress.", examples=[["status_intervals"]])


class Links(BaseModel):
    """Links of a report."""

    self: str = Field(examples=[f"/v1/reports/{REPORT_ID}"])
    page: str = Field(
        description="The HTML page of the report; shows its progress until it is Complete.",
        examples=[f"/reports/{REPORT_ID}"],
    )
    run: str | None = Field(
        description="The run in the Dagster UI.",
        examples=[f"http://127.0.0.1:3000/runs/{REPORT_ID}"],
    )
    files: dict[str, str] = Field(
        description="The report's files by name; empty until it is Complete.",
        examples=[{"report.csv": f"/v1/reports/{REPORT_ID}/report.csv"}],
    )


class Report(BaseModel):
    """A report, from its request to its files."""

    id: str = Field(
        description=(
            "The id of the first Dagster run that made the report. Before a run is launched, the "
            "id of the request, which stays valid afterwards."
        ),
        examples=[REPORT_ID],
    )
    status: ReportStatus
    run_id: str | None = Field(
        description="The run that makes the report; differs from `id` after a retry.",
        examples=[REPORT_ID],
    )
    request: dict[str, Any] | None = Field(
        description="The request; fully resolved once the run has started.",
        examples=[{"as_of": AS_OF, "windows": ["hour", "day", "week"], "store_ids": None}],
    )
    as_of: datetime | None = Field(description="The end of every window, UTC.", examples=[AS_OF])
    requested_at: datetime = Field(examples=["2023-01-25T18:15:00Z"])
    finished_at: datetime | None = Field(examples=["2023-01-25T18:15:04Z"])
    stores: int | None = Field(
        description="Number of stores in the report, once Complete.", examples=[14092]
    )
    progress: Progress | None = Field(
        default=None, description="Progress while Running, if Dagster is available."
    )
    error: str | None = Field(description="Why the report failed.", examples=[None])
    links: Links


class Reports(BaseModel):
    """A page of reports, newest first."""

    reports: list[Report]
    next: NextLink


class ReportRows(BaseModel):
    """The rows of a report, with the request they were computed for."""

    report_id: str = Field(examples=[REPORT_ID])
    request: ReportRequest = Field(description="`as_of`, windows, stores and rules.")
    rows: list[dict[str, Figure]] = Field(
        description="Rows by column name of `report_full.csv`.",
        examples=[[{"store_id": STORE_ID, "uptime_last_hour": 60.0}]],
    )


class DowntimeEvent(BaseModel):
    """An interval of downtime within one opening."""

    store_id: str = Field(examples=[STORE_ID])
    start_utc: datetime = Field(examples=["2023-01-25T17:00:00Z"])
    end_utc: datetime = Field(description="The end, exclusive.", examples=[AS_OF])
    start_local: datetime = Field(examples=["2023-01-25T11:00:00-06:00"])
    end_local: datetime = Field(examples=["2023-01-25T12:13:22.479220-06:00"])
    minutes: float = Field(examples=[73.37])
    ongoing: bool = Field(
        description="Whether the store is still down at the report's `as_of`.", examples=[True]
    )


class DowntimeEvents(BaseModel):
    """A page of downtime events, by store and start."""

    report_id: str = Field(examples=[REPORT_ID])
    total: int = Field(description="Number of matching events on all pages.", examples=[1])
    events: list[DowntimeEvent]
    next: NextLink
