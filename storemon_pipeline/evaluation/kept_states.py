"""States of all stores from those of the last evaluation and newer polls.

Reading a day of polls takes most of the time of an evaluation. Therefore the states are stored and
brought forward by newer polls. A store is evaluated from its polls only if its stored state is
invalid.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np
import pandas as pd
from sqlalchemy import Connection

from storemon_pipeline.evaluation.poll_lookback import MICROSECOND
from storemon_pipeline.evaluation.store_states import read_hours, read_states_of, read_stores
from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.reference_data import read_hours_of
from storemon_pipeline.storage.store_revisions import EVERY_STORE, newest_revision, revised_stores
from storemon_pipeline.storage.store_states import (
    StateEvaluation,
    latest_state_evaluation,
    read_states,
)
from storemon_pipeline.uptime.conversions import store_codes, to_timestamps
from storemon_pipeline.uptime.interval_arithmetic import Bool, Int
from storemon_pipeline.uptime.kept_states import (
    COLUMNS,
    bring_forward,
    needs_opening_hours,
    to_states,
)
from storemon_pipeline.uptime.opening_hours import OpeningHours
from storemon_pipeline.uptime.outage_alerts import needs_longer_lookback

_FEW = 0.1
"""Up to this share of all stores, reading store by store is cheaper than reading all stores."""


class EvaluatedStates(NamedTuple):
    """The states of all stores at an instant, and what to store for the next evaluation.

    Attributes
    ----------
    states : DataFrame
        Result of :func:`~storemon_pipeline.uptime.outage_alerts.store_states`, unordered.
    previous : StateEvaluation or None
        The latest stored evaluation.
    current : StateEvaluation
        This one.
    changed : DataFrame
        The kept states that differ from the stored ones: ``store_id`` and the columns of
        :mod:`storemon_pipeline.uptime.kept_states`.
    gone : list of str
        Stores with a stored state that have none now.
    """

    states: pd.DataFrame
    previous: StateEvaluation | None
    current: StateEvaluation
    changed: pd.DataFrame
    gone: list[str]


class _Inputs(NamedTuple):
    """What is read in one transaction, all but the polls.

    Attributes
    ----------
    previous : StateEvaluation or None
    revision : int
        The newest one.
    stores : DataFrame
        All stores, sorted.
    stored : DataFrame
        Their stored states.
    row : int64 array, shape (stores,)
        The row of each store in ``stored`` to bring forward; -1: evaluate it from its polls.
    hours : OpeningHours
        Of the stores to bring forward whose opening hours are needed.
    """

    previous: StateEvaluation | None
    revision: int
    stores: pd.DataFrame
    stored: pd.DataFrame
    row: Int
    hours: OpeningHours


def evaluate_states(
    database: Database,
    as_of: datetime,
    latest_alerts: pd.DataFrame,
    evaluated_until: datetime | None,
    no_data_after: timedelta,
) -> EvaluatedStates:
    """Determine the states of all stores at ``as_of``, by the default rules.

    The alerts that follow from them are those that follow from an evaluation of all polls
    (:func:`~storemon_pipeline.evaluation.store_states.read_states_of`, with the same parameters).
    """
    inputs = _read_inputs(database, as_of)
    is_kept = inputs.row >= 0
    stores = inputs.stores[is_kept].reset_index(drop=True)
    before = inputs.stored[list(COLUMNS)].take(inputs.row[is_kept]).reset_index(drop=True)
    kept, stale = _bring_forward(database, inputs, stores, before, as_of)
    states = to_states(kept, stores, as_of, no_data_after)
    start = to_timestamps(kept["known_from"].to_numpy())
    stale |= needs_longer_lookback(states, latest_alerts, start, evaluated_until)

    differs = ~stale & (kept != before).to_numpy().any(axis=1)
    all_states = [states[~stale]]
    all_changed = [kept[differs].assign(store_id=stores["store_id"][differs])]
    invalidated = inputs.stores[~is_kept | _scatter(stale, is_kept)].reset_index(drop=True)
    if len(invalidated):
        few = len(invalidated) <= _FEW * len(inputs.stores)
        with database.read() as connection:
            hours = _read_hours_of(connection, invalidated["store_id"], few=few)
        evaluated_states, evaluated_kept = read_states_of(
            database,
            invalidated,
            hours,
            as_of,
            latest_alerts,
            evaluated_until,
            no_data_after,
            store_by_store=few,
        )
        all_states.append(evaluated_states)
        all_changed.append(evaluated_kept)
    return EvaluatedStates(
        pd.concat(all_states, ignore_index=True),
        inputs.previous,
        StateEvaluation(as_of, inputs.revision),
        pd.concat(all_changed, ignore_index=True),
        _gone(inputs.stored["store_id"], inputs.stores["store_id"]),
    )


def _read_inputs(database: Database, as_of: datetime) -> _Inputs:
    with database.read() as connection:
        previous = latest_state_evaluation(connection)
        stored = read_states(connection)
        revision = newest_revision(connection)
        stores = read_stores(database, connection, as_of)
        row = np.full(len(stores), -1)
        if previous is not None and previous.as_of <= as_of:
            revised = revised_stores(connection, previous.revision)
            row = _rows_to_bring_forward(stores["store_id"], stored["store_id"], revised)
        changing = row >= 0
        changing[changing] = needs_opening_hours(stored, as_of)[row[changing]]
        few = int(np.count_nonzero(changing)) <= len(stores) / 2
        hours = _read_hours_of(connection, stores["store_id"][changing], few=few)
    return _Inputs(previous, revision, stores, stored, row, hours)


def _rows_to_bring_forward(stores: pd.Series, stored: pd.Series, revised: pd.Series) -> Int:
    if (revised == EVERY_STORE).any():
        return np.full(len(stores), -1)
    # the same stores as before, nearly always
    row = np.arange(len(stores)) if stores.equals(stored) else store_codes(stores, stored)
    if len(revised):
        row = np.where(stores.isin(revised), -1, row)
    return row


def _read_hours_of(connection: Connection, store_ids: pd.Series, *, few: bool) -> OpeningHours:
    return read_hours_of(connection, store_ids) if few else read_hours(connection)


def _bring_forward(
    database: Database,
    inputs: _Inputs,
    stores: pd.DataFrame,
    before: pd.DataFrame,
    as_of: datetime,
) -> tuple[pd.DataFrame, Bool]:
    """Return the kept states at ``as_of``, and which stores must be evaluated from their polls."""
    if inputs.previous is None or stores.empty or inputs.previous.as_of == as_of:
        return before, np.zeros(len(stores), dtype=bool)
    since = inputs.previous.as_of
    polls = database.polls.read(stores["store_id"], since + MICROSECOND, as_of)
    return bring_forward(before, stores, polls, inputs.hours, since, as_of)


def _scatter(which: Bool, among: Bool) -> Bool:
    """Return the mask over all stores for one over some of them."""
    mask = np.zeros(len(among), dtype=bool)
    mask[among] = which
    return mask


def _gone(stored: pd.Series, stores: pd.Series) -> list[str]:
    return [] if stored.equals(stores) else stored[~stored.isin(stores)].tolist()
