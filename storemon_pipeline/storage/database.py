"""A database: how to reach it, read from it, and change it in one transaction.

Everything that differs between PostgreSQL and SQLite and is not a table's own is here.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import adbc_driver_postgresql.dbapi
import pyarrow as pa
from sqlalchemy import Connection, create_engine, event, make_url, text
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DatabaseError

from storemon_pipeline.storage.migrate import VERSION, current_version, migrate

_WRITES = "storemon_writes"
# any numbers, the same for all of this project's writers: some wait for each other only
_LOCKS = {"tables": 7_867_301, "requests": 7_867_302, "alerts": 7_867_303}
_WAIT_SECONDS = 600
_WAIT_STEP_SECONDS = 0.02
_FETCHED_ROWS = 500


class DatabaseUnavailableError(RuntimeError):
    """The database cannot be reached; the message says which and what to check."""


class Database:
    """A PostgreSQL or SQLite database with this project's tables.

    Parameters
    ----------
    url : str
        As of :class:`~storemon_pipeline.settings.Settings`. The schema is brought up to date where
        it is not, and the directory of a SQLite file is made where it is missing.

    Raises
    ------
    DatabaseUnavailableError
        Where it cannot be reached.
    """

    def __init__(self, url: str) -> None:
        self._url = make_url(url)
        self.is_sqlite = self._url.get_backend_name() == "sqlite"
        # a connection that the server has closed in the meantime is noticed before it is used
        self._engine = (
            _sqlite_engine(url) if self.is_sqlite else create_engine(url, pool_pre_ping=True)
        )
        try:
            if self.is_sqlite:
                Path(str(self._url.database)).parent.mkdir(parents=True, exist_ok=True)
            with self.read() as connection:
                version = current_version(connection)
            if version != VERSION:
                with self.write(alone="tables") as connection:
                    migrate(connection)
        except (DatabaseError, OSError) as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> DatabaseUnavailableError:
        why = str(error.orig if isinstance(error, DatabaseError) else error)
        first_line = why.partition("\n")[0]  # the others guess at the reason, as we do
        msg = (
            f"the database {self._url.render_as_string(hide_password=True)} cannot be reached: "
            f"{first_line}. Is it running, and is STOREMON_DATABASE_URL right?"
        )
        return DatabaseUnavailableError(msg)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield a connection that sees one state of the database and changes nothing."""
        reader = self._engine
        if not self.is_sqlite:  # where each statement would see what is new by then
            reader = reader.execution_options(isolation_level="REPEATABLE READ")
        with reader.connect() as connection:
            yield connection

    @contextmanager
    def write(
        self, *, alone: Literal["tables", "requests", "alerts"] | None = None
    ) -> Iterator[Connection]:
        """Yield a connection whose changes all happen at the end, or, on an error, none of them.

        Parameters
        ----------
        alone : {"tables", "requests", "alerts"}, optional
            Wait until nobody else writes these alone: all tables and how they are made, what is
            asked for over REST, or the alerts. On SQLite every writer waits for every other.
        """
        writer = self._engine.execution_options(**{_WRITES: True})
        with writer.begin() as connection:
            if alone and not self.is_sqlite:
                connection.execute(
                    text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCKS[alone]}
                )
            yield connection

    def fetch(self, query: str, parameters: dict[str, str]) -> pa.Table:
        """Read many rows at once, as Arrow.

        PostgreSQL is read by ADBC, several times faster than row by row. SQLite is not: ADBC brings
        a SQLite library of its own, and two of those in one process undo each other's locks, so
        that what one has written is lost (https://sqlite.org/howtocorrupt.html, 2.2.1).

        Parameters
        ----------
        query : str
            With ``:name`` for each parameter; its columns are text on SQLite.
        parameters : dict
            Text by name; PostgreSQL is to cast where it needs another type.

        Raises
        ------
        DatabaseUnavailableError
            Where PostgreSQL cannot be reached any more.
        """
        if self.is_sqlite:
            return self._fetch_from_sqlite(query, parameters)
        # ADBC reads by COPY, which is what makes it fast, only what has no parameters
        bound = text(query).bindparams(**parameters)
        literal = str(bound.compile(self._engine, compile_kwargs={"literal_binds": True}))
        url = self._url.set(drivername="postgresql").render_as_string(hide_password=False)
        try:
            with (
                adbc_driver_postgresql.dbapi.connect(url) as connection,
                connection.cursor() as cursor,
            ):
                cursor.execute(literal)
                return cursor.fetch_arrow_table()
        except adbc_driver_postgresql.dbapi.OperationalError as error:
            raise self._unavailable(error) from error

    def _fetch_from_sqlite(self, query: str, parameters: dict[str, str]) -> pa.Table:
        batches = []
        with self.read() as connection:
            cursor = connection.connection.cursor()
            cursor.execute(query, parameters)
            schema = pa.schema([(column[0], pa.string()) for column in cursor.description])
            # few at a time: Python's garbage collector goes through many live rows again and again
            while rows := cursor.fetchmany(_FETCHED_ROWS):
                columns = map(pa.array, zip(*rows, strict=True), schema.types)
                batches.append(pa.RecordBatch.from_arrays(list(columns), schema=schema))
            cursor.close()
        return pa.Table.from_batches(batches, schema).combine_chunks()

    def close(self) -> None:
        """Give back all connections."""
        self._engine.dispose()


def _sqlite_engine(url: str) -> Engine:
    """An engine whose transactions are SQLite's own: readers never wait, writers wait in a row."""
    engine = create_engine(url, connect_args={"timeout": _WAIT_SECONDS})

    @event.listens_for(engine, "connect")
    def _leave_transactions_to_sqlalchemy(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        _write_ahead(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # a transaction that begins by reading and then writes cannot wait for another writer
        writes = connection.get_execution_options().get(_WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Make SQLite's journal a write-ahead log; of several processes at a new file each waits."""
    give_up_at = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            # for this one statement SQLite does not heed the timeout
            is_busy = error.sqlite_errorname.startswith("SQLITE_BUSY")
            if not is_busy or time.monotonic() > give_up_at:
                raise
            time.sleep(_WAIT_STEP_SECONDS)
        else:
            return
