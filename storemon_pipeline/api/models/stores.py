"""Models of stores and their status."""

from __future__ import annotations

from datetime import date as Date  # noqa: N812 - a field has this name
from datetime import datetime
from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, Field

from storemon_pipeline.api.models.examples import AS_OF, REPORT_ID, STORE_ID
from storemon_pipeline.api.models.reports import Figure
from storemon_pipeline.api.pagination import NextLink

Timestamp = TypeVar("Timestamp", str, datetime)


class StoreFacts(BaseModel, Generic[Timestamp]):
    """Fields of a store that the legacy summary also has, there with timestamps as text."""

    store_id: str = Field(examples=[STORE_ID])
    total_status_records: int = Field(description="Number of polls.", examples=[1234])
    data_available_from: Timestamp = Field(description="The first poll.")
    data_available_until: Timestamp = Field(description="The last poll.")
    timezone: str = Field(
        description="The time zone used for the store.", examples=["America/New_York"]
    )
    has_business_hours: bool = Field(
        description="Whether opening hours are known; without any, the store is always open."
    )
    business_days_defined: int = Field(
        description="Number of weekdays with opening hours.", examples=[7]
    )


class LatestFigures(BaseModel):
    """The store's row of ``report_full.csv`` in the latest complete report of all stores."""

    report_id: str = Field(examples=[REPORT_ID])
    as_of: datetime = Field(examples=[AS_OF])
    figures: dict[str, Figure] = Field(
        description="Figures by column name of the report, SLO columns included.",
        examples=[{"uptime_last_hour": 60.0, "met_last_hour": True, "outages_last_hour": 0}],
    )


class Opening(BaseModel):
    """An opening, in the store's local time."""

    start_time_local: str = Field(examples=["09:00:00"])
    end_time_local: str = Field(
        description=("The end, up to 24:00:00; an end at or before the start is on the next day."),
        examples=["17:30:00"],
    )


class WeeklyOpening(Opening):
    """An opening on a weekday; a weekday may have several."""

    day_of_week: int = Field(description="0 = Monday.", ge=0, le=6, examples=[4])


class SpecialDate(BaseModel):
    """A date with its own openings, in place of those of its weekday."""

    date: Date = Field(examples=["2023-12-25"])
    openings: list[Opening] = Field(
        description="The openings; empty if the store is closed on that date.", examples=[[]]
    )


class StoreNow(BaseModel):
    """The status of a store at the newest poll of the data."""

    status: Literal["closed", "up", "down", "no data"] = Field(
        description=(
            "no data: the store is open, and its latest poll within opening hours is older than "
            "STOREMON_NO_DATA_AFTER_MINUTES."
        ),
        examples=["up"],
    )
    as_of: datetime = Field(description="The newest poll of the data.", examples=[AS_OF])
    poll_utc: datetime | None = Field(
        description="The poll that determines whether the store is up or down.",
        examples=["2023-01-25T18:11:53.000001Z"],
    )


class Store(StoreFacts[datetime]):
    """A store: its data, status and latest figures."""

    timezone_known: bool = Field(
        description="false: the store has no valid time zone, and `timezone` is the default.",
        examples=[True],
    )
    now: StoreNow | None = Field(description="null if all polls are in the future.")
    opening_hours: list[WeeklyOpening] = Field(
        description="Opening hours as ingested, by weekday; empty if the store is always open."
    )
    special_hours: list[SpecialDate] = Field(description="Special hours as ingested, by date.")
    latest: LatestFigures | None = Field(
        description="null if no complete report of all stores contains the store."
    )


class ListedStore(BaseModel):
    """A store in the list of stores."""

    store_id: str = Field(examples=[STORE_ID])
    last_poll_utc: datetime = Field(examples=["2023-01-25T18:11:53.000001Z"])


class Stores(BaseModel):
    """A page of stores: those whose id starts with the search text first, then by id."""

    total: int = Field(description="Number of matching stores on all pages.", examples=[14092])
    stores: list[ListedStore]
    next: NextLink


class StatusInterval(BaseModel):
    """The interval that a poll's status covers."""

    start_utc: datetime = Field(examples=["2023-01-25T12:00:00Z"])
    end_utc: datetime = Field(description="The end, exclusive.", examples=["2023-01-25T13:00:00Z"])
    status: Literal["active", "inactive"]


class OpenInterval(BaseModel):
    """An interval in which a store is open."""

    open_utc: datetime = Field(examples=["2023-01-25T12:00:00Z"])
    close_utc: datetime = Field(
        description="The end, exclusive.", examples=["2023-01-25T22:00:00Z"]
    )


class StoreStatus(BaseModel):
    """Status intervals and open intervals of a store."""

    store_id: str = Field(examples=[STORE_ID])
    timezone: str = Field(examples=["America/New_York"])
    start: datetime = Field(examples=["2023-01-18T18:13:22.479220Z"])
    end: datetime = Field(examples=[AS_OF])
    status_intervals: list[StatusInterval] = Field(
        description="Not clipped to opening hours; time that no interval covers is unobserved."
    )
    open_intervals: list[OpenInterval]
