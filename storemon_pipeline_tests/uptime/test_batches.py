"""Batches of stores are limited by store-hours and by polls, and omit no store."""

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from storemon_pipeline.uptime import batches
from storemon_pipeline.uptime.batches import batch_stores

END = datetime(2023, 1, 25, tzinfo=UTC)
DAY = (END - timedelta(days=1), END)


def sizes(polls: list[int] | None, stores: int = 0) -> list[int]:
    """Return the number of stores in each batch, for stores with these numbers of polls."""
    table = pd.DataFrame({"store_id": [f"s{number:03}" for number in range(stores)]})
    if polls is not None:
        table = pd.DataFrame({"store_id": [f"s{n:03}" for n in range(len(polls))], "polls": polls})
    parts = list(batch_stores(table, DAY))
    together = pd.concat(parts, ignore_index=True)
    assert together["store_id"].tolist() == table["store_id"].tolist()
    assert all(part.index.tolist() == list(range(len(part))) for part in parts)
    return [len(part) for part in parts]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "STORE_HOURS_PER_BATCH", 4 * 24)
    monkeypatch.setattr(batches, "POLLS", 100)


def test_batches_of_few_polls_are_limited_by_store_hours() -> None:
    assert sizes([1] * 10) == sizes(None, stores=10) == [4, 4, 2]


def test_batches_of_many_polls_are_limited_by_polls() -> None:
    assert sizes([50, 50, 50, 30, 20, 1, 99, 2]) == [2, 3, 2, 1]


def test_store_exceeding_the_poll_limit_is_alone_in_its_batch() -> None:
    assert sizes([10, 1000, 10, 10]) == [1, 1, 2]


def test_no_stores_give_one_empty_batch() -> None:
    assert sizes([]) == sizes(None) == [0]
