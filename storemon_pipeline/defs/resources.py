"""Resources: what the assets reach the outside world by."""

from functools import lru_cache

import dagster as dg

from storemon_pipeline.settings import Settings
from storemon_pipeline.storage.database import Database


@lru_cache(maxsize=8)
def _database(url: str) -> Database:
    return Database(url)


class StoremonResource(dg.ConfigurableResource[None]):
    """The project's settings and its database.

    The environment is read when a run asks, not when the definitions are loaded.
    """

    @property
    def settings(self) -> Settings:
        """The settings as the environment has them now."""
        return Settings()

    @property
    def database(self) -> Database:
        """The database that they name; one connection pool a process."""
        return _database(self.settings.database_url)
