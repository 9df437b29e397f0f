"""The command that moves polls between the table and the files."""

from pathlib import Path

import pytest

from storemon_pipeline import move_polls
from storemon_pipeline.settings import Settings
from storemon_pipeline.storage.database import Database, PollsElsewhereError
from storemon_pipeline.storage.parquet_polls import ParquetPolls
from storemon_pipeline.storage.sql_polls import SqlPolls
from storemon_pipeline_tests.helpers.stored_polls import all_polls
from storemon_pipeline_tests.helpers.workspace import POLLS, Workspace

ROWS = [
    f"{store},{status},2023-01-{day} {hour:02}:00:00.5 UTC"
    for store in ("1", "2", "a")
    for day in (23, 24, 25)
    for hour, status in ((0, "active"), (9, "inactive"), (17, "active"))
]


@pytest.fixture
def polls_url(isolated_environment: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the place of the files, and set it for the command."""
    monkeypatch.setenv("STOREMON_POLLS_URL", str(isolated_environment / "polls"))
    return str(isolated_environment / "polls")


@pytest.fixture
def stored(migrated_sqlite: str, data_dir: Path) -> list[tuple]:
    """Ingest polls into the table, and return them."""
    database = Database(migrated_sqlite)
    workspace = Workspace(database, data_dir)
    workspace.write("store_status.csv", POLLS, *ROWS)
    workspace.ingest()
    polls = all_polls(database.polls)
    database.close()
    assert len(polls) == len(ROWS)
    return polls


def move(direction: str, capsys: pytest.CaptureFixture[str]) -> str:
    move_polls.main([direction])
    return capsys.readouterr().out


def test_polls_move_to_files_and_back(migrated_sqlite, polls_url, stored, capsys):
    assert move("to-files", capsys).startswith("Moved 27 polls. Now set STOREMON_POLLS_URL")
    database = Database(migrated_sqlite, polls_url)
    assert all_polls(database.polls) == stored
    database.close()
    assert move("to-table", capsys).startswith("Moved 27 polls. Now unset STOREMON_POLLS_URL")
    database = Database(migrated_sqlite)
    assert all_polls(database.polls) == stored
    database.close()


def test_polls_in_the_other_place_are_an_error(migrated_sqlite, polls_url, stored, capsys):
    with pytest.raises(PollsElsewhereError, match="in the table store_status: unset STOREMON_POLL"):
        Database(migrated_sqlite, polls_url)
    move("to-files", capsys)
    with pytest.raises(PollsElsewhereError, match="in Parquet files: set STOREMON_POLLS_URL"):
        Database(migrated_sqlite)


def test_interrupted_move_continues(migrated_sqlite, polls_url, stored, monkeypatch, capsys):
    append = ParquetPolls.append

    def interrupt_second_day(self, connection, rows):
        if str(rows["timestamp_utc"][0].as_py()).startswith("2023-01-24"):
            raise KeyboardInterrupt
        append(self, connection, rows)

    with monkeypatch.context() as patch:
        patch.setattr(ParquetPolls, "append", interrupt_second_day)
        with pytest.raises(KeyboardInterrupt):
            move_polls.main(["to-files"])
    database = Database(migrated_sqlite, check_polls=False)
    assert all_polls(database.polls) == stored, "the table keeps all until the end"
    database.close()
    move("to-files", capsys)
    database = Database(migrated_sqlite, polls_url)
    assert all_polls(database.polls) == stored
    database.close()


def test_ingest_during_the_move_drops_nothing(migrated_sqlite, polls_url, stored, data_dir):
    database = Database(migrated_sqlite, polls_url, check_polls=False)
    source, target = SqlPolls(database), ParquetPolls(database, Settings().polls_path)
    workspace = Workspace(Database(migrated_sqlite), data_dir)

    class IngestingPolls(ParquetPolls):
        def read(self, store_ids, since, until):
            if since.day == 25:
                workspace.write("store_status_2.csv", POLLS, "1,inactive,2023-01-23 00:00:00.5 UTC")
                workspace.ingest()
            return super().read(store_ids, since, until)

    target = IngestingPolls(database, Settings().polls_path)
    with pytest.raises(move_polls.MoveError, match="ingested meanwhile: stop ingests"):
        move_polls.move_polls(database, source, target)
    assert len(all_polls(workspace.database.polls)) == len(stored)


def test_missing_polls_url_names_the_setting(migrated_sqlite, capsys):
    with pytest.raises(SystemExit):
        move_polls.main(["to-files"])
    assert "STOREMON_POLLS_URL is not set" in capsys.readouterr().err
