"""The schema's versions: Alembic's migrations, run where a database is not up to date.

A migration is written once and never changed; what the tables look like now is declared in
:mod:`.schema`, and a test holds both together on both databases.

SQLite has two files, and the migrations run on each. Those before :data:`SPLIT` make all tables in
both; that one drops from each file what the other has. A later one changes a table only where it
:func:`holds` it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection, inspect, text

VERSION = "0010"
"""The newest migration. Kept here as well, so that an up-to-date database costs one query."""

SPLIT = "0007"
"""The migration that moves the registry's tables into a SQLite file of their own."""

Part = Literal["data", "registry", "all"]
"""What a database holds: one of SQLite's two files, or, on PostgreSQL, all tables."""

_PARTITION = re.compile(r"store_status_\d{4}_\d{2}")


class NewerDatabaseError(RuntimeError):
    """The database was made by a newer version of this project."""


def include_in_autogenerate(name: str | None, type_: str, _parents: object) -> bool:
    """Whether a database's table is one that is declared: partitions are made as needed."""
    return type_ != "table" or not _PARTITION.fullmatch(name or "")


def current_version(connection: Connection) -> str | None:
    """The migration that the database has arrived at; None for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    version: str | None = connection.execute(
        text("SELECT version_num FROM alembic_version")
    ).scalar_one_or_none()
    return version


def holds(table: str) -> bool:
    """Whether the database that is being migrated has a table; for migrations after the split.

    A new table is made where one of the same part is.
    """
    from alembic import op  # noqa: PLC0415 - as below

    return inspect(op.get_bind()).has_table(table)


def migrate(connection: Connection, part: Part, *, until: str = "head") -> None:
    """Bring the schema up to date, in the connection's transaction.

    Parameters
    ----------
    connection : Connection
    part : {"data", "registry", "all"}
        What the database holds. A new registry has the data file attached as ``data``, to copy
        from.
    until : str
        The migration to stop at; nothing happens where the schema is past it.

    Raises
    ------
    NewerDatabaseError
        Where the database has a version that this project does not know.
    """
    # imported late: a database that is up to date does not need it
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
            f"the database has schema version {current_version(connection)}, which this version "
            f"of the project, with {VERSION}, does not know: install the newer version"
        )
        raise NewerDatabaseError(msg) from error
