"""The schema's versions: Alembic's migrations, run where a database is not up to date.

A migration is written once and never changed; what the tables look like now is declared in
:mod:`.tables`, and a test holds both together on both databases.
"""

from __future__ import annotations

import re
from pathlib import Path

from sqlalchemy import Connection, inspect, text

VERSION = "0010"
"""The newest migration. Kept here as well, so that an up-to-date database costs one query."""

_PARTITION = re.compile(r"store_status_\d{4}_\d{2}")


class NewerDatabaseError(RuntimeError):
    """The database was made by a newer version of this project."""


def is_declared(name: str | None, type_: str, _parents: object) -> bool:
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


def migrate(connection: Connection) -> None:
    """Bring the schema up to date, in the connection's transaction.

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
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        msg = (
            f"the database has schema version {current_version(connection)}, which this version "
            f"of the project, with {VERSION}, does not know: install the newer version"
        )
        raise NewerDatabaseError(msg) from error
