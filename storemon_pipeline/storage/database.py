"""A database: how to reach it, read from it, and change it in one transaction.

Everything that differs between PostgreSQL and SQLite and is not a table's own is here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import adbc_driver_postgresql.dbapi
import adbc_driver_sqlite.dbapi
import pyarrow as pa
from sqlalchemy import Connection, create_engine, event, inspect, make_url, text
from sqlalchemy.engine import Engine
from sqlalchemy.exc import OperationalError

from storemon_pipeline.storage.tables import metadata

_WRITES = "storemon_writes"
_LOCK = 7_867_301  # any number, the same for all of this project's writers
_WAIT_SECONDS = 600


class DatabaseUnavailableError(RuntimeError):
    """The database cannot be reached; the message says which and what to check."""


class Database:
    """A PostgreSQL or SQLite database with this project's tables.

    Parameters
    ----------
    url : str
        As of :class:`~storemon_pipeline.settings.Settings`. The tables are made where they are
        missing, and so is the directory of a SQLite file.

    Raises
    ------
    DatabaseUnavailableError
        Where it cannot be reached.
    """

    def __init__(self, url: str) -> None:
        self._url = make_url(url)
        self.is_sqlite = self._url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            Path(str(self._url.database)).parent.mkdir(parents=True, exist_ok=True)
        self._engine = _sqlite_engine(url) if self.is_sqlite else create_engine(url)
        try:
            if not set(metadata.tables) <= set(inspect(self._engine).get_table_names()):
                with self.write(alone=True) as connection:
                    metadata.create_all(connection)
        except OperationalError as error:
            msg = (
                f"the database {self._url.render_as_string(hide_password=True)} cannot be reached: "
                f"{error.orig}. Is it running, and is STOREMON_DATABASE_URL right?"
            )
            raise DatabaseUnavailableError(msg) from error

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield a connection that sees one state of the database and changes nothing."""
        with self._engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self, *, alone: bool = False) -> Iterator[Connection]:
        """Yield a connection whose changes all happen at the end, or, on an error, none of them.

        Parameters
        ----------
        alone : bool
            Wait until nobody else writes alone. On SQLite every writer does.
        """
        writer = self._engine.execution_options(**{_WRITES: True})
        with writer.begin() as connection:
            if alone and not self.is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            yield connection

    def fetch(self, query: str, parameters: tuple[Any, ...]) -> pa.Table:
        """Read many rows at once, as Arrow, by ADBC: several times faster than row by row.

        Parameters
        ----------
        query : str
            With ``?`` for each parameter.
        parameters : tuple
            Text; PostgreSQL is to cast where it needs another type.
        """
        if self.is_sqlite:
            connection = adbc_driver_sqlite.dbapi.connect(str(self._url.database))
        else:
            connection = adbc_driver_postgresql.dbapi.connect(
                self._url.set(drivername="postgresql").render_as_string(hide_password=False)
            )
            for number in range(1, len(parameters) + 1):
                query = query.replace("?", f"${number}", 1)
        with connection, connection.cursor() as cursor:
            cursor.execute(query, parameters)
            return cursor.fetch_arrow_table()

    def close(self) -> None:
        """Give back all connections."""
        self._engine.dispose()


def _sqlite_engine(url: str) -> Engine:
    """An engine whose transactions are SQLite's own: readers never wait, writers wait in a row."""
    engine = create_engine(url, connect_args={"timeout": _WAIT_SECONDS})

    @event.listens_for(engine, "connect")
    def _leave_transactions_to_sqlalchemy(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # a transaction that begins by reading and then writes cannot wait for another writer
        writes = connection.get_execution_options().get(_WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
