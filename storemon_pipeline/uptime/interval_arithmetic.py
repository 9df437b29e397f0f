"""Half-open intervals of many stores, and the arithmetic on them, without loops over stores.

Store and instant are encoded in one integer key, ``code * stride + instant``, with a stride wider
than the span. Data sorted by store and time is then sorted by one key, and ``searchsorted`` works
on all stores at once. This module does not interpret the intervals (open, up, down).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

Int = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]


def enumerate_groups(counts: Int) -> tuple[Int, Int]:
    """Enumerate the members of groups of the given sizes.

    Parameters
    ----------
    counts : int64 array, shape (n,)
        The size of each group, possibly 0.

    Returns
    -------
    group, member : int64 arrays, shape (counts.sum(),)
        For each member, its group's position and its own number within the group from 0.

    Examples
    --------
    >>> group, member = enumerate_groups(np.array([2, 0, 3]))
    >>> group.tolist(), member.tolist()
    ([0, 0, 2, 2, 2], [0, 1, 0, 1, 2])
    """
    group = np.repeat(np.arange(len(counts)), counts)
    first = np.cumsum(counts) - counts
    return group, np.arange(len(group)) - np.repeat(first, counts)


@dataclass(frozen=True, slots=True)
class StoreTimeKey:
    """Composite key of store and instant, for the instants in ``[start, end]``.

    Attributes
    ----------
    start, end : int
        The span in microseconds since 1970; instants outside it have no key.
    stores : int
        Number of stores.
    """

    start: int
    end: int
    stores: int

    def __post_init__(self) -> None:
        """Raise OverflowError where keys would exceed 64 bits."""
        if self.stride * max(self.stores, 1) >= 2**63:
            msg = (
                f"{self.stores} stores over {self.end - self.start} microseconds are too many for "
                "one computation: split the stores into batches"
            )
            raise OverflowError(msg)

    @property
    def stride(self) -> int:
        """Return the distance between the keys of two stores: one more than the span."""
        return self.end - self.start + 1

    def encode(self, code: Int, instant: Int) -> Int:
        """Return the key of each store and instant.

        Parameters
        ----------
        code, instant : int64 arrays of one shape
            Stores by position; instants within the span, in microseconds.
        """
        return code * self.stride + (instant - self.start)

    def decode(self, keys: Int) -> tuple[Int, Int]:
        """Return the store and the instant of each key."""
        code, since_start = np.divmod(keys, self.stride)
        return code, since_start + self.start


@dataclass(frozen=True, slots=True)
class Intervals:
    """Half-open intervals ``[start, end)`` of stores, none empty.

    Sorted by store and start, and disjoint within a store, unless documented otherwise.

    Attributes
    ----------
    code : int64 array, shape (n,)
        The store of each interval.
    start, end : int64 arrays, shape (n,)
        Microseconds since 1970-01-01 UTC.
    """

    code: Int
    start: Int
    end: Int

    def __len__(self) -> int:
        """Return the number of intervals."""
        return len(self.code)

    def take(self, which: Bool | Int) -> Self:
        """Select intervals by position or by mask."""
        return type(self)(self.code[which], self.start[which], self.end[which])

    def clip(self, start: Int | int, end: Int | int) -> Self:
        """Clip to ``[start, end)``, given once or per interval; empty intervals are dropped."""
        clipped = type(self)(self.code, np.maximum(self.start, start), np.minimum(self.end, end))
        return clipped.take(clipped.start < clipped.end)

    def union(self) -> Self:
        """Merge overlapping and touching intervals of a store; input may be unsorted."""
        if not len(self):
            return self
        ordered = self.take(np.lexsort((self.start, self.code)))
        key = StoreTimeKey(
            int(ordered.start.min()), int(ordered.end.max()), int(ordered.code[-1]) + 1
        )
        opens = key.encode(ordered.code, ordered.start)
        closes = np.maximum.accumulate(key.encode(ordered.code, ordered.end))
        first = np.ones(len(ordered), dtype=bool)
        first[1:] = opens[1:] > closes[:-1]
        last = np.append(first[1:], True)
        code = ordered.code[first]
        return type(self)(code, ordered.start[first], closes[last] - code * key.stride + key.start)


def contains(intervals: Intervals, key: StoreTimeKey, code: Int, instant: Int) -> Bool:
    """Return whether each instant lies in an interval of its store.

    Parameters
    ----------
    intervals : Intervals
        Sorted and disjoint, within the span of the key.
    key : StoreTimeKey
        Must cover the intervals and the instants.
    code, instant : int64 arrays, shape (n,)

    Returns
    -------
    bool array, shape (n,)
    """
    if not len(intervals):
        return np.zeros(len(code), dtype=bool)
    keys = key.encode(code, instant)
    at = np.searchsorted(key.encode(intervals.code, intervals.start), keys, side="right") - 1
    return (at >= 0) & (keys < key.encode(intervals.code, intervals.end)[np.maximum(at, 0)])


def intersect(a: Intervals, b: Intervals, key: StoreTimeKey) -> tuple[Intervals, Int, Int]:
    """Intersect two sets of sorted, disjoint intervals.

    Parameters
    ----------
    a, b : Intervals
        Within the span of the key.
    key : StoreTimeKey

    Returns
    -------
    pieces : Intervals
        Every non-empty overlap of an interval of ``a`` and one of ``b``, sorted.
    from_a, from_b : int64 arrays, shape (len(pieces),)
        The positions in ``a`` and in ``b`` that each piece comes from.
    """
    b_start, b_end = key.encode(b.code, b.start), key.encode(b.code, b.end)
    # an interval of `a` overlaps those of `b` from the first that ends after its start
    # to the last that starts before its end
    lo = np.searchsorted(b_end, key.encode(a.code, a.start), side="right")
    hi = np.searchsorted(b_start, key.encode(a.code, a.end), side="left")
    from_a, member = enumerate_groups(np.maximum(hi - lo, 0))
    from_b = lo[from_a] + member
    pieces = Intervals(
        a.code[from_a],
        np.maximum(a.start[from_a], b.start[from_b]),
        np.minimum(a.end[from_a], b.end[from_b]),
    )
    return pieces, from_a, from_b


class CumulativeDuration:
    """Total length of intervals between two instants of a store, vectorised.

    The length up to a key is one cumulative function; the length between two keys is a difference
    of two lookups.

    Parameters
    ----------
    intervals : Intervals
        Sorted and disjoint, within the span of the key.
    key : StoreTimeKey
    """

    def __init__(self, intervals: Intervals, key: StoreTimeKey) -> None:
        self._key = key
        self._starts = key.encode(intervals.code, intervals.start)
        self._lengths = intervals.end - intervals.start
        self._before = np.concatenate(([0], np.cumsum(self._lengths)))

    def _until(self, code: Int, instant: Int) -> Int:
        keys = self._key.encode(code, instant)
        at = np.searchsorted(self._starts, keys, side="right")
        inside = at > 0
        last = at[inside] - 1
        total = self._before[at]
        # the last interval that begins before the instant may end after it
        beyond = self._lengths[last] - (keys[inside] - self._starts[last])
        total[inside] -= np.maximum(beyond, 0)
        return total

    def between(self, code: Int, start: Int, end: Int) -> Int:
        """Return the length within ``[start, end)`` of each store, in microseconds.

        Parameters
        ----------
        code, start, end : int64 arrays, shape (n,)
            ``start <= end``, both within the span of the key.

        Returns
        -------
        int64 array, shape (n,)
        """
        return self._until(code, end) - self._until(code, start)
