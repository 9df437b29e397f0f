"""Remove polls on request, and quarantine them with the reason."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    Text,
    delete,
    func,
    insert,
    literal,
    select,
    type_coerce,
    update,
)

from storemon_pipeline.storage.ingest_log import IngestRecord, record_file
from storemon_pipeline.storage.schema import (
    UtcDateTime,
    polled_store,
    quarantined_row,
    store_status,
)

_PLACE = "store_status (remove_polls_job)"


def remove_polls(
    connection: Connection,
    store_id: str,
    start: datetime,
    end: datetime,
    *,
    removed_at: datetime,
    run_id: str,
) -> int:
    """Move the polls of a store in ``[start, end)`` to quarantined_row.

    ``polled_store`` is updated; a store without polls is deleted from it. The quarantined rows
    refer to a new row of ingested_file, which signals the change.

    Parameters
    ----------
    connection : Connection
        Of :meth:`~storemon_pipeline.storage.database.Database.data_transaction`.
    store_id : str
    start, end : datetime
        UTC.
    removed_at : datetime
        UTC.
    run_id : str
        The run that removes them.

    Returns
    -------
    int
        Number of removed polls; if 0, nothing has changed.
    """
    polls = store_status.c
    these = (
        (polls.store_id == store_id) & (polls.timestamp_utc >= start) & (polls.timestamp_utc < end)
    )
    count = connection.execute(
        select(func.count()).select_from(store_status).where(these)
    ).scalar_one()
    if not count:
        return 0
    reading = IngestRecord(
        file=_PLACE,
        table_name=store_status.name,
        sha256="",
        from_line=1,
        bytes_read=0,
        lines_read=0,
        rows=0,
        bad_rows=0,
    )
    reading_id = record_file(connection, reading, ingested_at=removed_at, run_id=run_id)
    quarantined = select(
        literal(reading_id),
        literal(_PLACE),
        literal(0),
        polls.store_id + "," + polls.status + "," + _stamp(connection),
        literal(f"removed by run {run_id}"),
        literal(removed_at, UtcDateTime),
    )
    columns = (
        "ingested_file_id",
        "file",
        "line_number",
        "row_text",
        "reason",
        "quarantined_at",
    )
    connection.execute(
        insert(quarantined_row).from_select(
            columns, quarantined.where(these).order_by(polls.timestamp_utc)
        )
    )
    connection.execute(delete(store_status).where(these))
    _refresh_store(connection, store_id)
    return count


def withdraw_poll(connection: Connection, store_id: str, at: datetime) -> None:
    """Remove a poll that was parsed from an incomplete line.

    The file must be read again from the start, since the poll may have replaced another one of the
    same store and instant.
    """
    polls = store_status.c
    connection.execute(
        delete(store_status).where((polls.store_id == store_id) & (polls.timestamp_utc == at))
    )
    _refresh_store(connection, store_id)


def _stamp(connection: Connection) -> ColumnElement[str]:
    """Format the instant of a poll as in the files."""
    at = store_status.c.timestamp_utc
    if connection.dialect.name == "sqlite":
        return type_coerce(at, Text) + " UTC"
    text: ColumnElement[str] = func.to_char(
        func.timezone("UTC", at), "YYYY-MM-DD HH24:MI:SS.US", type_=Text
    )
    return text + " UTC"


def _refresh_store(connection: Connection, store_id: str) -> None:
    """Update the first and last poll of a store in polled_store."""
    polls, this = store_status.c, polled_store.c.store_id == store_id
    first, last = connection.execute(
        select(func.min(polls.timestamp_utc), func.max(polls.timestamp_utc)).where(
            polls.store_id == store_id
        )
    ).one()
    if first is None:
        connection.execute(delete(polled_store).where(this))
    else:
        connection.execute(
            update(polled_store).where(this).values(first_poll_utc=first, last_poll_utc=last)
        )
