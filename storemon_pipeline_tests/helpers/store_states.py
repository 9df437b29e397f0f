"""The states of all stores from all of their polls, to compare kept states with."""

from datetime import datetime, timedelta

import pandas as pd

from storemon_pipeline.evaluation.store_states import read_hours, read_states_of, read_stores
from storemon_pipeline.storage.database import Database


def read_store_states(
    database: Database,
    as_of: datetime,
    latest_alerts: pd.DataFrame,
    evaluated_until: datetime | None,
    no_data_after: timedelta,
) -> pd.DataFrame:
    """Evaluate all stores from their polls; parameters as for ``evaluate_states``."""
    with database.read() as connection:
        stores = read_stores(database, connection, as_of)
        hours = read_hours(connection)
    states, _ = read_states_of(
        database, stores, hours, as_of, latest_alerts, evaluated_until, no_data_after
    )
    return states
