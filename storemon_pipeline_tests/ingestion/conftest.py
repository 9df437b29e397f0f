"""Workspaces. Parsing is tested on SQLite alone, storage on both databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from storemon_pipeline.storage.database import Database
from storemon_pipeline_tests.helpers.workspace import Workspace


@pytest.fixture
def workspace(isolated_environment: Path) -> Iterator[Workspace]:
    """An empty data directory and an empty SQLite database."""
    database = Database(f"sqlite:///{isolated_environment}/storemon.db")
    yield Workspace(database, isolated_environment / "data")
    database.close()


@pytest.fixture
def either_workspace(database: Database, data_dir: Path) -> Workspace:
    """An empty data directory and an empty database, once of each kind."""
    return Workspace(database, data_dir)
