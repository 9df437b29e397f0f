"""The states of stores between evaluations (``store_state``, ``state_evaluation``).

All rows of ``store_state`` refer to the one evaluation in ``state_evaluation``. They are written in
the transaction that stores its alerts, so that states are never ahead of the alerts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import pandas as pd
import pyarrow as pa
from sqlalchemy import Connection, bindparam, delete, insert, select

from storemon_pipeline.storage import bulk_load
from storemon_pipeline.storage.bulk_read import fetch_table
from storemon_pipeline.storage.schema import state_evaluation, store_state

_FLAGS = {"is_down": bool, "is_open": bool}


@dataclass(frozen=True, slots=True)
class StateEvaluation:
    """An evaluation of all stores, from which the next one continues.

    Attributes
    ----------
    as_of : datetime
    revision : int
        The newest revision (:mod:`.store_revisions`) that it has seen.
    """

    as_of: datetime
    revision: int


def latest_state_evaluation(connection: Connection) -> StateEvaluation | None:
    """Return the evaluation that the stored states result from, or None."""
    query = select(state_evaluation.c.as_of, state_evaluation.c.revision)
    row = connection.execute(query).one_or_none()
    return None if row is None else StateEvaluation(*row)


def read_states(connection: Connection) -> pd.DataFrame:
    """Return the stored states.

    Returns
    -------
    DataFrame
        ``store_id`` (text) and the columns of :mod:`storemon_pipeline.uptime.kept_states`, sorted
        by ``store_id`` by code points.
    """
    states: pd.DataFrame = fetch_table(connection, store_state).to_pandas()
    return states.astype(_FLAGS)


def store_states(
    connection: Connection,
    previous: StateEvaluation | None,
    current: StateEvaluation,
    changed: pd.DataFrame,
    gone: list[str],
) -> bool:
    """Store the states of an evaluation, unless another one has been stored since it began.

    Parameters
    ----------
    connection : Connection
        Of :meth:`~storemon_pipeline.storage.database.Database.registry_transaction` with the lock
        "alerts": the transaction that stores the alerts of the evaluation.
    previous : StateEvaluation, optional
        The latest evaluation when this one began.
    current : StateEvaluation
    changed : DataFrame
        The states that differ from the stored ones, with the columns of :func:`read_states`.
    gone : list of str
        Stores without a state.

    Returns
    -------
    bool
        Whether they were stored. If not, the next evaluation continues from the other one.
    """
    if latest_state_evaluation(connection) != previous:
        return False
    connection.execute(delete(state_evaluation))
    connection.execute(
        insert(state_evaluation).values(as_of=current.as_of, revision=current.revision)
    )
    if gone:
        connection.execute(
            delete(store_state).where(store_state.c.store_id == bindparam("gone")),
            [{"gone": store_id} for store_id in gone],
        )
    if len(changed):
        schema = bulk_load.arrow_schema(store_state)
        numbers = changed.astype(dict.fromkeys(_FLAGS, "int16"))
        rows = pa.Table.from_pandas(numbers, schema, preserve_index=False)
        bulk_load.upsert_rows(connection, store_state, rows)
    return True
