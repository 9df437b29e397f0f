"""Remove polls on request, and quarantine them with the reason."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, insert

from storemon_pipeline.storage.ingest_log import IngestRecord, record_file
from storemon_pipeline.storage.poll_store import PollStore
from storemon_pipeline.storage.polled_stores import refresh_store
from storemon_pipeline.storage.schema import quarantined_row, store_status

_PLACE = "store_status (remove_polls_job)"


def remove_polls(
    polls: PollStore,
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
    polls : PollStore
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
    removed = polls.remove(connection, store_id, start, end)
    if removed.empty:
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
    stamp = removed["timestamp_utc"].dt.strftime("%Y-%m-%d %H:%M:%S.%f UTC")
    connection.execute(
        insert(quarantined_row),
        [
            {
                "ingested_file_id": reading_id,
                "file": _PLACE,
                "line_number": 0,
                "row_text": f"{store_id},{status},{at}",
                "reason": f"removed by run {run_id}",
                "quarantined_at": removed_at,
            }
            for status, at in zip(removed["status"], stamp, strict=True)
        ],
    )
    refresh_store(polls, connection, store_id)
    return len(removed)


def withdraw_poll(polls: PollStore, connection: Connection, store_id: str, at: datetime) -> None:
    """Remove a poll that was parsed from an incomplete line.

    The file must be read again from the start, since the poll may have replaced another one of the
    same store and instant.
    """
    polls.remove(connection, store_id, at, at + timedelta(microseconds=1))
    refresh_store(polls, connection, store_id)
