"""Prefetching: compute the next results in threads while the current one is used."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def prefetch(
    function: Callable[[Item], Result], items: Iterable[Item], depth: int = 1
) -> Iterator[Iterator[Result]]:
    """Yield an iterator like ``map(function, items)`` that computes ahead in threads.

    For functions that release the GIL most of the time, as Arrow, NumPy and database drivers do. An
    error is raised when its result is requested. The threads end with the ``with`` block.

    Parameters
    ----------
    function : callable
        Called in up to ``depth`` threads concurrently.
    items : iterable
        Advanced by one thread only, so it may be a generator that reads a file.
    depth : int
        Number of results that are computed or buffered while one is used.

    Examples
    --------
    >>> with prefetch(lambda n: n * n, range(4)) as squares:
    ...     print(*squares)
    0 1 4 9
    """
    source, end = iter(items), object()
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(depth) as workers:

        def submit() -> None:
            # a single thread takes the items, since parallel calls could swap their order
            item = reader.submit(next, source, end)
            pending.append(
                workers.submit(
                    lambda: end if item.result() is end else function(item.result())  # type: ignore[arg-type]
                )
            )

        def results() -> Iterator[Result]:
            for _ in range(depth):
                submit()
            while (result := pending.popleft().result()) is not end:
                submit()
                yield result  # type: ignore[misc]  # not the end

        pending: deque[Future[Result | object]] = deque()
        yield results()
