"""Read the inputs of a single store, and evaluate it over any span."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import pandas as pd

from storemon_pipeline.evaluation.poll_lookback import read_polls_with_lookback
from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.polled_stores import read_polled_stores
from storemon_pipeline.storage.reference_data import read_opening_hours
from storemon_pipeline.storage.stores import StoreDetails
from storemon_pipeline.uptime.evaluate import StoreResults, evaluate_intervals, evaluate_slice
from storemon_pipeline.uptime.metrics import ObservedTime
from storemon_pipeline.uptime.opening_hours import OpeningHours
from storemon_pipeline.uptime.report_request import ReportRequest
from storemon_pipeline.uptime.rules import UptimeRules


@dataclass(frozen=True, slots=True)
class StoreInputs:
    """Input tables for the evaluation of a store.

    Attributes
    ----------
    stores, hours, polls
        As for :func:`~storemon_pipeline.uptime.evaluate.evaluate_intervals`.
    """

    stores: pd.DataFrame
    hours: OpeningHours
    polls: pd.DataFrame


def read_store_inputs(
    database: Database,
    store: StoreDetails,
    start: pd.Timestamp,
    end: pd.Timestamp,
    rules: UptimeRules,
) -> StoreInputs:
    """Read the inputs that determine a store's status within ``[start, end)``."""
    with database.read() as connection:
        stores = read_polled_stores(database.polls, connection, end, (store.store_id,))
        hours = read_opening_hours(connection, store.store_id)
    stores = stores.assign(timezone=store.timezone)
    polls = read_polls_with_lookback(database.polls, stores, hours, start, end, rules)
    return StoreInputs(stores, hours, polls)


def evaluate_store(
    database: Database,
    store: StoreDetails,
    request: ReportRequest,
    target_pct: float,
    no_data_after: timedelta,
) -> tuple[ObservedTime, StoreResults, OpeningHours]:
    """Compute the results of a store for a request; also return its opening hours."""
    start, end = map(pd.Timestamp, request.span)
    inputs = read_store_inputs(database, store, start, end, request.rules)
    stores = inputs.stores.assign(target_pct=target_pct)
    done = evaluate_slice(stores, inputs.hours, inputs.polls, request, no_data_after)
    return done.observed, done.results, inputs.hours


def read_store_intervals(
    database: Database,
    store: StoreDetails,
    start: pd.Timestamp,
    end: pd.Timestamp,
    rules: UptimeRules,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Compute the open and the status intervals of a store within ``[start, end)``, as tables."""
    inputs = read_store_inputs(database, store, start, end, rules)
    intervals = evaluate_intervals(inputs.stores, inputs.hours, inputs.polls, (start, end), rules)
    return intervals.open_hours(inputs.stores), intervals.status_intervals(inputs.stores)
