"""Files give the same tables on both databases and with blocks of any size."""

import random
from pathlib import Path

import pytest

from storemon_pipeline.ingestion import line_reader
from storemon_pipeline.storage.database import Database
from storemon_pipeline_tests.helpers.workspace import (
    HOURS,
    LEVELS,
    POLLS,
    SPECIAL,
    ZONES,
    Workspace,
    gz,
    text,
    zst,
)

FROM_FILES = (
    "store_status",
    "polled_store",
    "business_hours",
    "store_timezone",
    "special_hours",
    "service_level",
    "ingested_file",
    "quarantined_row",
)


def messy_files() -> dict[str, bytes]:
    """Return files of each kind with good, bad, odd and blank lines."""
    draw = random.Random(7)

    def mixed(rows: list[str]) -> list[str]:
        odd = ["", "bad", '"', "a\rb", "\u2603,\u00e9", ",,,,,,", "\ufeff", 'x,"y']
        return [draw.choice(odd) if draw.random() < 0.2 else row for row in rows]

    stores = ["9222367000000000000", "007", "7", "a", "A", "_", "b-1", "b_1", '"q"', "10", "9"]
    polls = [
        f"{draw.choice(stores)},{draw.choice(['active', ' Inactive', 'INACTIVE', 'shut'])},"
        f"2023-01-{draw.randint(20, 25)}T{draw.randint(0, 25):02}:00:00.{draw.randint(0, 999999)}Z"
        for _ in range(60)
    ]
    again = [poll.replace("active", "inactive") for poll in draw.sample(polls, 25)]
    hours = [
        f"{draw.choice(stores)},{draw.randint(0, 7)},{draw.randint(0, 24)}:00,{draw.randint(0, 25)}:30"
        for _ in range(40)
    ]
    zones = [f"{store},{draw.choice(['Asia/Tokyo', 'Mars', ''])}" for store in stores * 3]
    special = [
        f"{draw.choice(stores)},2023-{draw.randint(10, 13)}-{draw.randint(10, 31)},"
        f"{draw.choice(['', '09:00'])},{draw.choice(['', '24:00'])}"
        for _ in range(60)
    ]
    levels = [f"{store},{draw.choice(['99.5', '100', '101', ''])}" for store in stores * 3]
    return {
        "store_status.csv": text(POLLS, *mixed(polls)),
        "store_status_1.csv.gz": gz(text(POLLS, *mixed(again), newline="\r\n")),
        "store_status_2.csv": zst(text(POLLS, *mixed(again[:9]))),
        "business_hours.csv": text(HOURS, *mixed(hours), newline="\r\n"),
        "timezones.csv": gz(text(ZONES, *mixed(zones))),
        "special_hours.csv": zst(text(SPECIAL, *mixed(special), newline="\r\n")),
        "service_levels.csv": text(LEVELS, *mixed(levels)),
    }


def ingest_messy_files(
    database: Database, data_dir: Path, block_bytes: int
) -> dict[str, list[tuple]]:
    """Ingest the messy files; return all rows of all tables."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(line_reader, "BLOCK_BYTES", block_bytes)
        workspace = Workspace(database, data_dir)
        for name, data in messy_files().items():
            workspace.put_bytes(name, data)
        workspace.ingest()
        return workspace.dump()


@pytest.fixture
def usual(workspace: Workspace) -> dict[str, list[tuple]]:
    """Return the tables on SQLite with each file read in one block."""
    tables = ingest_messy_files(workspace.database, workspace.data_dir, 2**20)
    assert all(len(tables[name]) > 10 for name in ("store_status", "quarantined_row"))
    assert all(tables[name] for name in FROM_FILES)
    return tables


@pytest.mark.parametrize("block_bytes", [500, 80])
def test_blocks_of_any_size_give_the_same_tables(workspace: Workspace, usual, block_bytes):
    workspace.empty()
    tables = ingest_messy_files(workspace.database, workspace.data_dir, block_bytes)
    for name in ("store_status", "business_hours", "store_timezone"):
        assert tables[name] == usual[name]
    # without their ids, which are not reset
    assert [row[2:] for row in tables["quarantined_row"]] == [
        row[2:] for row in usual["quarantined_row"]
    ]
    assert [row[1:] for row in tables["ingested_file"]] == [
        row[1:] for row in usual["ingested_file"]
    ]


def test_both_databases_hold_the_same(postgresql_url: str, data_dir, usual):
    database = Database(postgresql_url)
    assert ingest_messy_files(database, data_dir, 500) == usual
    database.close()
