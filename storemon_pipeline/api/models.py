"""The resources of the API, as JSON."""

from __future__ import annotations

from datetime import date as Date  # noqa: N812 - a field is called so
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, Field

from storemon_pipeline.uptime.windows import Window

At = TypeVar("At", str, datetime)
Status = Literal["Queued", "Running", "Complete", "Failed", "Canceled"]

_ID = "5e135a30-2328-44f2-b25b-b3e4eeda8dd8"
_AT = "2023-01-25T18:13:22.479220Z"


class Progress(BaseModel):
    """How far a running report is."""

    done: int = Field(description="Steps that are done.", examples=[3])
    steps: int = Field(description="All steps.", examples=[6])
    running: list[str] = Field(description="Steps at work.", examples=[["status_intervals"]])


class Links(BaseModel):
    """Where to go from here."""

    self: str = Field(examples=[f"/v1/reports/{_ID}"])
    page: str = Field(
        description="The page to look at; until it is there, how far the report is.",
        examples=[f"/reports/{_ID}"],
    )
    run: str | None = Field(
        description="The run in Dagster's UI.", examples=[f"http://127.0.0.1:3000/runs/{_ID}"]
    )
    files: dict[str, str] = Field(
        description="The report's files, once it is Complete.",
        examples=[{"report.csv": f"/v1/reports/{_ID}/report.csv"}],
    )


class Report(BaseModel):
    """A report, from its request to its files."""

    id: str = Field(
        description=(
            "The id of the Dagster run that was first to make it; that of the request while there "
            "is no run, which goes on leading to the report."
        ),
        examples=[_ID],
    )
    status: Status
    run_id: str | None = Field(
        description="The run that makes it: another than `id` where it was retried.", examples=[_ID]
    )
    request: dict[str, Any] | None = Field(
        description="What was asked for; every question answered once the run has begun.",
        examples=[{"as_of": _AT, "windows": ["hour", "day", "week"], "store_ids": None}],
    )
    as_of: datetime | None = Field(description="The end of every window, UTC.", examples=[_AT])
    requested_at: datetime = Field(examples=["2023-01-25T18:15:00Z"])
    finished_at: datetime | None = Field(examples=["2023-01-25T18:15:04Z"])
    stores: int | None = Field(
        description="How many stores it tells of, once Complete.", examples=[14092]
    )
    progress: Progress | None = Field(
        default=None, description="While it is Running, where Dagster can be asked."
    )
    error: str | None = Field(description="Why it failed.", examples=[None])
    links: Links


class Reports(BaseModel):
    """A page of reports, newest first."""

    reports: list[Report]
    next: str | None = Field(
        description="Where the next page is; null on the last.",
        examples=["/v1/reports?limit=20&before=2023-01-25T18:15:00Z~" + _ID],
    )


class _StoreFacts(BaseModel, Generic[At]):
    """What the tables hold of a store; instants are text or not."""

    store_id: str = Field(examples=["1481966498820158979"])
    total_status_records: int = Field(description="Its polls.", examples=[1234])
    data_available_from: At = Field(description="Its first poll.")
    data_available_until: At = Field(description="Its last poll.")
    timezone: str = Field(
        description="The zone whose clock counts for it.", examples=["America/New_York"]
    )
    has_business_hours: bool = Field(description="false: it is taken to be always open.")
    business_days_defined: int = Field(
        description="On how many weekdays it has opening hours.", examples=[7]
    )


class StoreSummary(_StoreFacts[str]):
    """What the tables hold of a store, with instants like 2023-01-18 00:03:57 UTC."""


Figure = str | bool | int | float | None
"""A value in a row of ``report_full.csv``."""


class LatestFigures(BaseModel):
    """A store's row of ``report_full.csv`` of the newest complete report of all stores."""

    report_id: str = Field(examples=[_ID])
    as_of: datetime = Field(examples=[_AT])
    figures: dict[str, Figure] = Field(
        description="By the names of the report's columns, service levels included.",
        examples=[{"uptime_last_hour": 60.0, "met_last_hour": True, "outages_last_hour": 0}],
    )


class Opening(BaseModel):
    """An opening, in the store's local time."""

    start_time_local: str = Field(examples=["09:00:00"])
    end_time_local: str = Field(
        description="Up to 24:00:00; not after the start: on the next day.", examples=["17:30:00"]
    )


class WeeklyOpening(Opening):
    """An opening on a weekday; several on one are several openings."""

    day_of_week: int = Field(description="0 = Monday.", ge=0, le=6, examples=[4])


class SpecialDate(BaseModel):
    """A date whose openings are others than its weekday's."""

    date: Date = Field(examples=["2023-12-25"])
    openings: list[Opening] = Field(description="None: closed on that date.", examples=[[]])


