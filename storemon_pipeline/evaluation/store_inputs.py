"""Read the inputs for the evaluation of one store: its opening hours and polls."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from storemon_pipeline.evaluation.poll_lookback import read_polls_with_lookback
from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.polls import read_polled_stores
from storemon_pipeline.storage.reference_data import read_opening_hours
from storemon_pipeline.storage.stores import StoreDetails
from storemon_pipeline.uptime.opening_hours import OpeningHours
from storemon_pipeline.uptime.rules import UptimeRules


@dataclass(frozen=True, slots=True)
class StoreInputs:
    """Input tables for the intervals of a store.

    Attributes
    ----------
    stores, hours, polls
        As for :func:`~storemon_pipeline.uptime.status_intervals.status_intervals`.
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
        stores = read_polled_stores(connection, end, (store.store_id,))
        hours = read_opening_hours(connection, store.store_id)
    stores = stores.assign(timezone=store.timezone)
    polls = read_polls_with_lookback(database, stores, hours, start, end, rules)
    return StoreInputs(stores, hours, polls)
