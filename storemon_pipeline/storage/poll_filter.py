"""Which polls are read: files and row groups by their bounds, then rows.

Arrow's datasets do not use the statistics of columns that are read as dictionaries, and compare
each row's text. Here each distinct store is compared once.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from storemon_pipeline.uptime.interval_arithmetic import Bool

EARLIEST = datetime.min.replace(tzinfo=UTC)
LATEST = datetime.max.replace(tzinfo=UTC)


class PollBounds(Protocol):
    """The first and last store, and the span of time, of a file or a row group."""

    @property
    def first_store(self) -> str: ...  # noqa: D102
    @property
    def last_store(self) -> str: ...  # noqa: D102
    @property
    def first_poll_utc(self) -> datetime: ...  # noqa: D102
    @property
    def last_poll_utc(self) -> datetime: ...  # noqa: D102


class RowGroup(NamedTuple):
    """The number of rows of a row group, its first and last store, and its span of time."""

    rows: int
    first_store: str
    last_store: str
    first_poll_utc: datetime
    last_poll_utc: datetime


@dataclass(frozen=True, slots=True)
class PollFilter:
    """A range of stores and time.

    Attributes
    ----------
    first_store : str
        Included.
    last_store : str or None
        Included; None: without end.
    before_store : str or None
        Excluded; None: without end.
    store_ids : tuple of str or None
        Only these stores, sorted; None: all.
    since, until : datetime
        UTC, both included.
    """

    first_store: str = ""
    last_store: str | None = None
    before_store: str | None = None
    store_ids: tuple[str, ...] | None = None
    since: datetime = EARLIEST
    until: datetime = LATEST

    def overlaps(self, bounds: PollBounds) -> bool:
        """Return whether a file or a row group may have matching rows."""
        return (
            bounds.last_store >= self.first_store
            and (self.last_store is None or bounds.first_store <= self.last_store)
            and (self.before_store is None or bounds.first_store < self.before_store)
            and bounds.last_poll_utc >= self.since
            and bounds.first_poll_utc <= self.until
            and self._has_store_between(bounds.first_store, bounds.last_store)
        )

    def _has_store_between(self, first: str, last: str) -> bool:
        if self.store_ids is None:
            return True
        position = bisect_left(self.store_ids, first)
        return position < len(self.store_ids) and self.store_ids[position] <= last

    def mask(self, rows: pa.Table) -> Bool:
        """Return which rows match.

        Parameters
        ----------
        rows : Table
            ``store_id`` (dictionary of text, the same in all chunks), ``timestamp_utc``.
        """
        at = rows["timestamp_utc"]
        matches = np.ones(len(rows), dtype=bool)
        if self.since != EARLIEST:
            matches &= pc.greater_equal(at, pa.scalar(self.since, at.type)).to_numpy()
        if self.until != LATEST:
            matches &= pc.less_equal(at, pa.scalar(self.until, at.type)).to_numpy()
        stores = rows["store_id"]
        if stores.num_chunks:
            names = stores.chunk(0).dictionary
            codes = np.concatenate([chunk.indices.to_numpy() for chunk in stores.chunks])
            matches &= self._match_names(names)[codes]
        return matches

    def _match_names(self, names: pa.Array) -> Bool:
        matches = pc.greater_equal(names, self.first_store)
        if self.last_store is not None:
            matches = pc.and_(matches, pc.less_equal(names, self.last_store))
        if self.before_store is not None:
            matches = pc.and_(matches, pc.less(names, self.before_store))
        if self.store_ids is not None:
            wanted = pa.array(self.store_ids, pa.string())
            matches = pc.and_(matches, pc.is_in(names, value_set=wanted))
        array: Bool = matches.to_numpy(zero_copy_only=False)
        return array


EVERYTHING = PollFilter()