class StoreNow(BaseModel):
    """How a store is at the newest poll of the data."""

    status: Literal["closed", "up", "down", "no data"] = Field(
        description=(
            "no data: it is open, and its newest poll in its open time is older than "
            "STOREMON_NO_DATA_AFTER_MINUTES."
        ),
        examples=["up"],
    )
    as_of: datetime = Field(description="The newest poll of the data.", examples=[_AT])
    poll_utc: datetime | None = Field(
        description="The poll that says whether it is up or down.",
        examples=["2023-01-25T18:11:53.000001Z"],
    )


class Store(_StoreFacts[datetime]):
    """A store: what the tables hold of it, and its newest figures."""

    timezone_known: bool = Field(
        description="false: `timezone` is assumed, since none that exists is named for the store.",
        examples=[True],
    )
    now: StoreNow | None = Field(description="null where all its polls are in the future.")
    opening_hours: list[WeeklyOpening] = Field(
        description="As they were read, by weekday; none: it is taken to be always open."
    )
    special_hours: list[SpecialDate] = Field(description="As they were read, by date.")
    latest: LatestFigures | None = Field(
        description="null where no report of all stores is complete, or it came later."
    )


class ListedStore(BaseModel):
    """A store in the list of all."""

    store_id: str = Field(examples=["1481966498820158979"])
    last_poll_utc: datetime = Field(examples=["2023-01-25T18:11:53.000001Z"])


class Stores(BaseModel):
    """A page of stores: those first whose id begins with what was searched for, then by id."""

    total: int = Field(description="How many were found, on all pages.", examples=[14092])
    stores: list[ListedStore]
    next: str | None = Field(
        description="Where the next page is; null on the last.",
        examples=["/v1/stores?q=148&limit=100&after=1481966498820158979"],
    )


class Alert(BaseModel):
    """An alert to the webhook: an outage or a failing ingest, or its end."""

    alert_id: str = Field(
        description="What the receiver knows it by.",
        examples=["0b0f2f8e-53f1-4d0c-9a0b-0d3a1f6f7c11"],
    )
    kind: Literal["down", "recovered", "ingest_failed", "ingest_recovered"]
    store_id: str | None = Field(
        description="null: the alert is about the ingest.", examples=["1481966498820158979"]
    )
    down_since: datetime = Field(
        description="When the outage began; of the ingest, since when it fails.",
        examples=["2023-01-25T16:11:13.183878Z"],
    )
    as_of: datetime = Field(description="The newest poll when it was noticed.", examples=[_AT])
    noticed_at: datetime = Field(examples=["2023-01-25T18:15:00Z"])
    sent_at: datetime | None = Field(
        description="When the webhook confirmed it; null: not yet.",
        examples=["2023-01-25T18:15:01Z"],
    )
    attempts: int = Field(description="How often it was tried.", examples=[1])
    last_error: str | None = Field(
        description="Why the last attempt failed, of one that is not sent.", examples=[None]
    )


class Alerts(BaseModel):
    """A page of alerts, newest first."""

    alerts: list[Alert]
    next: str | None = Field(
        description="Where the next page is; null on the last.",
        examples=["/v1/alerts?limit=20&before=1234"],
    )


class StatusInterval(BaseModel):
    """A stretch of time that a poll speaks for."""

    start_utc: datetime = Field(examples=["2023-01-25T12:00:00Z"])
    end_utc: datetime = Field(description="Not included.", examples=["2023-01-25T13:00:00Z"])
    status: Literal["active", "inactive"]


class OpenInterval(BaseModel):
    """A stretch of time that a store is open."""

    open_utc: datetime = Field(examples=["2023-01-25T12:00:00Z"])
    close_utc: datetime = Field(description="Not included.", examples=["2023-01-25T22:00:00Z"])


class StoreStatus(BaseModel):
    """Which status a store has when, and when it is open."""

    store_id: str = Field(examples=["1481966498820158979"])
    timezone: str = Field(examples=["America/New_York"])
    start: datetime = Field(examples=["2023-01-18T18:13:22.479220Z"])
    end: datetime = Field(examples=[_AT])
    status_intervals: list[StatusInterval] = Field(
        description="Not cut to opening hours; what none covers is unobserved."
    )
    open_intervals: list[OpenInterval]


class Launched(BaseModel):
    """A run that was launched."""

    run_id: str = Field(examples=[_ID])
    message: str


class ReportId(BaseModel):
    """The id of a report."""

    report_id: str = Field(examples=[_ID])


