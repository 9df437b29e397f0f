"""Places to ingest at. What is read does not depend on the database; that it is stored does."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from storemon_pipeline.storage.database import Database
from storemon_pipeline_tests.intake.place import Place


@pytest.fixture
def place(own_place: Path) -> Iterator[Place]:
    """An empty data directory and an empty SQLite database."""
    database = Database(f"sqlite:///{own_place}/storemon.db")
    yield Place(database, own_place / "data")
    database.close()


@pytest.fixture
def either_place(database: Database, data_dir: Path) -> Place:
    """An empty data directory and an empty database, once of each kind."""
    return Place(database, data_dir)
