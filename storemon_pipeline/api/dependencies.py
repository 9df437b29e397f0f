"""Dependencies of the endpoints: settings, database, Dagster client."""

from __future__ import annotations

import threading
from typing import Annotated

from anyio import CapacityLimiter
from fastapi import Depends, Request

from storemon_pipeline.clients.bulkhead import Bulkhead
from storemon_pipeline.clients.dagster_graphql import DagsterGraphQLClient, strip_userinfo
from storemon_pipeline.settings import Settings
from storemon_pipeline.storage.database import Database

_WRITERS = 20
_WAITING_FOR_LAUNCH = 4


class AppState:
    """State of the application, shared by all requests.

    Attributes
    ----------
    writers : CapacityLimiter
        Limits the threads of requests that write.
    waiting_for_launch : Bulkhead
        Limits the requests that wait for the launch of an equal one.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.dagster = DagsterGraphQLClient(settings.dagster_url)
        self.ui_url = strip_userinfo(settings.ui_url or settings.dagster_url)
        self.writers = CapacityLimiter(_WRITERS)
        self.waiting_for_launch = Bulkhead(_WAITING_FOR_LAUNCH)
        self._database: Database | None = None
        self._opening = threading.Lock()

    @property
    def database(self) -> Database:
        """The database, opened at first use, so that the API starts without it.

        Raises
        ------
        DatabaseUnavailableError
        """
        with self._opening:
            if self._database is None:
                self._database = Database(self.settings.database_url, self.settings.polls_url)
            return self._database

    def close(self) -> None:
        """Close all connections."""
        self.dagster.close()
        if self._database is not None:
            self._database.close()


async def get_app_state(request: Request) -> AppState:
    """Return the state of the running application, as a FastAPI dependency."""
    app_state: AppState = request.app.state.app_state
    return app_state


AppStateDep = Annotated[AppState, Depends(get_app_state)]
