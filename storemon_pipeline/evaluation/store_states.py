"""Current status and state of stores, from as few polls as needed."""

from __future__ import annotations

from datetime import datetime, timedelta

import pandas as pd

from storemon_pipeline.evaluation.expanding_lookback import expanding_lookback
from storemon_pipeline.evaluation.poll_lookback import (
    MICROSECOND,
    read_polls_with_lookback,
    with_estimated_polls,
)
from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.poll_store import PollReader
from storemon_pipeline.storage.polled_stores import read_polled_stores
from storemon_pipeline.storage.reference_data import (
    read_business_hours,
    read_special_hours,
    read_timezones,
)
from storemon_pipeline.uptime.batches import batch_stores
from storemon_pipeline.uptime.current_status import current_status, max_poll_age
from storemon_pipeline.uptime.evaluate import evaluate_intervals
from storemon_pipeline.uptime.opening_hours import OpeningHours
from storemon_pipeline.uptime.outage_alerts import needs_longer_lookback, store_states
from storemon_pipeline.uptime.rules import UptimeRules
from storemon_pipeline.uptime.time_zones import resolve_timezones

LOOKBACK = pd.Timedelta(days=1)
_RULES = UptimeRules()


def read_current_status(
    poll_store: PollReader,
    stores: pd.DataFrame,
    hours: OpeningHours,
    as_of: pd.Timestamp,
    rules: UptimeRules,
    no_data_after: timedelta,
) -> pd.DataFrame:
    """Determine the current status of stores (rule 7), reading only recent polls.

    Parameters and result are those of
    :func:`~storemon_pipeline.uptime.current_status.current_status`, without the polls.
    """
    since = as_of - max_poll_age(rules, no_data_after)
    polls = poll_store.read(stores["store_id"], since, as_of)
    return current_status(stores, polls, hours, as_of, rules, no_data_after)


def read_store_states(
    database: Database,
    as_of: datetime,
    latest_alerts: pd.DataFrame,
    evaluated_until: datetime | None,
    no_data_after: timedelta,
) -> pd.DataFrame:
    """Determine the states of all stores at ``as_of``, by the default rules.

    The last day is enough for nearly all stores. For stores that have been down for longer without
    an alert, longer spans are read, each four times as long as the previous one.

    Parameters
    ----------
    database : Database
    as_of : datetime
        Time of the newest poll, inclusive.
    latest_alerts, evaluated_until
        As for :func:`~storemon_pipeline.uptime.outage_alerts.new_alerts`.
    no_data_after : timedelta
        As for :func:`read_current_status`.

    Returns
    -------
    DataFrame
        Result of :func:`~storemon_pipeline.uptime.outage_alerts.store_states`, unordered.
    """
    with database.read() as connection:
        stores = read_polled_stores(database.polls, connection, as_of)
        zones = read_timezones(connection)
        hours = OpeningHours(read_business_hours(connection), read_special_hours(connection))
    names = stores.merge(zones, on="store_id", how="left")["timezone_str"]
    stores["timezone"] = resolve_timezones(names)

    at = pd.Timestamp(as_of)
    end = at + MICROSECOND
    decided: list[pd.DataFrame] = []

    def evaluate_span(stores: pd.DataFrame, length: pd.Timedelta) -> pd.DataFrame:
        # no further back than the first poll
        start = max(end - length, stores["first_poll_utc"].min())
        undecided = []
        stores = with_estimated_polls(database.polls, stores, start, end)
        for batch in batch_stores(stores, (start, end)):
            current = read_current_status(database.polls, batch, hours, at, _RULES, no_data_after)
            polls = (
                read_polls_with_lookback(database.polls, batch, hours, start, end, _RULES)
                if length == LOOKBACK
                # few stores, each with its own range; a longer range includes carried polls
                else database.polls.read_ranges(batch.assign(since=start, until=end))
            )
            time = evaluate_intervals(batch, hours, polls, (start, end), _RULES).observed()
            states = store_states(batch, time, current)
            more = needs_longer_lookback(states, latest_alerts, start, evaluated_until)
            decided.append(states[~more])
            undecided.append(batch[more])
        return pd.concat(undecided, ignore_index=True)

    expanding_lookback(stores, LOOKBACK, evaluate_span)
    return pd.concat(decided, ignore_index=True)
