"""Decide what retention drops: data before a cutoff, and reports and runs no longer needed."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta

from storemon_pipeline.storage.retention import ReportAges


def retention_cutoff(now: datetime, days: int | None) -> datetime | None:
    """Return the instant before which data is dropped; None for never.

    Examples
    --------
    >>> from datetime import UTC
    >>> retention_cutoff(datetime(2024, 3, 1, tzinfo=UTC), 1)
    datetime.datetime(2024, 2, 29, 0, 0, tzinfo=datetime.timezone.utc)
    """
    return None if days is None else now - timedelta(days=days)


def reports_to_drop(
    ages: ReportAges,
    *,
    ended: AbstractSet[str],
    in_progress: AbstractSet[str],
    needed: AbstractSet[str],
) -> list[str]:
    """Decide which reports, and runs without a report, to drop.

    A report whose process was killed may stay unfinished; it is dropped once its run is old
    and, according to Dagster, has ended.

    Parameters
    ----------
    ages : ReportAges
    ended : set of str
        Ids of runs that ended before the cutoff.
    in_progress : set of str
        Ids of runs that have not ended.
    needed : set of str
        Ids of runs whose files other runs still read.

    Returns
    -------
    list of str
        Ids, sorted.

    Examples
    --------
    >>> ages = ReportAges(frozenset({"old", "newest"}), frozenset({"new"}), frozenset({"killed"}))
    >>> reports_to_drop(ages, ended={"killed"}, in_progress=set(), needed={"newest"})
    ['killed', 'old']
    """
    running = (ages.unfinished - ended) | in_progress
    return sorted((ages.old | ended) - ages.recent - running - needed)
