"""Schema versions: Alembic migrations, run when a database is not up to date.

A migration never changes once it is released. :mod:`.schema` declares the current tables, and a
test compares both on both databases.

SQLite has two files, and the migrations run on each. Those before :data:`SPLIT` create all tables
in both; that migration drops from each file the tables of the other. Later ones change a table only
if the database :func:`holds` it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection, inspect, text

VERSION = "0013"
"""The newest migration, repeated here so that an up-to-date database costs one query."""

SPLIT = "0007"
"""The migration that moves the registry's tables into a separate SQLite file."""

Part = Literal["data", "registry", "all"]
"""The tables in a database: those of one of SQLite's two files, or, on PostgreSQL, all."""

_PARTITION = re.compile(r"store_status_\d{4}_\d{2}")


class NewerDatabaseError(RuntimeError):
    """Raised for a database that was created by a newer version of this project."""


def include_in_autogenerate(name: str | None, type_: str, _parents: object) -> bool:
    """Return whether a table is declared, unlike partitions, which are created on demand."""
    return type_ != "table" or not _PARTITION.fullmatch(name or "")


def current_version(connection: Connection) -> str | None:
    """Return the current migration of a database, or None for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    version: str | None = connection.execute(
        text("SELECT version_num FROM alembic_version")
    ).scalar_one_or_none()
    return version


def holds(table: str) -> bool:
    """Return whether the database being migrated has a table; for migrations after the split.

    A new table is created where another one of the same part exists.
    """
    from alembic import op  # noqa: PLC0415 - as below

    return inspect(op.get_bind()).has_table(table)


def migrate(connection: Connection, part: Part, *, until: str = "head") -> None:
    """Migrate the schema, in the transaction of the connection.

    Parameters
    ----------
    connection : Connection
    part : {"data", "registry", "all"}
        The tables that the database holds. A new registry has the data file attached as
        ``data``, to copy from.
    until : str
        The migration to stop at; does nothing if the schema is past it.

    Raises
    ------
    NewerDatabaseError
        If the database has an unknown version.
    """
    # imported late, since an up-to-date database does not need it
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes.update(connection=connection, part=part)
    try:
        command.upgrade(config, until)
    except CommandError as error:
        msg = (
            f"the database has schema version {current_version(connection)}, but this version of "
            f"the project supports {VERSION} at most: install the newer version"
        )
        raise NewerDatabaseError(msg) from error
