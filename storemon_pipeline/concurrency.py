"""Prefetching: produce the next item in a thread while the current one is used."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")


@contextmanager
def prefetch(items: Iterator[Item]) -> Iterator[Iterator[Item]]:
    """Yield an iterator over the same items, each produced in a thread ahead of its use.

    For items that are slow to produce by code that releases the GIL, as Arrow, NumPy and database
    drivers do. At most one item is buffered. An error in producing an item is raised where the item
    would be used. The thread ends with the ``with`` block.

    Parameters
    ----------
    items : iterator
        Used by the thread only.

    Examples
    --------
    >>> with prefetch(n * n for n in range(4)) as squares:
    ...     print(*squares)
    0 1 4 9
    """
    end = object()
    with ThreadPoolExecutor(1) as thread:

        def each() -> Iterator[Item]:
            coming = thread.submit(next, items, end)
            while (item := coming.result()) is not end:
                coming = thread.submit(next, items, end)
                yield item  # type: ignore[misc]  # not the end

        yield each()
