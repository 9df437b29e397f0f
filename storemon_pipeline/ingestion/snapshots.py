"""A snapshot in place of the one before, unless it seems to be an export that broke off."""

from __future__ import annotations

import pandas as pd
from sqlalchemy import Connection

from storemon_pipeline.ingestion.errors import IngestionError
from storemon_pipeline.ingestion.sources import SourceFile
from storemon_pipeline.storage.reference_data import (
    count_polled_stores,
    count_rows,
    replace_snapshot,
)
from storemon_pipeline.storage.schema import metadata


def ingest_snapshot(
    connection: Connection, kind: SourceFile, file: str, rows: pd.DataFrame, min_share: float
) -> int:
    """Replace a table by a snapshot (Inputs); gives how many rows it has now.

    Parameters
    ----------
    connection : Connection
        Of :meth:`~storemon_pipeline.storage.database.Database.write`.
    kind : SourceFile
    file : str
        The file's name.
    rows : DataFrame
        Its good rows: the kind's columns.
    min_share : float
        Which share of the stores that were ever polled, of those that the table has now, the
        snapshot must have; 0 accepts any.

    Raises
    ------
    IngestionError
        Where it has fewer, or no row though the table has some. The transaction must not be
        committed then.
    """
    table = metadata.tables[kind.table_name]
    rows_before = count_rows(connection, table)
    stores_before = count_polled_stores(connection, table)
    kept = replace_snapshot(connection, table, rows)
    if not min_share or not rows_before:
        return kept
    if rows.empty:
        raise _truncated_snapshot_error(
            file, f"it has no good row, where {table.name} has {rows_before:,}"
        )
    stores = count_polled_stores(connection, table)
    if stores < min_share * stores_before:
        raise _truncated_snapshot_error(
            file,
            f"it has {stores:,} of the stores that are polled, where {table.name} has "
            f"{stores_before:,}: less than the {min_share:.1%} that STOREMON_MIN_SNAPSHOT_SHARE "
            "asks for",
        )
    return kept


def _truncated_snapshot_error(file: str, why: str) -> IngestionError:
    msg = (
        f"{file} is refused: {why}. Did its export break off? If it is complete, set "
        "STOREMON_MIN_SNAPSHOT_SHARE=0 and ingest again. Nothing was changed."
    )
    return IngestionError(msg)
