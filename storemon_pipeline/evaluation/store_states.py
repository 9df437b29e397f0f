"""Current status and state of stores, from as few polls as needed."""

from __future__ import annotations

from datetime import datetime, timedelta

import pandas as pd
from sqlalchemy import Connection

from storemon_pipeline.evaluation.expanding_lookback import expanding_lookback
from storemon_pipeline.evaluation.poll_lookback import (
    MICROSECOND,
    SelectedStores,
    read_polls_with_lookback,
    with_assumed_polls,
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
from storemon_pipeline.uptime.kept_states import POLL_COLUMNS, keep_states
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


def read_stores(database: Database, connection: Connection, as_of: datetime) -> pd.DataFrame:
    """Return the stores polled at or before an instant, with their time zones.

    Returns
    -------
    DataFrame
        Result of :func:`~storemon_pipeline.storage.polled_stores.read_polled_stores`, and
        ``timezone`` (a known IANA name).
    """
    stores = read_polled_stores(database.polls, connection, as_of)
    names = stores[["store_id"]].merge(read_timezones(connection), on="store_id", how="left")
    return stores.assign(timezone=resolve_timezones(names["timezone_str"]))


def read_hours(connection: Connection) -> OpeningHours:
    """Return the opening hours of all stores."""
    return OpeningHours(read_business_hours(connection), read_special_hours(connection))


def read_states_of(
    database: Database,
    stores: pd.DataFrame,
    hours: OpeningHours,
    as_of: datetime,
    latest_alerts: pd.DataFrame,
    evaluated_until: datetime | None,
    no_data_after: timedelta,
    *,
    store_by_store: bool = False,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Determine the states of stores at ``as_of`` from their polls, by the default rules.

    The last day is enough for nearly all stores. For stores that have been down for longer without
    an alert, longer spans are read, each four times as long as the previous one.

    Parameters
    ----------
    database : Database
    stores : DataFrame
        Rows of :func:`read_stores`, not none.
    hours : OpeningHours
        Of these stores; others are ignored.
    as_of : datetime
        Time of the newest poll, inclusive.
    latest_alerts, evaluated_until
        As for :func:`~storemon_pipeline.uptime.outage_alerts.new_alerts`.
    no_data_after : timedelta
        As for :func:`read_current_status`.
    store_by_store : bool
        Whether to read the polls of these stores only, not those of all stores in between: cheaper
        for few stores.

    Returns
    -------
    states : DataFrame
        Result of :func:`~storemon_pipeline.uptime.outage_alerts.store_states`, unordered.
    kept : DataFrame
        Kept states (:mod:`storemon_pipeline.uptime.kept_states`) and ``store_id``, unordered.
    """
    at = pd.Timestamp(as_of)
    end = at + MICROSECOND
    selected = SelectedStores(database.polls)
    decided: list[pd.DataFrame] = []
    kept: list[pd.DataFrame] = []

    def evaluate_span(stores: pd.DataFrame, length: pd.Timedelta) -> pd.DataFrame:
        # no further back than the first poll
        start = max(end - length, stores["first_poll_utc"].min())
        undecided = []
        is_first = length == LOOKBACK
        reader: PollReader = selected if store_by_store or not is_first else database.polls
        stores = (
            with_assumed_polls(stores, start, end)
            if reader is selected
            else with_estimated_polls(database.polls, stores, start, end)
        )
        for batch in batch_stores(stores, (start, end)):
            polls = (
                read_polls_with_lookback(reader, batch, hours, start, end, _RULES)
                if is_first
                # few stores, each with its own range; a longer range includes carried polls
                else reader.read_ranges(batch.assign(since=start, until=end))
            )
            current = (
                current_status(batch, polls, hours, at, _RULES, no_data_after)
                # among these polls is the newest counted one of each store
                if is_first
                else read_current_status(reader, batch, hours, at, _RULES, no_data_after)
            )
            time = evaluate_intervals(batch, hours, polls, (start, end), _RULES).observed()
            states = store_states(batch, time, current)
            more = needs_longer_lookback(states, latest_alerts, start, evaluated_until)
            decided.append(states[~more])
            undecided.append(batch[more])
            kept.append(
                keep_states(states, polls, hours, start, at).assign(store_id=states["store_id"])
            )
        return pd.concat(undecided, ignore_index=True)

    expanding_lookback(stores, LOOKBACK, evaluate_span)
    return pd.concat(decided, ignore_index=True), _last_spans(pd.concat(kept, ignore_index=True))


def _last_spans(kept: pd.DataFrame) -> pd.DataFrame:
    """Return the kept state of each store over its last, longest span."""
    last = kept.drop_duplicates("store_id", keep="last", ignore_index=True)
    if len(last) < len(kept):
        # only the first span was read with the newest counted poll before it
        first = kept.drop_duplicates("store_id", keep="first").set_index("store_id")
        last[list(POLL_COLUMNS)] = first.loc[last["store_id"], list(POLL_COLUMNS)].to_numpy()
    return last
