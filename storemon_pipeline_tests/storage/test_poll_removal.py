"""Removal of polls: moved to quarantine, and polled_store updated."""

from datetime import UTC, datetime

import pandas as pd
import pytest
from sqlalchemy import select

from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.ingest_log import count_bad_rows_by_file, latest_ingest_id
from storemon_pipeline.storage.poll_removal import remove_polls
from storemon_pipeline.storage.poll_store import upsert_polls
from storemon_pipeline.storage.schema import polled_store, quarantined_row
from storemon_pipeline_tests.helpers.stored_polls import all_polls

NOW = datetime(2023, 2, 1, tzinfo=UTC)


def at(hour: int, *, day: int = 24, microsecond: int = 0) -> datetime:
    return datetime(2023, 1, day, hour, microsecond=microsecond, tzinfo=UTC)


@pytest.fixture
def filled(database: Database) -> Database:
    """Polls of store a at 10:00, 11:00 and 12:00 on two days; one poll of store b."""
    polls = [("a", at(hour, day=day), "active") for day in (24, 25) for hour in (10, 11, 12)]
    polls += [("a", at(11, microsecond=5), "inactive"), ("b", at(11), "active")]
    with database.data_transaction() as connection:
        upsert_polls(
            database.polls,
            connection,
            pd.DataFrame(polls, columns=["store_id", "timestamp_utc", "status"]),
        )
    return database


def remove(database: Database, store: str, start: datetime, end: datetime) -> int:
    with database.data_transaction() as connection:
        return remove_polls(
            database.polls, connection, store, start, end, removed_at=NOW, run_id="a-run"
        )


def polls(database: Database, store: str) -> list[datetime]:
    return [at for store_id, at, _ in all_polls(database.polls) if store_id == store]


def polled(database: Database) -> dict[str, tuple[datetime, datetime]]:
    with database.read() as connection:
        return {
            store: (first, last) for store, first, last in connection.execute(select(polled_store))
        }


def test_remove_polls_moves_them_to_quarantine(filled: Database):
    assert remove(filled, "a", at(11), at(12)) == 2
    assert polls(filled, "a") == [at(10), at(12), at(10, day=25), at(11, day=25), at(12, day=25)]
    assert polls(filled, "b") == [at(11)]
    bad = quarantined_row.c
    with filled.read() as connection:
        rows = connection.execute(
            select(bad.row_text, bad.reason, bad.quarantined_at).order_by(bad.quarantined_row_id)
        ).all()
    assert [tuple(row) for row in rows] == [
        ("a,active,2023-01-24 11:00:00.000000 UTC", "removed by run a-run", NOW),
        ("a,inactive,2023-01-24 11:00:00.000005 UTC", "removed by run a-run", NOW),
    ]


def test_remove_polls_updates_first_and_last_poll(filled: Database):
    remove(filled, "a", at(0), at(11))
    remove(filled, "a", at(12, day=25), at(13, day=25))
    assert polled(filled) == {"a": (at(11), at(11, day=25)), "b": (at(11), at(11))}


def test_store_without_remaining_polls_is_deleted(filled: Database):
    assert remove(filled, "b", at(0), at(23)) == 1
    assert set(polled(filled)) == {"a"}


@pytest.mark.parametrize("store", ["a", "c"])
def test_remove_polls_without_match_changes_nothing(filled: Database, store: str):
    before = polled(filled)
    assert remove(filled, store, at(13), at(14)) == 0
    with filled.read() as connection:
        assert latest_ingest_id(connection) == 0
        assert connection.execute(select(quarantined_row)).all() == []
    assert polled(filled) == before


def test_removal_changes_ingest_id_but_not_bad_rows(filled: Database):
    remove(filled, "a", at(11), at(12))
    with filled.read() as connection:
        assert latest_ingest_id(connection) == 1
        assert count_bad_rows_by_file(connection) == {}
