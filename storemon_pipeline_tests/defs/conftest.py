"""Fixtures of the tests of Dagster's definitions: an instance, a database, data to run on."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from storemon_pipeline.defs import resources
from storemon_pipeline_tests.helpers.runner import GOLDEN, SAMPLE, copy_data


@pytest.fixture(autouse=True)
def _database(migrated_sqlite: str) -> Iterator[None]:
    """Migrate the database of the settings, and drop the connections of the previous test."""
    resources._database.cache_clear()
    yield
    resources._database.cache_clear()


@pytest.fixture
def instance(isolated_environment: Path) -> Iterator[dg.DagsterInstance]:
    """Yield a Dagster instance that keeps its history in memory."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def two_stores(data_dir: Path) -> Path:
    """Return the data directory, with the raw files of a golden case with two stores, s1 and s2."""
    copy_data(GOLDEN / "past_midnight_and_split_shifts", data_dir)
    return data_dir


@pytest.fixture
def sample(data_dir: Path) -> Path:
    """Return the data directory, with the project's sample data."""
    copy_data(SAMPLE, data_dir)
    return data_dir
