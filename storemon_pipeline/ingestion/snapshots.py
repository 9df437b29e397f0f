"""Replacement of a snapshot, unless the new one looks truncated."""

from __future__ import annotations

import pandas as pd
from sqlalchemy import Connection

from storemon_pipeline.ingestion.file_errors import IngestionError
from storemon_pipeline.ingestion.sources import SourceFile
from storemon_pipeline.storage.reference_data import (
    count_polled_stores,
    count_rows,
    replace_snapshot,
)
from storemon_pipeline.storage.schema import metadata
from storemon_pipeline.uptime.messages import pluralize


def ingest_snapshot(
    connection: Connection, kind: SourceFile, file: str, rows: pd.DataFrame, min_share: float
) -> int:
    """Replace a table by a snapshot (Inputs), and return its number of rows.

    Parameters
    ----------
    connection : Connection
        Of :meth:`~storemon_pipeline.storage.database.Database.data_transaction`.
    kind : SourceFile
    file : str
        Name of the file.
    rows : DataFrame
        Valid rows of the file, with the kind's columns.
    min_share : float
        The minimum number of polled stores in the snapshot, as a share of the polled stores in the
        table; 0 accepts any.

    Raises
    ------
    IngestionError
        If the snapshot has fewer, or is empty although the table is not. The transaction must not
        be committed then.
    """
    table = metadata.tables[kind.table_name]
    rows_before = count_rows(connection, table)
    stores_before = count_polled_stores(connection, table)
    row_count = replace_snapshot(connection, table, rows)
    if not min_share or not rows_before:
        return row_count
    if rows.empty:
        raise _truncated_snapshot_error(
            file, f"it has no valid rows, but {table.name} has {rows_before:,}"
        )
    stores = count_polled_stores(connection, table)
    if stores < min_share * stores_before:
        raise _truncated_snapshot_error(
            file,
            f"it has {pluralize(stores, 'polled store')}, but {table.name} has {stores_before:,}: "
            f"fewer than the {min_share:.1%} that STOREMON_MIN_SNAPSHOT_SHARE requires",
        )
    return row_count


def _truncated_snapshot_error(file: str, why: str) -> IngestionError:
    msg = (
        f"{file} was rejected: {why}. It may be truncated. If it is complete, set "
        "STOREMON_MIN_SNAPSHOT_SHARE=0 and ingest again. Nothing was changed."
    )
    return IngestionError(msg)
