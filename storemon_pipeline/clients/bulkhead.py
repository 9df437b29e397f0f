"""Bulkhead: limits the number of concurrent calls that wait for one resource."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class BulkheadFullError(RuntimeError):
    """The maximum number of calls is already waiting."""


class Bulkhead:
    """Admits a bounded number of concurrent calls; further calls fail immediately.

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
    storemon_pipeline.clients.bulkhead.BulkheadFullError: too many waiting calls: at most 1
    """

    def __init__(self, calls: int) -> None:
        self._calls = calls
        self._free = threading.BoundedSemaphore(calls)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Enter the bulkhead for the duration of a call.

        Raises
        ------
        BulkheadFullError
        """
        if not self._free.acquire(blocking=False):
            msg = f"too many waiting calls: at most {self._calls}"
            raise BulkheadFullError(msg)
        try:
            yield
        finally:
            self._free.release()
