"""What the tests of Dagster's side share: a real instance, and data to run on."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from storemon_pipeline.defs import resources
from storemon_pipeline_tests.helpers.runner import GOLDEN, SAMPLE, copy_data


@pytest.fixture(autouse=True)
def _own_connections() -> Iterator[None]:
    """Let no test find the connections of another, to a database that has been emptied since."""
    resources._database.cache_clear()
    yield
    resources._database.cache_clear()


@pytest.fixture
def instance(isolated_environment: Path) -> Iterator[dg.DagsterInstance]:
    """A Dagster instance with a history of its own, in memory."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def two_stores(data_dir: Path) -> Path:
    """The data directory with the raw files of a golden case of two stores, s1 and s2."""
    copy_data(GOLDEN / "past_midnight_and_split_shifts", data_dir)
    return data_dir


@pytest.fixture
def sample(data_dir: Path) -> Path:
    """The data directory with the project's sample."""
    copy_data(SAMPLE, data_dir)
    return data_dir
