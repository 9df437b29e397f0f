"""unread_file: files that look like data and were not read by the last ingest."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert, select

from storemon_pipeline.storage.schema import unread_file


def replace_unread_files(connection: Connection, files: Sequence[tuple[str, str]]) -> None:
    """Record the files that an ingest did not read, with the reason of each."""
    connection.execute(delete(unread_file))
    if files:
        rows = [{"file": file, "reason": reason} for file, reason in files]
        connection.execute(insert(unread_file), rows)


def unread_files(connection: Connection) -> dict[str, str]:
    """The files that the last ingest did not read, and why, by name."""
    query = select(unread_file.c.file, unread_file.c.reason).order_by(unread_file.c.file)
    return {file: reason for file, reason in connection.execute(query)}  # noqa: C416 - rows are no pairs
