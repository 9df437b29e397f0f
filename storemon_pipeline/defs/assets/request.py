"""Assets of the group `request`: the resolved request, its stores and their opening hours.

``report_request`` is the only asset with run config. The others read the tables once at the start
of the run, so that all later assets use the same state of them.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal

import dagster as dg
import pandas as pd
from pydantic import Field

from storemon_pipeline.defs.failures import ReportError, as_dagster_failure
from storemon_pipeline.defs.metadata import OWNERS
from storemon_pipeline.defs.report_lifecycle import mark_report_started
from storemon_pipeline.defs.resources import StoremonResource
from storemon_pipeline.defs.run_table import run_table
from storemon_pipeline.evaluation.poll_lookback import with_estimated_polls
from storemon_pipeline.storage.polled_stores import (
    filter_unknown_stores,
    newest_poll,
    oldest_poll,
    read_polled_stores,
)
from storemon_pipeline.storage.reference_data import (
    read_business_hours,
    read_service_levels,
    read_special_hours,
    read_timezones,
)
from storemon_pipeline.storage.run_tables import LazyTable
from storemon_pipeline.uptime.messages import pluralize, summarize_ids
from storemon_pipeline.uptime.report_request import (
    DEFAULT_WINDOWS,
    ReportRequest,
    ReportSpec,
    check_times,
    resolve_spec,
)
from storemon_pipeline.uptime.rules import UptimeRules
from storemon_pipeline.uptime.time_zones import canonical_timezones, resolve_timezones
from storemon_pipeline.uptime.windows import Window

_RULE_FIELDS = UptimeRules.model_fields
_SPEC_FIELDS = ReportSpec.model_fields
_GROUP = "request"


# Dagster uses an enum's names as its values, so both are the same here
WindowName = StrEnum("WindowName", {window.value: window.value for window in Window})  # type: ignore[misc]
# as text: Dagster does not accept a list of enum members as a default
_DEFAULT_WINDOWS: Any = [window.value for window in DEFAULT_WINDOWS]


class RulesConfig(dg.Config):
    """Rules of the report; each has a default.

    Literals because Dagster uses an enum's names as its values; a test keeps them in step with
    :class:`UptimeRules`.
    """

    interpolation: Literal["previous", "nearest"] = Field(
        default="previous", description=_RULE_FIELDS["interpolation"].description
    )
    closed_polls: Literal["ignore", "use"] = Field(
        default="ignore", description=_RULE_FIELDS["closed_polls"].description
    )
    missing_day: Literal["open", "closed"] = Field(
        default="open", description=_RULE_FIELDS["missing_day"].description
    )
    day_end: Literal["midnight", "literal"] = Field(
        default="midnight", description=_RULE_FIELDS["day_end"].description
    )
    max_carry_hours: float | None = Field(
        default=None, description=_RULE_FIELDS["max_carry_hours"].description
    )
    before_first_poll: Literal["backfill", "unobserved"] = Field(
        default="backfill", description=_RULE_FIELDS["before_first_poll"].description
    )


class ReportRequestConfig(dg.Config):
    """Parameters of a report, all optional; null means the default."""

    as_of: str | None = Field(default="latest", description=_SPEC_FIELDS["as_of"].description)
    windows: list[WindowName] | None = Field(
        default=_DEFAULT_WINDOWS,
        description=_SPEC_FIELDS["windows"].description,
    )
    start: str | None = Field(default=None, description=_SPEC_FIELDS["start"].description)
    end: str | None = Field(default=None, description=_SPEC_FIELDS["end"].description)
    # Any, so that our own validation can reject a number and suggest quotes
    store_ids: list[Any] | None = Field(
        default=None, description=_SPEC_FIELDS["store_ids"].description
    )
    rules: RulesConfig = Field(default=RulesConfig(), description=_SPEC_FIELDS["rules"].description)


@dg.asset(
    deps=["store_status"],
    group_name=_GROUP,
    kinds={"sqlalchemy"},
    owners=OWNERS,
    io_manager_key="request_io",
    description=(
        "The resolved parameters of this run's report: as_of, windows, stores and rules. The only "
        "asset with run config."
    ),
)
def report_request(
    context: dg.AssetExecutionContext, config: ReportRequestConfig, storemon: StoremonResource
) -> ReportRequest:
    """Validate and resolve the request."""
    now = datetime.now(UTC)
    with as_dagster_failure():
        mark_report_started(storemon, context.run, None)
        # warnings=False: the default windows are text instead of enum members
        spec = ReportSpec.model_validate(config.model_dump(exclude_none=True, warnings=False))
        check_times(spec, now)
        with storemon.database.read() as connection:
            newest = newest_poll(storemon.database.polls, connection, now)
            oldest = oldest_poll(connection)
            unknown = filter_unknown_stores(connection, spec.store_ids or ())
        if newest is None or oldest is None:
            msg = "store_status has no polls yet: run ingest_job first"
            raise ReportError(msg)
        if unknown:
            msg = f"never polled: {summarize_ids(unknown)}. Check store_ids against store_status"
            raise ReportError(msg)
        request = resolve_spec(spec, newest_poll=newest, now=now)
        mark_report_started(storemon, context.run, request)
    if request.as_of < oldest:
        context.log.warning(
            "as_of %s is before the oldest poll, %s: the report will be empty",
            request.as_of,
            oldest,
        )
    stores = (
        "all stores" if request.store_ids is None else pluralize(len(request.store_ids), "store")
    )
    context.log.info(
        "Report as of %s, for %s, windows: %s",
        request.as_of.isoformat(),
        stores,
        ", ".join(request.windows),
    )
    context.add_output_metadata(
        {
            "as_of": dg.MetadataValue.timestamp(request.as_of),
            "windows": ", ".join(request.windows),
            "stores": stores,
            "request": dg.MetadataValue.json(request.model_dump(mode="json")),
            "newest_poll": dg.MetadataValue.timestamp(newest),
        }
    )
    return request


@run_table(
    name="polled_stores",
    deps=["store_status", "store_timezones", "service_levels"],
    group_name=_GROUP,
    kinds={"sqlalchemy", "pandas", "parquet"},
    schema={
        "store_id": "text",
        "first_poll_utc": "timestamp: the oldest poll",
        "last_poll_utc": "timestamp: the newest poll at or before as_of",
        "timezone": "text: the IANA time zone that is used",
        "timezone_str": "text: the value in the file, if any",
        "target_pct": "float: SLO target, % of observed open time",
        "polls": "int: estimated number of polls to read",
    },
    description=(
        "Stores that were polled at or before as_of, with their last poll, time zone and SLO "
        "target. Each has a row in the report."
    ),
)
@as_dagster_failure()
def polled_stores(
    context: dg.AssetExecutionContext, storemon: StoremonResource, report_request: ReportRequest
) -> pd.DataFrame:
    """Read the stores of the report."""
    polls = storemon.database.polls
    with storemon.database.read() as connection:
        stores = read_polled_stores(
            polls, connection, report_request.as_of, report_request.store_ids
        )
        zones, targets = read_timezones(connection), read_service_levels(connection)
    stores = stores.merge(zones, on="store_id", how="left")
    stores["timezone"] = resolve_timezones(stores["timezone_str"])
    stores = stores.merge(targets, on="store_id", how="left")
    stores["target_pct"] = stores["target_pct"].fillna(storemon.settings.target_pct)
    stores = with_estimated_polls(polls, stores, *report_request.span)
    unknown = canonical_timezones(stores["timezone_str"]).isna()
    context.log.info(
        "%s polled at or before as_of; %s without a valid time zone",
        pluralize(len(stores), "store"),
        f"{unknown.sum():,}",
    )
    return stores


@run_table(
    deps=["business_hours"],
    group_name=_GROUP,
    kinds={"sqlalchemy", "pandas", "parquet"},
    schema={
        "store_id": "text",
        "day_of_week": "int: 0 = Monday",
        "start_time_local": "duration: since midnight",
        "end_time_local": "duration: since midnight, up to 24 hours",
    },
    description="Weekly opening hours of the report's stores at the start of the run.",
)
@as_dagster_failure()
def weekly_hours(
    context: dg.AssetExecutionContext, storemon: StoremonResource, polled_stores: LazyTable
) -> pd.DataFrame:
    """Read the opening hours of the report's stores."""
    stores = polled_stores.all()[["store_id"]]
    with storemon.database.read() as connection:
        hours = read_business_hours(connection)
    hours = hours.merge(stores, on="store_id")
    context.log.info(
        "%s of %s; %s without any, always open",
        pluralize(len(hours), "row"),
        pluralize(hours["store_id"].nunique(), "store"),
        f"{len(stores) - hours['store_id'].nunique():,}",
    )
    return hours


@run_table(
    deps=["special_hours"],
    group_name=_GROUP,
    kinds={"sqlalchemy", "pandas", "parquet"},
    schema={
        "store_id": "text",
        "date": "date: local",
        "start_time_local": "duration: since midnight; null if closed",
        "end_time_local": "duration: since midnight, up to 24 hours; null if closed",
    },
    description=(
        "Opening hours of single dates of the report's stores at the start of the run; they "
        "replace those of the weekday."
    ),
)
@as_dagster_failure()
def special_dates(
    context: dg.AssetExecutionContext, storemon: StoremonResource, polled_stores: LazyTable
) -> pd.DataFrame:
    """Read the special hours of the report's stores."""
    stores = polled_stores.all()[["store_id"]]
    with storemon.database.read() as connection:
        special = read_special_hours(connection).merge(stores, on="store_id")
    context.log.info(
        "%s of special hours of %s",
        pluralize(len(special), "row"),
        pluralize(special["store_id"].nunique(), "store"),
    )
    return special
