"""What may wait, and how much of it at a time, so that it never takes the threads that reads need.

Endpoints run in the framework's threads. Those that write wait for locks and for Dagster; they have
threads of their own, and further requests wait without one. Calls to Dagster are bounded as well
(:mod:`.bulkhead`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial, wraps
from typing import ParamSpec, TypeVar

from anyio import to_thread

from storemon_pipeline.api.dependencies import AppState

_P = ParamSpec("_P")
_R = TypeVar("_R")


def run_in_writer_thread(endpoint: Callable[_P, _R]) -> Callable[_P, Awaitable[_R]]:
    """Let an endpoint run in one of the writers' threads.

    Parameters
    ----------
    endpoint : callable
        Has the parameter ``services``.
    """

    @wraps(endpoint)
    async def run(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        services = kwargs["services"]
        assert isinstance(services, AppState)  # noqa: S101 - for the type checker
        call = partial(endpoint, *args, **kwargs)
        return await to_thread.run_sync(call, limiter=services.writers)

    return run
