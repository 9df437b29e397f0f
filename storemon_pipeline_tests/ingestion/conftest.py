"""Workspaces to ingest in: on SQLite, or on both databases where the database matters."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from storemon_pipeline.storage.database import Database
from storemon_pipeline_tests.helpers.workspace import Workspace


@pytest.fixture
def workspace(migrated_sqlite: str, data_dir: Path) -> Iterator[Workspace]:
    """Yield an empty data directory and an empty SQLite database."""
    database = Database(migrated_sqlite)
    yield Workspace(database, data_dir)
    database.close()


@pytest.fixture
def either_workspace(database: Database, data_dir: Path) -> Workspace:
    """Return an empty data directory and an empty database of each kind."""
    return Workspace(database, data_dir)
