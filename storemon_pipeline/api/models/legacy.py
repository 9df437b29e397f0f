"""Models of the legacy endpoints."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from storemon_pipeline.api.models.examples import REPORT_ID
from storemon_pipeline.api.models.reports import ReportStatus
from storemon_pipeline.api.models.stores import StoreFacts


class Launched(BaseModel):
    """A launched run."""

    run_id: str = Field(examples=[REPORT_ID])
    message: str


class TriggeredReport(BaseModel):
    """The id of a triggered report."""

    report_id: str = Field(examples=[REPORT_ID])


class LegacyReportStatus(BaseModel):
    """The status of a report that has no CSV."""

    status: str = Field(examples=["Running"])
    error: str | None = Field(default=None, description="Why the report failed.")


class LegacyReport(BaseModel):
    """A report in the legacy list."""

    report_id: str = Field(examples=[REPORT_ID])
    status: ReportStatus
    requested_at: datetime
    finished_at: datetime | None


class StoreSummary(StoreFacts[str]):
    """Summary of a store, with timestamps like 2023-01-18 00:03:57 UTC."""
