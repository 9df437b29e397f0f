"""SQLite backend: two files, their connections, and the split of an older single file.

SQLite allows one writer per file. An ingest holds the write lock of the data file for its whole
duration, so the tables that requests write are in a separate registry file. Readers use the data
file with the registry attached. Both files have a write-ahead log, so readers take no lock.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event

from storemon_pipeline.storage.schema_version import SPLIT, VERSION, Part, current_version, migrate

WRITE_OPTION = "storemon_writes"
"""The execution option of a connection that takes the write lock when its transaction begins."""

LOCK_SECONDS = 600
"""Lock timeout for writers of the data file: a large ingest takes minutes."""

REGISTRY_LOCK_SECONDS = 30
"""Lock timeout for writers of the registry, whose transactions are short."""

_WAIT_STEP_SECONDS = 0.02
_CHECKPOINT_SECONDS = 1
_CACHE_KIB = 2_000  # SQLite's own default
# polls added to existing months touch pages throughout the table
_WRITER_CACHE_KIB = 128 * 1024
_MAX_READERS = 50  # more than the API has threads


def registry_file(data_file: Path) -> Path:
    """Return the path of the registry file: next to the data file, with the suffix ``-registry``.

    Examples
    --------
    >>> str(registry_file(Path("/srv/storemon.db")))
    '/srv/storemon-registry.db'
    """
    return data_file.with_name(f"{data_file.stem}-registry{data_file.suffix}")


class SqliteEngines:
    """The engines of a data file and its registry file.

    Attributes
    ----------
    reader : Engine
        Both files, the registry attached as ``registry``; changes are rolled back.
    data, registry : Engine
        Writers of one file each. No transaction spans both files: with write-ahead logs, SQLite
        would not commit it atomically.
    """

    def __init__(self, data_file: Path) -> None:
        self._data_file, self._registry_file = data_file, registry_file(data_file)
        self.reader = _engine(self._data_file, self._attach_registry, pool_size=_MAX_READERS)
        self.data = _engine(self._data_file, cache_kib=_WRITER_CACHE_KIB)
        self.registry = _engine(self._registry_file, lock_seconds=REGISTRY_LOCK_SECONDS)

    def _attach_registry(self, connection: sqlite3.Connection) -> None:
        connection.execute("ATTACH ? AS registry", (str(self._registry_file),))
        _enable_wal(connection)

    def migrate(self) -> None:
        """Migrate both files, and split an older single file.

        Each step is one transaction on one file and is skipped if it is done, so it is safe to kill
        the process in between, or to run several concurrently.
        """
        self._data_file.parent.mkdir(parents=True, exist_ok=True)
        if self._version(self.registry) is None:
            if self._version(self.data) is not None:
                # the copy needs the tables as they are just before the split
                self._migrate(self.data, "data", until=f"{SPLIT}-1")
            self._migrate(self.registry, "registry", copy_from=self._data_file)
        if self._version(self.registry) != VERSION:
            self._migrate(self.registry, "registry")
        # last, since this drops what was copied
        if self._version(self.data) != VERSION:
            self._migrate(self.data, "data")

    def _version(self, engine: Engine) -> str | None:
        with engine.connect() as connection:
            return current_version(connection)

    def _migrate(
        self, engine: Engine, part: Part, *, until: str = "head", copy_from: Path | None = None
    ) -> None:
        with engine.execution_options(**{WRITE_OPTION: True}).connect() as connection:
            cursor = connection.connection.cursor()
            # another process may be copying the whole file
            cursor.execute(f"PRAGMA busy_timeout = {LOCK_SECONDS * 1000}")
            if copy_from is not None:
                cursor.execute("ATTACH ? AS data", (str(copy_from),))
            with connection.begin():
                migrate(connection, part, until=until)
            connection.invalidate()  # it has another timeout and an attached file

    def checkpoint_data(self) -> None:
        """Checkpoint the write-ahead log of the data file."""
        _checkpoint(self._data_file)

    def close(self) -> None:
        """Close idle connections, and checkpoint both files."""
        for engine in (self.reader, self.data, self.registry):
            engine.dispose()
        for file in (self._data_file, self._registry_file):
            _checkpoint(file)


def _checkpoint(file: Path) -> None:
    """Truncate the write-ahead log of a file, so that the file alone holds the data.

    Skipped while other connections use the file, or if it is not writable.
    """
    if not file.is_file():
        return
    connection = sqlite3.connect(file, timeout=_CHECKPOINT_SECONDS)
    with closing(connection), suppress(sqlite3.OperationalError):
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _engine(
    file: Path,
    prepare: Callable[[sqlite3.Connection], None] | None = None,
    *,
    lock_seconds: int = LOCK_SECONDS,
    pool_size: int = 5,
    cache_kib: int = _CACHE_KIB,
) -> Engine:
    """Create an engine with SQLite's own transactions: readers never wait, writers queue."""
    engine = create_engine(
        URL.create("sqlite", database=str(file)),
        connect_args={"timeout": lock_seconds},
        pool_size=pool_size,
    )

    @event.listens_for(engine, "connect")
    def _leave_transactions_to_sqlalchemy(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        _enable_wal(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA cache_size = -{cache_kib}")
        if prepare is not None:
            prepare(connection)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # a transaction that reads before it writes cannot wait for another writer
        writes = connection.get_execution_options().get(WRITE_OPTION, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _enable_wal(connection: sqlite3.Connection) -> None:
    """Enable the write-ahead log; wait while another process does the same to a new file."""
    give_up_at = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            # SQLite ignores its timeout for this statement
            is_busy = error.sqlite_errorname.startswith("SQLITE_BUSY")
            if not is_busy or time.monotonic() > give_up_at:
                raise
            time.sleep(_WAIT_STEP_SECONDS)
        else:
            return
