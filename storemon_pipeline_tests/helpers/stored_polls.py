"""Read back all polls of a database, wherever they are stored."""

from datetime import UTC, datetime

import pandas as pd

from storemon_pipeline.storage.database import Database

_SPAN = datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
_ALL_STORES = pd.Series(["", "\U0010ffff"])


def all_polls(database: Database) -> list[tuple[str, datetime, str]]:
    """Return store, instant and status of every poll, sorted; the later row of a key counts."""
    table = database.polls.read(_ALL_STORES, *_SPAN)
    keys = zip(table["store_id"], table["timestamp_utc"].dt.to_pydatetime(), strict=True)
    polls = dict(zip(keys, table["status"], strict=True))
    return sorted((store, at, status) for (store, at), status in polls.items())
