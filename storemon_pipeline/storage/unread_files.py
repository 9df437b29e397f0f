"""Files that look like data but were not read by the latest ingest (table ``unread_file``)."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert, select

from storemon_pipeline.storage.schema import unread_file


def replace_unread_files(connection: Connection, files: Sequence[tuple[str, str]]) -> None:
    """Replace the list of unread files and their reasons."""
    connection.execute(delete(unread_file))
    if files:
        rows = [{"file": file, "reason": reason} for file, reason in files]
        connection.execute(insert(unread_file), rows)


def unread_files(connection: Connection) -> dict[str, str]:
    """Return the files that the latest ingest did not read, with their reasons."""
    query = select(unread_file.c.file, unread_file.c.reason).order_by(unread_file.c.file)
    return {file: reason for file, reason in connection.execute(query)}  # noqa: C416 - a row is not a tuple
