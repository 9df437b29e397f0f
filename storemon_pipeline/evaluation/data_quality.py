"""Data quality of the latest ingest, for pages and reports."""

from __future__ import annotations

from sqlalchemy import Connection

from storemon_pipeline.evaluation.unmatched_snapshots import unmatched_snapshots
from storemon_pipeline.pages.quality_notices import DataQuality
from storemon_pipeline.storage.ingest_log import count_bad_rows_by_file
from storemon_pipeline.storage.unread_files import unread_files
from storemon_pipeline.uptime.assumptions import Assumptions


def read_data_quality(
    connection: Connection, assumptions: Assumptions | None = None
) -> DataQuality:
    """Read the data quality of the files as of the latest ingest."""
    return DataQuality(
        bad_rows=count_bad_rows_by_file(connection),
        unread=unread_files(connection),
        unmatched=[snapshot.sentence for snapshot in unmatched_snapshots(connection)],
        assumptions=assumptions,
    )