class ReportStatus(BaseModel):
    """The status of a report that has no file to give."""

    status: str = Field(examples=["Running"])
    error: str | None = Field(default=None, description="Why it failed.")


class ListedReport(BaseModel):
    """A report in the list of all."""

    report_id: str = Field(examples=[_ID])
    status: Status
    requested_at: datetime
    finished_at: datetime | None


class Health(BaseModel):
    """It answers, so it is alive; or ready."""

    status: Literal["ok"]


# a name for each window, as in the columns of the report
WindowColumn = StrEnum("WindowColumn", {window.name: window.suffix for window in Window})  # type: ignore[misc]


class HistoryPoint(BaseModel):
    """Figures of one report."""

    report_id: str = Field(examples=[_ID])
    as_of: datetime = Field(examples=[_AT])
    start: datetime | None = Field(
        description="Where the range begins; null for all other windows.", examples=[None]
    )
    uptime_pct: float | None = Field(
        description="Of observed open time; null where nothing was observed.", examples=[98.71]
    )
    uptime_hours: float = Field(examples=[76.0])
    downtime_hours: float = Field(examples=[1.0])
    unobserved_hours: float = Field(examples=[0.0])


class FleetHistory(BaseModel):
    """The figures of all stores together in past reports."""

    window: WindowColumn = Field(examples=["last_week"])
    history: list[HistoryPoint] = Field(description="Oldest first.")


class StoreHistory(FleetHistory):
    """The figures of a store in past reports."""

    store_id: str = Field(examples=["1481966498820158979"])


class StoreChange(BaseModel):
    """A store's uptime in two reports."""

    store_id: str = Field(examples=["1481966498820158979"])
    uptime_pct_a: float | None = Field(
        description="null where report a does not have the store, or observed nothing.",
        examples=[99.5],
    )
    uptime_pct_b: float | None = Field(examples=[87.25])
    change: float | None = Field(description="b - a, in percentage points.", examples=[-12.25])


class Comparison(BaseModel):
    """How each store's uptime changed from one report to another."""

    a: str = Field(examples=[_ID])
    b: str = Field(examples=["b6a1e9d0-5b5c-4a3e-9d3f-0d3f7e0b9a11"])
    window: WindowColumn = Field(examples=["last_week"])
    as_of_a: datetime = Field(examples=["2023-01-18T18:13:22.479220Z"])
    as_of_b: datetime = Field(examples=[_AT])
    start_a: datetime | None = Field(
        description="Where report a's range begins; null for all other windows.", examples=[None]
    )
    start_b: datetime | None = Field(examples=[None])
    stores: list[StoreChange] = Field(description="The one that got worst first.")


class DowntimeEvent(BaseModel):
    """A stretch of downtime within one opening."""

    store_id: str = Field(examples=["1481966498820158979"])
    start_utc: datetime = Field(examples=["2023-01-25T17:00:00Z"])
    end_utc: datetime = Field(description="Not included.", examples=[_AT])
    start_local: datetime = Field(examples=["2023-01-25T11:00:00-06:00"])
    end_local: datetime = Field(examples=["2023-01-25T12:13:22.479220-06:00"])
    minutes: float = Field(examples=[73.37])
    ongoing: bool = Field(
        description="It reaches the report's as_of, and the store is down then.", examples=[True]
    )


class DowntimeEvents(BaseModel):
    """A page of downtime events, by store and start."""

    report_id: str = Field(examples=[_ID])
    total: int = Field(description="How many fit, on all pages.", examples=[1])
    events: list[DowntimeEvent]
    next: str | None = Field(
        description="Where the next page is; null on the last.",
        examples=[f"/v1/reports/{_ID}/events?limit=100&offset=100"],
    )


class HourOfWeek(BaseModel):
    """Open time and downtime in an hour of the week, on the stores' own clocks."""

    day_of_week: int = Field(description="0 = Monday.", examples=[4])
    hour: int = Field(description="0 to 23.", examples=[18])
    open_minutes: float = Field(examples=[60.0])
    downtime_minutes: float = Field(examples=[13.37])
    downtime_pct: float = Field(description="Of open time.", examples=[22.28])


class FleetByHour(BaseModel):
    """Downtime of all stores together by hour of the week, in the newest report of all stores."""

    report_id: str = Field(examples=[_ID])
    as_of: datetime = Field(examples=[_AT])
    hours: list[HourOfWeek] = Field(description="Each hour with open time.")


class StoreByHour(FleetByHour):
    """Downtime of a store by hour of the week, in the newest report of all stores."""

    store_id: str = Field(examples=["1481966498820158979"])
    timezone: str = Field(description="The zone whose clock counts.", examples=["America/New_York"])
