"""What the endpoints work with: the settings, the database, Dagster."""

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
_WAITING = 4


class AppState:
    """What the endpoints work with.

    Parameters
    ----------
    settings : Settings

    Attributes
    ----------
    writers : CapacityLimiter
        Of the threads of requests that write; more than may wait for anything but a lock.
    waiting_for_launch : Bulkhead
        Of requests that wait while an equal one is being launched.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.dagster = DagsterGraphQLClient(settings.dagster_url)
        self.ui_url = strip_userinfo(settings.ui_url or settings.dagster_url)
        self.writers = CapacityLimiter(_WRITERS)
        self.waiting_for_launch = Bulkhead(_WAITING)
        self._database: Database | None = None
        self._opening = threading.Lock()

    @property
    def database(self) -> Database:
        """The database, opened when it is first needed: the API starts without it.

        Raises
        ------
        DatabaseUnavailableError
            Where it cannot be reached.
        """
        with self._opening:
            if self._database is None:
                self._database = Database(self.settings.database_url)
            return self._database

    def close(self) -> None:
        """Give back all connections."""
        self.dagster.close()
        if self._database is not None:
            self._database.close()


async def get_app_state(request: Request) -> AppState:
    """Return the state of the running application, as a FastAPI dependency."""
    services: AppState = request.app.state.services
    return services


AppStateDep = Annotated[AppState, Depends(get_app_state)]
