"""Read back all polls, wherever they are stored."""

from datetime import UTC, datetime

import pandas as pd

from storemon_pipeline.storage.poll_store import PollReader

_SPAN = datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
_ALL_STORES = pd.Series(["", "\U0010ffff"])


def all_polls(polls: PollReader) -> list[tuple[str, datetime, str]]:
    """Return store, instant and status of every poll, sorted; the later row of a key counts."""
    table = polls.read(_ALL_STORES, *_SPAN)
    keys = zip(table["store_id"], table["timestamp_utc"].dt.to_pydatetime(), strict=True)
    latest = dict(zip(keys, table["status"], strict=True))
    return sorted((store, at, status) for (store, at), status in latest.items())
