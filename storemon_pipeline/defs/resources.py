"""Resources: the settings and the database."""

from datetime import UTC, datetime
from functools import lru_cache

import dagster as dg

from storemon_pipeline.settings import Settings
from storemon_pipeline.storage.database import Database


@lru_cache(maxsize=8)
def _database(url: str, polls_url: str | None) -> Database:
    return Database(url, polls_url)


class StoremonResource(dg.ConfigurableResource[None]):
    """The project's settings and its database.

    The environment is read at each access, not when the definitions are loaded.
    """

    @property
    def settings(self) -> Settings:
        """The current settings of the environment."""
        return Settings()

    @property
    def database(self) -> Database:
        """The database of the settings, with one connection pool per process."""
        settings = self.settings
        return _database(settings.database_url, settings.polls_url)

    def now(self) -> datetime:
        """Return the current time, from which retention counts; tests set another one."""
        return datetime.now(UTC)
