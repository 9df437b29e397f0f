"""Response models of the API, one module per resource."""

from storemon_pipeline.api.models.alerts import Alert, Alerts
from storemon_pipeline.api.models.analytics import (
    Comparison,
    FleetByHour,
    FleetHistory,
    HourOfWeek,
    StoreByHour,
    StoreHistory,
    WindowColumn,
)
from storemon_pipeline.api.models.health import Health
from storemon_pipeline.api.models.legacy import (
    Launched,
    LegacyReport,
    LegacyReportStatus,
    StoreSummary,
    TriggeredReport,
)
from storemon_pipeline.api.models.reports import (
    DowntimeEvent,
    DowntimeEvents,
    Figure,
    Links,
    Progress,
    Report,
    ReportRows,
    Reports,
    ReportStatus,
)
from storemon_pipeline.api.models.stores import (
    LatestFigures,
    ListedStore,
    Opening,
    SpecialDate,
    Store,
    StoreNow,
    Stores,
    StoreStatus,
    WeeklyOpening,
)

__all__ = [
    "Alert",
    "Alerts",
    "Comparison",
    "DowntimeEvent",
    "DowntimeEvents",
    "Figure",
    "FleetByHour",
    "FleetHistory",
    "Health",
    "HourOfWeek",
    "LatestFigures",
    "Launched",
    "LegacyReport",
    "LegacyReportStatus",
    "Links",
    "ListedStore",
    "Opening",
    "Progress",
    "Report",
    "ReportRows",
    "ReportStatus",
    "Reports",
    "SpecialDate",
    "Store",
    "StoreByHour",
    "StoreHistory",
    "StoreNow",
    "StoreStatus",
    "StoreSummary",
    "Stores",
    "TriggeredReport",
    "WeeklyOpening",
    "WindowColumn",
]
