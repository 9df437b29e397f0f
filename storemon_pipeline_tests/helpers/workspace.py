"""A data directory and a database to ingest its files into, for the ingestion tests."""

import gzip
import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import zstandard
from sqlalchemy import select

from storemon_pipeline.ingestion.ingest import ingest_files
from storemon_pipeline.ingestion.results import FileResult, TableResult
from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.schema import (
    REGISTRY_TABLES,
    metadata,
    quarantined_row,
    store_status,
)
from storemon_pipeline.storage.unread_files import unread_files
from storemon_pipeline_tests.helpers.stored_polls import all_polls

NOW = datetime(2023, 1, 25, 18, tzinfo=UTC)

POLLS = "store_id,status,timestamp_utc"
HOURS = "store_id,day,start_time_local,end_time_local"
ZONES = "store_id,timezone_str"
SPECIAL = "store_id,date,start_time_local,end_time_local"
LEVELS = "store_id,target_pct"

LOG = logging.getLogger("storemon_tests.ingestion")
LOG.setLevel(logging.INFO)

Poll = tuple[str, str, str]


class Workspace:
    """A data directory and a database.

    Parameters
    ----------
    database : Database
    data_dir : Path
    """

    def __init__(self, database: Database, data_dir: Path) -> None:
        self.database = database
        self.data_dir = data_dir

    def write(self, name: str, *lines: str) -> Path:
        """Write a file of complete lines."""
        return self.put_bytes(name, text(*lines))

    def put_bytes(self, name: str, content: bytes) -> Path:
        """Write a file."""
        path = self.data_dir / name
        path.write_bytes(content)
        return path

    def add(self, name: str, content: str) -> None:
        """Append to a file."""
        with (self.data_dir / name).open("ab") as file:
            file.write(content.encode())

    def put_all(self, *, store: str = "1", day: str = "2023-01-24") -> None:
        """Write a file of each kind, with one row about a store."""
        self.write("store_status.csv", POLLS, f"{store},active,{day} 10:00:00 UTC")
        self.write("menu_hours.csv", HOURS, f"{store},0,09:00:00,17:00:00")
        self.write("timezones.csv", ZONES, f"{store},America/New_York")

    def ingest(
        self,
        *,
        max_bad_share: float = 1.0,
        min_snapshot_share: float = 0.5,
        max_expansion: float = 200,
        now: datetime = NOW,
        run_id: str = "a-run",
        log: logging.Logger = LOG,
    ) -> dict[str, TableResult]:
        """Ingest, by default accepting any share of bad rows."""
        return ingest_files(
            self.database,
            self.data_dir,
            max_bad_share=max_bad_share,
            min_snapshot_share=min_snapshot_share,
            max_expansion=max_expansion,
            now=now,
            run_id=run_id,
            log=log,
        )

    def ingest_polls(self) -> FileResult:
        """Ingest, and return the result of the only file of polls."""
        (report,) = self.ingest()["store_status"].files
        return report

    def rows(self, table: str) -> list[tuple]:
        """Return all rows of a table, sorted; polls from wherever they are stored."""
        if table == store_status.name:
            return all_polls(self.database.polls)
        with self.database.read() as connection:
            return sorted(tuple(row) for row in connection.execute(select(metadata.tables[table])))

    def polls(self) -> list[Poll]:
        """Return store, UTC instant and status of every poll."""
        return [
            (store, str(at.replace(tzinfo=None)), status)
            for store, at, status in all_polls(self.database.polls)
        ]

    def instants(self) -> dict[str, str]:
        """Return the UTC instant of the only poll of each store."""
        return {store: at for store, at, _ in self.polls()}

    def unread(self) -> dict[str, str]:
        """Return the files that the latest ingest did not read, with reasons."""
        with self.database.read() as connection:
            return unread_files(connection)

    def quarantined(self) -> list[tuple[str, int, str, str]]:
        """Return file, line number, text and reason of every bad row, in stored order."""
        bad = quarantined_row.c
        query = select(bad.file, bad.line_number, bad.row_text, bad.reason)
        with self.database.read() as connection:
            return [
                tuple(row) for row in connection.execute(query.order_by(bad.quarantined_row_id))
            ]

    def bad_lines(self) -> list[tuple[int, str]]:
        """Return line number and text of every bad row."""
        return [(line, row_text) for _, line, row_text, _ in self.quarantined()]

    def dump(self) -> dict[str, list[tuple]]:
        """Return all rows of all tables."""
        return {table: self.rows(table) for table in metadata.tables}

    def empty(self) -> None:
        """Remove all rows and all files."""
        with self.database.data_transaction() as connection:
            for table in reversed(metadata.sorted_tables):
                if table not in REGISTRY_TABLES:
                    connection.execute(table.delete())
        for path in self.data_dir.iterdir():
            path.unlink()


def text(*lines: str, newline: str = "\n") -> bytes:
    """Encode complete lines as the bytes of a file."""
    return "".join(line + newline for line in lines).encode()


def gz(content: bytes) -> bytes:
    return gzip.compress(content)


def zst(content: bytes) -> bytes:
    return zstandard.compress(content)


def poll_rows(stores: Iterable[object], at: str = "2023-01-25 10:00:00 UTC") -> list[str]:
    """Return one row of ``store_status.csv`` per store."""
    return [f"{store},active,{at}" for store in stores]
