"""Thread pool of endpoints that write.

They wait for locks and for Dagster. A separate pool keeps the framework's threads free for
reads; beyond its size, requests wait without a thread. :mod:`storemon_pipeline.clients.bulkhead`
limits the calls that wait for Dagster.
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
    """Run an endpoint in a writer thread.

    Parameters
    ----------
    endpoint : callable
        Must have the parameter ``app_state``.
    """

    @wraps(endpoint)
    async def run(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        app_state = kwargs["app_state"]
        assert isinstance(app_state, AppState)  # noqa: S101 - for the type checker
        call = partial(endpoint, *args, **kwargs)
        return await to_thread.run_sync(call, limiter=app_state.writers)

    return run
