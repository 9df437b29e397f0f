"""Models of alerts."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from storemon_pipeline.api.models.examples import AS_OF, STORE_ID
from storemon_pipeline.api.pagination import NextLink


class Alert(BaseModel):
    """A webhook alert: an outage, a failing ingest, or its recovery."""

    alert_id: str = Field(
        description="The id of the alert in the webhook request.",
        examples=["0b0f2f8e-53f1-4d0c-9a0b-0d3a1f6f7c11"],
    )
    kind: Literal["down", "recovered", "ingest_failed", "ingest_recovered"]
    store_id: str | None = Field(
        description="The store; null for alerts about the ingest.", examples=[STORE_ID]
    )
    down_since: datetime = Field(
        description="Start of the outage, or of the ingest failures.",
        examples=["2023-01-25T16:11:13.183878Z"],
    )
    as_of: datetime = Field(
        description="The newest poll when the alert was created.", examples=[AS_OF]
    )
    noticed_at: datetime = Field(
        description="When the alert was created.", examples=["2023-01-25T18:15:00Z"]
    )
    sent_at: datetime | None = Field(
        description="When the webhook accepted the alert; null while it is pending.",
        examples=["2023-01-25T18:15:01Z"],
    )
    attempts: int = Field(description="Number of delivery attempts.", examples=[1])
    last_error: str | None = Field(
        description="The error of the last delivery attempt; null once sent.", examples=[None]
    )


class Alerts(BaseModel):
    """A page of alerts, newest first."""

    alerts: list[Alert]
    next: NextLink
