"""Models of histories, comparisons and downtime by hour of the week."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, Field

from storemon_pipeline.api.models.examples import AS_OF, REPORT_ID, STORE_ID
from storemon_pipeline.uptime.windows import Window

# the suffixes of the report's columns
WindowColumn = StrEnum("WindowColumn", {window.name: window.suffix for window in Window})  # type: ignore[misc]


class HistoryPoint(BaseModel):
    """Figures of one report."""

    report_id: str = Field(examples=[REPORT_ID])
    as_of: datetime = Field(examples=[AS_OF])
    start: datetime | None = Field(
        description="Start of the range; null for all other windows.", examples=[None]
    )
    uptime_pct: float | None = Field(
        description="Percentage of observed open time; null if nothing was observed.",
        examples=[98.71],
    )
    uptime_hours: float = Field(examples=[76.0])
    downtime_hours: float = Field(examples=[1.0])
    unobserved_hours: float = Field(examples=[0.0])


class FleetHistory(BaseModel):
    """Figures of all stores combined, over past reports."""

    window: WindowColumn = Field(examples=["last_week"])
    history: list[HistoryPoint] = Field(description="Reports, oldest first.")


class StoreHistory(FleetHistory):
    """Figures of a store over past reports."""

    store_id: str = Field(examples=[STORE_ID])


class StoreChange(BaseModel):
    """Uptime of a store in two reports."""

    store_id: str = Field(examples=[STORE_ID])
    uptime_pct_a: float | None = Field(
        description="null if report a lacks the store or observed nothing.", examples=[99.5]
    )
    uptime_pct_b: float | None = Field(examples=[87.25])
    change: float | None = Field(description="b - a, in percentage points.", examples=[-12.25])


class Comparison(BaseModel):
    """Change of each store's uptime from one report to another."""

    a: str = Field(examples=[REPORT_ID])
    b: str = Field(examples=["b6a1e9d0-5b5c-4a3e-9d3f-0d3f7e0b9a11"])
    window: WindowColumn = Field(examples=["last_week"])
    as_of_a: datetime = Field(examples=["2023-01-18T18:13:22.479220Z"])
    as_of_b: datetime = Field(examples=[AS_OF])
    start_a: datetime | None = Field(
        description="Start of report a's range; null for all other windows.", examples=[None]
    )
    start_b: datetime | None = Field(examples=[None])
    stores: list[StoreChange] = Field(description="Stores, largest decrease first.")


class HourOfWeek(BaseModel):
    """Open time and downtime in an hour of the week, in local time."""

    day_of_week: int = Field(description="0 = Monday.", examples=[4])
    hour: int = Field(description="0 to 23.", examples=[18])
    open_minutes: float = Field(examples=[60.0])
    downtime_minutes: float = Field(examples=[13.37])
    downtime_pct: float = Field(description="Percentage of open time.", examples=[22.28])


class FleetByHour(BaseModel):
    """Downtime of all stores combined by hour of the week, in the latest report of all stores."""

    report_id: str = Field(examples=[REPORT_ID])
    as_of: datetime = Field(examples=[AS_OF])
    hours: list[HourOfWeek] = Field(description="Each hour with open time.")


class StoreByHour(FleetByHour):
    """Downtime of a store by hour of the week, in the latest report of all stores."""

    store_id: str = Field(examples=[STORE_ID])
    timezone: str = Field(
        description="The time zone used for the store.", examples=["America/New_York"]
    )
