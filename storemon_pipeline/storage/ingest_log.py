"""Log of ingested files and their quarantined rows (``ingested_file``, ``quarantined_row``)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pandas as pd
import pyarrow as pa
from sqlalchemy import Connection, ScalarSelect, delete, func, insert, select, update

from storemon_pipeline.storage import bulk_load
from storemon_pipeline.storage.schema import ingested_file, quarantined_row

SHOWN_CHARACTERS = 500
"""Characters of a bad row that are shown; quarantined_row has the whole row."""


@dataclass(frozen=True, slots=True)
class IngestRecord:
    """One reading of a file.

    Attributes
    ----------
    file, table_name : str
        The file name in the data directory, and the table of its rows.
    sha256 : str
        Hash of the content read, uncompressed.
    from_line : int
        First line of this reading: 1, or after the previous reading of an appended file.
    bytes_read, lines_read : int
        Amount of content read, by this reading and those it continues.
    rows, bad_rows : int
        All rows in that content, and the bad ones among them.
    """

    file: str
    table_name: str
    sha256: str
    from_line: int
    bytes_read: int
    lines_read: int
    rows: int
    bad_rows: int


def _of_row(row: object) -> IngestRecord:
    return IngestRecord(*(getattr(row, name) for name in IngestRecord.__dataclass_fields__))


_FIELDS = [ingested_file.c[name] for name in IngestRecord.__dataclass_fields__]


def latest_ingests(connection: Connection, table_name: str) -> dict[str, IngestRecord]:
    """Return the latest reading of each file of a table, by file name, oldest first."""
    newest = (
        select(func.max(ingested_file.c.ingested_file_id))
        .where(ingested_file.c.table_name == table_name)
        .group_by(ingested_file.c.file)
    )
    query = (
        select(*_FIELDS)
        .where(ingested_file.c.ingested_file_id.in_(newest))
        .order_by(ingested_file.c.ingested_file_id)
    )
    return {row.file: _of_row(row) for row in connection.execute(query)}


def count_bad_rows_by_file(connection: Connection) -> dict[str, int]:
    """Count the quarantined rows of each file, as of its latest reading; only non-zero counts."""
    newest = select(func.max(ingested_file.c.ingested_file_id)).group_by(ingested_file.c.file)
    query = (
        select(ingested_file.c.file, ingested_file.c.bad_rows)
        .where(ingested_file.c.ingested_file_id.in_(newest), ingested_file.c.bad_rows > 0)
        .order_by(ingested_file.c.file)
    )
    return {file: bad_rows for file, bad_rows in connection.execute(query)}  # noqa: C416 - a row is not a tuple


def record_file(
    connection: Connection, read: IngestRecord, *, ingested_at: datetime, run_id: str
) -> int:
    """Record a reading of a file; return its id, for its quarantined rows."""
    values = {name: getattr(read, name) for name in IngestRecord.__dataclass_fields__}
    result = connection.execute(
        insert(ingested_file).values(**values, ingested_at=ingested_at, run_id=run_id)
    )
    return int(result.inserted_primary_key[0])  # type: ignore[index]


def complete_record(connection: Connection, ingested_file_id: int, read: IngestRecord) -> None:
    """Update the record of a reading at its end."""
    values = {name: getattr(read, name) for name in IngestRecord.__dataclass_fields__}
    connection.execute(
        update(ingested_file)
        .where(ingested_file.c.ingested_file_id == ingested_file_id)
        .values(**values)
    )


def remove_record(connection: Connection, ingested_file_id: int) -> None:
    """Delete the record of a reading without new content."""
    connection.execute(
        delete(ingested_file).where(ingested_file.c.ingested_file_id == ingested_file_id)
    )


def quarantine(
    connection: Connection,
    bad_rows: pd.DataFrame,
    *,
    ingested_file_id: int,
    file: str,
    quarantined_at: datetime,
) -> None:
    """Quarantine bad rows: ``line_number``, ``row_text`` and ``reason`` of each."""
    if bad_rows.empty:
        return
    rows = len(bad_rows)
    at = pa.scalar(quarantined_at.astimezone(UTC).replace(tzinfo=None), pa.timestamp("us"))
    table = pa.table(
        {
            "ingested_file_id": pa.repeat(pa.scalar(ingested_file_id, pa.int32()), rows),
            "file": pa.repeat(file, rows),
            "line_number": pa.array(bad_rows["line_number"], pa.int64()),
            "row_text": pa.array(bad_rows["row_text"], pa.string()),
            "reason": pa.array(bad_rows["reason"], pa.string()),
            "quarantined_at": pa.repeat(at, rows),
        }
    )
    bulk_load.insert_rows(connection, quarantined_row.name, table)


def _begun(file: str) -> ScalarSelect[int]:
    """Select the latest reading of a file that began at its first line."""
    reading = ingested_file.c
    return (
        select(func.max(reading.ingested_file_id))
        .where(reading.file == file, reading.from_line == 1)
        .scalar_subquery()
    )


def remove_bad_rows(connection: Connection, file: str) -> None:
    """Delete the bad rows of a file that is about to be read again from the start."""
    row = quarantined_row.c
    connection.execute(
        delete(quarantined_row).where(row.file == file, row.ingested_file_id >= _begun(file))
    )


def read_bad_rows(connection: Connection, file: str, most: int) -> pd.DataFrame:
    """Return the first bad rows of a file, across all readings since its first line.

    Returns
    -------
    DataFrame
        ``file``, ``line_number``, ``row_text`` (its first characters), ``reason``.
    """
    row = quarantined_row.c
    text = func.substr(row.row_text, 1, SHOWN_CHARACTERS)
    query = (
        select(row.file, row.line_number, text.label("row_text"), row.reason)
        .where(row.file == file, row.ingested_file_id >= _begun(file))
        .order_by(row.line_number)
        .limit(most)
    )
    return pd.read_sql(query, connection)


def latest_ingest_id(connection: Connection) -> int:
    """Return the highest id of ingested_file, or 0."""
    query = select(func.max(ingested_file.c.ingested_file_id))
    return connection.execute(query).scalar_one() or 0
