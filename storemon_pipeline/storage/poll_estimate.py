"""Estimate the number of polls per store in a span, to bound batches by polls."""

from __future__ import annotations

from datetime import datetime

import pandas as pd
from sqlalchemy import Select, func, literal, or_, select, true, union_all

from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.schema import UtcDateTime, polled_store, store_status

_SAMPLES, _SAMPLED_SHARE = 2, 16
"""Number of sampled intervals, and the ratio of the whole span to the sampled time."""
Samples = list[tuple[datetime, datetime]]


def estimate_polls(
    database: Database, store_ids: pd.Series, since: datetime, until: datetime
) -> pd.Series:
    """Estimate the number of polls of each store in ``[since, until]`` from samples.

    An exact count would take a tenth of the time of a report.

    Parameters
    ----------
    database : Database
    store_ids : Series of text
        Sorted.
    since, until : datetime

    Returns
    -------
    Series of int64, shape (stores,)
    """
    if store_ids.empty:
        return pd.Series(0, index=store_ids.index, dtype="int64")
    begin = pd.Timestamp(since).to_pydatetime()
    interval = (pd.Timestamp(until).to_pydatetime() - begin) / _SAMPLES
    # at the end of each interval, so that the newest polls are included
    ends = [begin + number * interval for number in range(1, _SAMPLES + 1)]
    samples = [(end - interval / _SAMPLED_SHARE, end) for end in ends]
    with database.read() as connection:
        query = (_count_by_store if database.is_sqlite else _count_by_time)(samples)
        store_id, _ = query.selected_columns
        within = store_id.between(store_ids.iloc[0], store_ids.iloc[-1])
        rows = connection.execute(query.where(within)).all()
    counted = pd.DataFrame(rows, columns=["store_id", "polls"]).groupby("store_id")["polls"].sum()
    sampled = counted.reindex(store_ids, fill_value=0).to_numpy(dtype="int64")
    return pd.Series(sampled * _SAMPLED_SHARE, index=store_ids.index)


def _count_by_store(samples: Samples) -> Select[str, int]:
    """Count by a key lookup per store and sample, since SQLite has no index by time."""
    sample = union_all(
        *(
            select(
                literal(since, UtcDateTime).label("since"),
                literal(until, UtcDateTime).label("until"),
            )
            for since, until in samples
        )
    ).subquery()
    polls = store_status.c
    counted = (
        select(func.count())
        .where(
            polls.store_id == polled_store.c.store_id,
            polls.timestamp_utc >= sample.c.since,
            polls.timestamp_utc <= sample.c.until,
        )
        .scalar_subquery()
    )
    return select(polled_store.c.store_id, counted).join_from(polled_store, sample, true())


def _count_by_time(samples: Samples) -> Select[str, int]:
    """Count in one pass over the polls, which PostgreSQL parallelises."""
    polls = store_status.c
    sampled = or_(*(polls.timestamp_utc.between(since, until) for since, until in samples))
    return select(polls.store_id, func.count()).where(sampled).group_by(polls.store_id)
