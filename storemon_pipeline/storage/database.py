"""A database: how to reach it, read from it, and change it in one transaction.

Everything that differs between PostgreSQL and SQLite and is not a table's own is here.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import adbc_driver_postgresql.dbapi
import pyarrow as pa
from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.exc import DatabaseError, DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionError

from storemon_pipeline.storage.errors import classify_error, unreachable
from storemon_pipeline.storage.schema_version import VERSION, current_version, migrate
from storemon_pipeline.storage.sqlite import WRITE_OPTION, SqliteEngines

# any numbers, the same for all of this project's writers: some wait for each other only
ADVISORY_LOCKS = {"tables": 7_867_301, "requests": 7_867_302, "alerts": 7_867_303}
_FETCHED_ROWS = 500
# of PostgreSQL: kept open, and as many again at times; a server usually takes 100
_CONNECTIONS = 10
_CONNECT_SECONDS = 10


class Database:
    """A PostgreSQL or SQLite database with this project's tables.

    On SQLite these are two files (:mod:`.sqlite`): the data, and the registry of reports, requests
    and alerts. No transaction writes both, on either database.

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
        try:
            if self.is_sqlite:
                self._open_sqlite()
            else:
                self._open_postgresql()
        except (DatabaseError, OSError) as error:
            fault = classify_error(error, self._url)
            raise fault or unreachable(getattr(error, "orig", error), self._url) from error

    def _open_sqlite(self) -> None:
        files = SqliteEngines(Path(str(self._url.database)))
        files.migrate()
        self._engine, self._data, self._registry = files.reader, files.data, files.registry
        self._checkpoint = files.checkpoint_data
        # also where a process ends without closing it
        self._close = weakref.finalize(self, files.close)

    def _open_postgresql(self) -> None:
        # a connection that the server has closed in the meantime is noticed before it is used
        self._engine = create_engine(
            self._url,
            pool_pre_ping=True,
            pool_size=_CONNECTIONS,
            max_overflow=_CONNECTIONS,
            pool_timeout=_CONNECT_SECONDS,
            connect_args={"connect_timeout": _CONNECT_SECONDS} | dict(self._url.query),
        )
        self._data = self._registry = self._engine
        self._close = weakref.finalize(self, self._engine.dispose)
        with self.read() as connection:
            version = current_version(connection)
        if version != VERSION:
            with self.data_transaction() as connection:
                migrate(connection, "all")

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Re-raise a fault of the database or its disk as one sentence."""
        try:
            yield
        except (DBAPIError, NoConnectionError) as error:
            fault = classify_error(error, self._url)
            if fault is None:
                raise
            raise fault from error

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield a connection that sees one state of the database and changes nothing."""
        reader = self._engine
        if not self.is_sqlite:  # where each statement would see what is new by then
            reader = reader.execution_options(isolation_level="REPEATABLE READ")
        with self._faults(), reader.connect() as connection:
            yield connection

    @contextmanager
    def data_transaction(self) -> Iterator[Connection]:
        """Yield a connection that writes what files bring: polls, hours, zones, what was ingested.

        All changes happen at the end, or, on an error, none of them. There is one such transaction
        at a time; the next one waits. On SQLite the connection has no other tables.
        """
        writer = self._data.execution_options(**{WRITE_OPTION: True})
        with self._faults(), writer.begin() as connection:
            self._lock(connection, "tables")
            yield connection
        if self.is_sqlite:
            self._checkpoint()

    @contextmanager
    def registry_transaction(
        self, *, lock: Literal["requests", "alerts"] | None = None
    ) -> Iterator[Connection]:
        """Yield a connection that writes reports, requests for them, their figures, and alerts.

        All changes happen at the end, or, on an error, none of them. It never waits for
        :meth:`data_transaction`. On SQLite the connection has no other tables, and every such
        transaction waits for the one before: keep them short.

        Parameters
        ----------
        lock : {"requests", "alerts"}, optional
            Advisory lock to hold for the transaction: "requests" or "alerts".
        """
        writer = self._registry.execution_options(**{WRITE_OPTION: True})
        with self._faults(), writer.begin() as connection:
            if lock:
                self._lock(connection, lock)
            yield connection

    def _lock(self, connection: Connection, name: str) -> None:
        if not self.is_sqlite:  # where a writer is alone in any case
            connection.execute(
                text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": ADVISORY_LOCKS[name]}
            )

    def fetch_arrow(self, query: str, parameters: dict[str, str]) -> pa.Table:
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
        limit = {"connect_timeout": str(_CONNECT_SECONDS)} | dict(self._url.query)
        url = self._url.set(drivername="postgresql", query=limit)
        address = url.render_as_string(hide_password=False)
        try:
            with (
                adbc_driver_postgresql.dbapi.connect(address) as connection,
                connection.cursor() as cursor,
            ):
                cursor.execute(literal)
                return cursor.fetch_arrow_table()
        except adbc_driver_postgresql.dbapi.OperationalError as error:
            raise unreachable(error, self._url) from error

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
        """Close all connections. On SQLite each file alone is then all that was written."""
        self._close()
