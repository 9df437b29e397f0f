"""Work in two threads: the next item is made while the last one is used."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")


@contextmanager
def prefetch(items: Iterator[Item]) -> Iterator[Iterator[Item]]:
    """Yield an iterator over the same items, each made by a thread while the last one is used.

    For items that take long to make, by code that lets other threads run meanwhile, as Arrow's,
    NumPy's and the databases' drivers do. There is never more than one item in waiting. An error
    in making an item is raised where the item would be used; at the end of the ``with`` block the
    thread has ended.

    Parameters
    ----------
    items : iterator
        Is used by the thread alone.

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
