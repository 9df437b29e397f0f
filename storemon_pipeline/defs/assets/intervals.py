"""The assets in between: open_hours, status_intervals and current_status, by slices of stores."""

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
    schema={"store_id": "text", "open_utc": "timestamp", "close_utc": "timestamp: not included"},
    description=(
        "When each store is open within the span of the windows, in UTC: its opening "
        "hours placed on real dates by its own clock, overlaps merged (rule 3)."
    ),
)
def open_hours(
    context: dg.AssetExecutionContext,
    report_request: ReportRequest,
    polled_stores: LazyTable,
    weekly_hours: LazyTable,
    special_dates: LazyTable,
) -> TableBatches:
    """Place the opening hours on real dates."""
    start, end = map(pd.Timestamp, report_request.span)

    def slices() -> Iterator[pd.DataFrame]:
        for stores in batch_stores(polled_stores.all(), report_request.span):
            written = OpeningHours(weekly_hours.of_stores(stores), special_dates.of_stores(stores))
            yield hours.open_hours(stores, written, start, end, report_request.rules)
            context.log.info("Open hours of %s", describe_stores(stores))

    return TableBatches(slices())


@run_table(
    deps=["store_status"],
    group_name=_GROUP,
    kinds={"sqlalchemy", "pandas", "parquet"},
    schema={
        "store_id": "text",
        "start_utc": "timestamp",
        "end_utc": "timestamp: not included",
        "status": "text: active or inactive",
    },
    description=(
        "Which status each store has when, by its polls and the rules of interpolation (rules 4 "
        "to 7). Not cut to opening hours; what no interval covers is unobserved."
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
    """Say for which stretch of time each poll speaks."""
    start, as_of = map(pd.Timestamp, report_request.span)
    rules = report_request.rules

    def read(stores: pd.DataFrame) -> tuple[pd.DataFrame, OpeningHours, pd.DataFrame]:
        written = OpeningHours(weekly_hours.of_stores(stores), special_dates.of_stores(stores))
        polls = read_polls_with_lookback(storemon.database, stores, written, start, as_of, rules)
        return stores, written, polls

    def slices() -> Iterator[pd.DataFrame]:
        parts = batch_stores(polled_stores.all(), report_request.span)
        with prefetch(read, parts, PREFETCH_DEPTH) as batches:
            for stores, written, polls in batches:
                opened = open_hours.of_stores(stores)
                yield status.status_intervals(stores, polls, opened, written, start, as_of, rules)
                context.log.info(
                    "Status intervals of %s from %s",
                    describe_stores(stores),
                    pluralize(len(polls), "poll"),
                )

    return TableBatches(slices())


@run_table(
    name="current_status",
    deps=["store_status"],
    group_name=_GROUP,
    kinds={"sqlalchemy", "pandas", "parquet"},
    schema={
        "store_id": "text",
        "status": "text: closed, up, down or no data",
        "poll_utc": "timestamp: the poll that says so",
    },
    description=(
        "How each store is at as_of itself, by a poll that may be at as_of too: closed, up, down, "
        "or no data where its newest poll is too old to say (rule 7)."
    ),
)
def current_status_asset(
    storemon: StoremonResource,
    report_request: ReportRequest,
    polled_stores: LazyTable,
    weekly_hours: LazyTable,
    special_dates: LazyTable,
) -> TableBatches:
    """Say how each store is now."""
    as_of, rules = pd.Timestamp(report_request.as_of), report_request.rules
    no_data_after = storemon.settings.no_data_after

    def slices() -> Iterator[pd.DataFrame]:
        for stores in batch_stores(polled_stores.all(), report_request.span):
            written = OpeningHours(weekly_hours.of_stores(stores), special_dates.of_stores(stores))
            yield read_current_status(
                storemon.database, stores, written, as_of, rules, no_data_after
            )

    return TableBatches(slices())


def describe_stores(stores: pd.DataFrame) -> str:
    """A slice of stores in words."""
    if stores.empty:
        return "no stores"
    ids = stores["store_id"]
    return f"{pluralize(len(stores), 'store')}, {ids.iloc[0]} to {ids.iloc[-1]}"
