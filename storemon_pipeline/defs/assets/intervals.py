"""Assets of the group `intervals`, computed in batches of stores."""

from collections.abc import Iterator

import dagster as dg
import pandas as pd

from storemon_pipeline.concurrency import prefetch
from storemon_pipeline.defs.io_managers import LazyTable, TableBatches
from storemon_pipeline.defs.resources import StoremonResource
from storemon_pipeline.defs.run_table import run_table
from storemon_pipeline.evaluation.poll_lookback import PREFETCH_DEPTH, read_polls_with_lookback
from storemon_pipeline.evaluation.store_states import read_current_status
from storemon_pipeline.uptime import opening_hours as hours
from storemon_pipeline.uptime import status_intervals as status
from storemon_pipeline.uptime.batches import batch_stores
from storemon_pipeline.uptime.messages import pluralize
from storemon_pipeline.uptime.opening_hours import OpeningHours
from storemon_pipeline.uptime.report_request import ReportRequest

_GROUP = "intervals"


@run_table(
    group_name=_GROUP,
    kinds={"pandas", "parquet"},
    schema={"store_id": "text", "open_utc": "timestamp", "close_utc": "timestamp: exclusive"},
    description=(
        "Opening windows of each store within the report's windows, in UTC: opening hours placed "
        "on dates in the store's time zone, overlaps merged (rule 3)."
    ),
)
def open_hours(
    context: dg.AssetExecutionContext,
    report_request: ReportRequest,
    polled_stores: LazyTable,
    weekly_hours: LazyTable,
    special_dates: LazyTable,
) -> TableBatches:
    """Place the opening hours on dates."""
    start, end = map(pd.Timestamp, report_request.span)

    def batches() -> Iterator[pd.DataFrame]:
        for stores in batch_stores(polled_stores.all(), report_request.span):
            opening_hours = OpeningHours(
                weekly_hours.of_stores(stores), special_dates.of_stores(stores)
            )
            yield hours.open_hours(stores, opening_hours, start, end, report_request.rules)
            context.log.info("Open hours of %s", describe_stores(stores))

    return TableBatches(batches())


@run_table(
    deps=["store_status"],
    group_name=_GROUP,
    kinds={"sqlalchemy", "pandas", "parquet"},
    schema={
        "store_id": "text",
        "start_utc": "timestamp",
        "end_utc": "timestamp: exclusive",
        "status": "text: active or inactive",
    },
    description=(
        "Status of each store over time, interpolated from its polls (rules 4 to 7). Not limited "
        "to opening hours; time that no interval covers is unobserved."
    ),
)
def status_intervals(
    context: dg.AssetExecutionContext,
    storemon: StoremonResource,
    report_request: ReportRequest,
    polled_stores: LazyTable,
    weekly_hours: LazyTable,
    special_dates: LazyTable,
    open_hours: LazyTable,
) -> TableBatches:
    """Compute the interval that each poll's status covers."""
    start, as_of = map(pd.Timestamp, report_request.span)
    rules = report_request.rules

    def read(stores: pd.DataFrame) -> tuple[pd.DataFrame, OpeningHours, pd.DataFrame]:
        opening_hours = OpeningHours(
            weekly_hours.of_stores(stores), special_dates.of_stores(stores)
        )
        polls = read_polls_with_lookback(
            storemon.database.polls, stores, opening_hours, start, as_of, rules
        )
        return stores, opening_hours, polls

    def batches() -> Iterator[pd.DataFrame]:
        parts = batch_stores(polled_stores.all(), report_request.span)
        with prefetch(read, parts, PREFETCH_DEPTH) as inputs:
            for stores, opening_hours, polls in inputs:
                open_time = open_hours.of_stores(stores)
                yield status.status_intervals(
                    stores, polls, open_time, opening_hours, start, as_of, rules
                )
                context.log.info(
                    "Status intervals of %s from %s",
                    describe_stores(stores),
                    pluralize(len(polls), "poll"),
                )

    return TableBatches(batches())


@run_table(
    name="current_status",
    deps=["store_status"],
    group_name=_GROUP,
    kinds={"sqlalchemy", "pandas", "parquet"},
    schema={
        "store_id": "text",
        "status": "text: closed, up, down or no data",
        "poll_utc": "timestamp: the poll that determines the status",
    },
    description=(
        "Status of each store at as_of, polls at as_of included: closed, up, down, or no data if "
        "its newest poll is too old (rule 7)."
    ),
)
def current_status_asset(
    storemon: StoremonResource,
    report_request: ReportRequest,
    polled_stores: LazyTable,
    weekly_hours: LazyTable,
    special_dates: LazyTable,
) -> TableBatches:
    """Determine the status of each store at as_of."""
    as_of, rules = pd.Timestamp(report_request.as_of), report_request.rules
    no_data_after = storemon.settings.no_data_after

    def batches() -> Iterator[pd.DataFrame]:
        for stores in batch_stores(polled_stores.all(), report_request.span):
            opening_hours = OpeningHours(
                weekly_hours.of_stores(stores), special_dates.of_stores(stores)
            )
            yield read_current_status(
                storemon.database.polls, stores, opening_hours, as_of, rules, no_data_after
            )

    return TableBatches(batches())


def describe_stores(stores: pd.DataFrame) -> str:
    """Describe a batch of stores for the log."""
    if stores.empty:
        return "no stores"
    ids = stores["store_id"]
    return f"{pluralize(len(stores), 'store')}, {ids.iloc[0]} to {ids.iloc[-1]}"
