"""SQLite files are complete copies of the data: after a process ends, and as an online backup."""

import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.reports import find_report, start_report
from storemon_pipeline.storage.schema import store_timezone
from storemon_pipeline_tests.storage.test_registry_file import NOON

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"

FILL = """
import sys
from datetime import UTC, datetime
from sqlalchemy import insert
from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.reports import start_report
from storemon_pipeline.storage.schema import store_timezone

database = Database(sys.argv[1])
with database.data_transaction() as connection:
    connection.execute(insert(store_timezone).values(store_id="1", timezone_str="UTC"))
with database.registry_transaction() as connection:
    start_report(connection, "run", None, datetime.now(UTC))
"""


def fill(database: Database) -> None:
    with database.data_transaction() as connection:
        connection.execute(insert(store_timezone).values(store_id="1", timezone_str="UTC"))
    with database.registry_transaction() as connection:
        start_report(connection, "run", None, NOON)


def is_filled(path: Path) -> bool:
    database = Database(f"sqlite:///{path}")
    with database.read() as connection:
        zones = connection.execute(select(store_timezone)).all()
        report = find_report(connection, "run")
    database.close()
    return zones == [("1", "UTC")] and report is not None


def test_copy_after_process_end_is_complete(tmp_path: Path):
    # the script does not close the database
    subprocess.run(
        [sys.executable, "-c", FILL, f"sqlite:///{tmp_path}/storemon.db"], check=True, timeout=60
    )
    (tmp_path / "copy").mkdir()
    for name in ("storemon.db", "storemon-registry.db"):
        shutil.copy(tmp_path / name, tmp_path / "copy")
    assert is_filled(tmp_path / "copy" / "storemon.db")


def test_data_file_is_complete_after_an_ingest(tmp_path: Path):
    database = Database(f"sqlite:///{tmp_path}/storemon.db")
    fill(database)
    shutil.copy(tmp_path / "storemon.db", tmp_path / "copy.db")
    copy = sqlite3.connect(tmp_path / "copy.db")
    assert copy.execute("SELECT * FROM store_timezone").fetchall() == [("1", "UTC")]
    copy.close()
    database.close()


def test_reader_does_not_block_the_checkpoint(tmp_path: Path):
    database = Database(f"sqlite:///{tmp_path}/storemon.db")
    with database.read() as connection:
        connection.execute(select(store_timezone)).all()
        fill(database)
        assert connection.execute(select(store_timezone)).all() == []
    database.close()
    assert is_filled(tmp_path / "storemon.db")


@pytest.fixture
def commands() -> dict[str, str]:
    """The documented commands for backup and restore."""
    section = OPERATIONS.read_text().partition("## Back up SQLite")[2].partition("\n## ")[0]
    backup, restore = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    return {"backup": backup, "restore": restore}


def run_documented(command: str, workspace: Path) -> None:
    bin_dir = workspace / ".venv" / "bin"
    if not bin_dir.exists():
        bin_dir.mkdir(parents=True)
        (bin_dir / "python").symlink_to(sys.executable)
    subprocess.run(["sh", "-ec", command], cwd=workspace, check=True, timeout=60)


def test_documented_backup_can_be_restored(tmp_path: Path, commands: dict[str, str]):
    path = tmp_path / ".storemon" / "storemon.db"
    database = Database(f"sqlite:///{path}")
    fill(database)
    # during a write transaction
    with database.data_transaction() as connection:
        connection.execute(insert(store_timezone).values(store_id="2", timezone_str="UTC"))
        run_documented(commands["backup"], tmp_path)
    database.close()
    for file in path.parent.iterdir():
        file.write_bytes(b"") if file.is_file() else None
    run_documented(commands["restore"], tmp_path)
    assert is_filled(path)
