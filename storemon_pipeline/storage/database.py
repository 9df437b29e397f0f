"""Connections and transactions of a PostgreSQL or SQLite database."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import adbc_driver_postgresql.dbapi
import pyarrow as pa
from sqlalchemy import Connection, create_engine, exists, make_url, select, text
from sqlalchemy.exc import DatabaseError, DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionError
from upath import UPath

from storemon_pipeline.storage.bulk_read import fetch_from_sqlite
from storemon_pipeline.storage.database_faults import (
    DatabaseUnavailableError,
    classify_error,
    unreachable,
)
from storemon_pipeline.storage.parquet_polls import ParquetPolls
from storemon_pipeline.storage.poll_store import PollStore
from storemon_pipeline.storage.schema import poll_file, store_status
from storemon_pipeline.storage.schema_version import VERSION, current_version, migrate
from storemon_pipeline.storage.sql_polls import SqlPolls
from storemon_pipeline.storage.sqlite import WRITE_OPTION, SqliteEngines

# arbitrary numbers, the same for all writers of this project
ADVISORY_LOCKS = {"tables": 7_867_301, "requests": 7_867_302, "alerts": 7_867_303}
# connections to PostgreSQL, twice as many at peaks; a server usually allows 100
_CONNECTIONS = 10
_CONNECT_SECONDS = 10


class PollsElsewhereError(DatabaseUnavailableError):
    """Raised if ``STOREMON_POLLS_URL`` does not match the place of the polls."""

    def __init__(self, message: str) -> None:
        super().__init__(message, is_transient=False)


class Database:
    """A PostgreSQL or SQLite database with this project's tables.

    On SQLite it is two files (:mod:`.sqlite`): the data, and the registry of reports, requests and
    alerts. No transaction writes both, on either database.

    Parameters
    ----------
    url : str
        As in :class:`~storemon_pipeline.settings.Settings`. The schema is migrated, and the
        directory of a SQLite file is created, if necessary.
    polls_url : str, optional
        Directory of Parquet files of polls, any path that fsspec supports. Not given: polls are in
        the table ``store_status``.

    check_polls : bool
        Whether to check that polls are where the settings say.

    Raises
    ------
    DatabaseUnavailableError
        If it cannot be reached.
    PollsElsewhereError
        If polls are in the other place.
    """

    def __init__(self, url: str, polls_url: str | None = None, *, check_polls: bool = True) -> None:
        self._url = make_url(url)
        self._polls_root = UPath(polls_url) if polls_url else None
        self.is_sqlite = self._url.get_backend_name() == "sqlite"
        try:
            if self.is_sqlite:
                self._open_sqlite()
            else:
                self._open_postgresql()
        except (DatabaseError, OSError) as error:
            fault = classify_error(error, self._url)
            raise fault or unreachable(getattr(error, "orig", error), self._url) from error
        if check_polls:
            self._raise_if_polls_are_elsewhere()

    def _raise_if_polls_are_elsewhere(self) -> None:
        """Compare the place of the polls with the settings.

        Otherwise the other place would read as a history without polls.
        """
        if self._polls_root is None:
            elsewhere = poll_file.c.replaced_at.is_(None)
            place, remedy = "Parquet files", "set STOREMON_POLLS_URL"
        else:
            elsewhere = store_status.c.store_id.is_not(None)
            place, remedy = "the table store_status", "unset STOREMON_POLLS_URL"
        with self.read() as connection:
            if not connection.execute(select(exists().where(elsewhere))).scalar_one():
                return
        msg = (
            f"the polls are in {place}: {remedy}, or move them with "
            "python -m storemon_pipeline.move_polls"
        )
        raise PollsElsewhereError(msg)

    def _open_sqlite(self) -> None:
        files = SqliteEngines(Path(str(self._url.database)))
        files.migrate()
        self._engine, self._data, self._registry = files.reader, files.data, files.registry
        self._checkpoint = files.checkpoint_data
        # also close if the process ends without calling close()
        self._close = weakref.finalize(self, files.close)

    def _open_postgresql(self) -> None:
        # pre-ping detects connections that the server has closed
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

    @property
    def url(self) -> str:
        """The URL, with its password."""
        return self._url.render_as_string(hide_password=False)

    @property
    def polls(self) -> PollStore:
        """The store of the polls."""
        # created on access, since a reference to each other would delay closing
        if self._polls_root is None:
            return SqlPolls(self)
        return ParquetPolls(self, self._polls_root)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Re-raise database faults with a message that names the remedy."""
        try:
            yield
        except (DBAPIError, NoConnectionError) as error:
            fault = classify_error(error, self._url)
            if fault is None:
                raise
            raise fault from error

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield a read-only connection with a consistent snapshot of the database."""
        reader = self._engine
        if not self.is_sqlite:  # where each statement would see newer data by default
            reader = reader.execution_options(isolation_level="REPEATABLE READ")
        with self._faults(), reader.connect() as connection:
            yield connection

    @contextmanager
    def data_transaction(self) -> Iterator[Connection]:
        """Yield a connection that writes ingested data: polls, hours, zones and the ingest log.

        Commits at the end, or rolls back on an error. Only one such transaction runs at a time. On
        SQLite the connection has no other tables.
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
        """Yield a connection that writes reports, their requests and metrics, and alerts.

        Commits at the end, or rolls back on an error. Never waits for :meth:`data_transaction`. On
        SQLite the connection has no other tables, and only one such transaction runs at a time:
        keep it short.

        Parameters
        ----------
        lock : {"requests", "alerts"}, optional
            Advisory lock to hold for the transaction.
        """
        writer = self._registry.execution_options(**{WRITE_OPTION: True})
        with self._faults(), writer.begin() as connection:
            if lock:
                self._lock(connection, lock)
            yield connection

    def _lock(self, connection: Connection, name: str) -> None:
        if not self.is_sqlite:  # which has a single writer anyway
            connection.execute(
                text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": ADVISORY_LOCKS[name]}
            )

    def fetch_arrow(self, query: str, parameters: dict[str, str]) -> pa.Table:
        """Read rows as an Arrow table.

        PostgreSQL is read by ADBC, several times faster than row by row. SQLite is not: ADBC
        bundles its own SQLite library, and two copies in one process break each other's locks,
        which loses writes (https://sqlite.org/howtocorrupt.html, 2.2.1).

        Parameters
        ----------
        query : str
            With ``:name`` for each parameter; its columns are text on SQLite.
        parameters : dict
            Text by name; the query casts it on PostgreSQL.

        Raises
        ------
        DatabaseUnavailableError
            If PostgreSQL cannot be reached.
        """
        if self.is_sqlite:
            with self.read() as connection:
                return fetch_from_sqlite(connection, query, parameters)
        # ADBC uses the fast COPY protocol only for queries without parameters
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

    def close(self) -> None:
        """Close all connections. On SQLite, each file is then complete without its WAL."""
        self._close()
