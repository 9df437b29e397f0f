"""Polls that are taken out of store_status by hand: kept in quarantined_row, with the reason."""

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

    ``polled_store`` stays true, and a store without a poll is gone from it. The quarantined rows
    belong to a row of ingested_file of their own, by which others see that polls have changed.

    Parameters
    ----------
    connection : Connection
        Of :meth:`~storemon_pipeline.storage.database.Database.write`, alone for the tables.
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
        How many polls were removed; where that is 0, nothing has changed.
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
        first_line=1,
        bytes=0,
        lines=0,
        rows=0,
        bad_rows=0,
    )
    reading_id = record_file(connection, reading, ingested_at=removed_at, run_id=run_id)
    kept = select(
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
            columns, kept.where(these).order_by(polls.timestamp_utc)
        )
    )
    connection.execute(delete(store_status).where(these))
    _refresh_store(connection, store_id)
    return count


def withdraw_poll(connection: Connection, store_id: str, at: datetime) -> None:
    """Remove a poll that turned out not to be what its file says.

    The file must be read again whole afterwards, since the poll may have replaced another one of
    the same store and instant.
    """
    polls = store_status.c
    connection.execute(
        delete(store_status).where((polls.store_id == store_id) & (polls.timestamp_utc == at))
    )
    _refresh_store(connection, store_id)


def _stamp(connection: Connection) -> ColumnElement[str]:
    """The instant of a poll as files write it."""
    at = store_status.c.timestamp_utc
    if connection.dialect.name == "sqlite":
        return type_coerce(at, Text) + " UTC"
    text: ColumnElement[str] = func.to_char(
        func.timezone("UTC", at), "YYYY-MM-DD HH24:MI:SS.US", type_=Text
    )
    return text + " UTC"


def _refresh_store(connection: Connection, store_id: str) -> None:
    """Make polled_store say again which polls a store has."""
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
