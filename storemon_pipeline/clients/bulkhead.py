"""A bulkhead: how many calls may wait for one thing at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class BulkheadFullError(RuntimeError):
    """As many calls wait already as may."""


class Bulkhead:
    """Lets a bounded number of calls in; the others fail at once instead of waiting.

    Parameters
    ----------
    calls : int

    Examples
    --------
    >>> bulkhead = Bulkhead(1)
    >>> with bulkhead.entered():
    ...     with bulkhead.entered():
    ...         pass
    Traceback (most recent call last):
    storemon_pipeline.clients.bulkhead.BulkheadFullError: 1 calls wait already
    """

    def __init__(self, calls: int) -> None:
        self._calls = calls
        self._free = threading.BoundedSemaphore(calls)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Be one of those calls.

        Raises
        ------
        BulkheadFullError
        """
        if not self._free.acquire(blocking=False):
            msg = f"{self._calls} calls wait already"
            raise BulkheadFullError(msg)
        try:
            yield
        finally:
            self._free.release()
