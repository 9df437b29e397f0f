"""Ingestion of all raw files in one transaction: every file is ingested, or no table changes.

Polls accumulate, and a later row corrects an earlier one; every other kind of file is a snapshot
that replaces the previous one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from datetime import datetime
from pathlib import Path

from storemon_pipeline.evaluation.unmatched_snapshots import unmatched_snapshots
from storemon_pipeline.ingestion.discovery import list_unread, raise_if_ambiguous, scan_data_dir
from storemon_pipeline.ingestion.file_errors import FileChangedError, IngestionError
from storemon_pipeline.ingestion.file_ingestion import FileIngestion
from storemon_pipeline.ingestion.result_log import log_result
from storemon_pipeline.ingestion.results import TableResult
from storemon_pipeline.ingestion.sources import SOURCES, STORE_STATUS, SourceFile
from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.reference_data import count_rows
from storemon_pipeline.storage.schema import metadata
from storemon_pipeline.storage.unread_files import replace_unread_files

MAX_TRIES = 3
"""Number of attempts if files change while they are read."""

SECONDS_BETWEEN_TRIES = 1.0


def ingest_files(  # noqa: PLR0913 - each is a setting, or a fact of the run
    database: Database,
    data_dir: Path,
    *,
    max_bad_share: float,
    min_snapshot_share: float,
    max_expansion: float,
    now: datetime,
    run_id: str,
    log: logging.Logger,
    kinds: Collection[SourceFile] = SOURCES,
) -> dict[str, TableResult]:
    """Update the tables from the raw files.

    Parameters
    ----------
    database : Database
    data_dir : Path
        Directory of the raw files.
    max_bad_share : float
        A file with a larger share of bad rows is rejected, and with it the whole ingest.
    min_snapshot_share : float
        A snapshot with a smaller share of the previous one's polled stores is rejected likewise;
        0 accepts any.
    max_expansion : float
        A compressed file that expands to more than this many times its size, and to more than
        64 MiB, is rejected likewise.
    now : datetime
        The time of ingestion, UTC.
    run_id : str
        Recorded with each file.
    log : Logger
    kinds : collection of SourceFile
        Only these.

    Returns
    -------
    dict
        Table name -> TableResult.

    Raises
    ------
    IngestionError
        If a file cannot be used. The message names the file and the cause; no table has changed.
    """
    for remaining in reversed(range(MAX_TRIES)):
        try:
            with database.data_transaction() as connection:
                files = FileIngestion(
                    connection,
                    database.polls,
                    max_bad_share,
                    min_snapshot_share,
                    max_expansion,
                    now,
                    run_id,
                    log,
                )
                return _ingest_all(files, data_dir, kinds)
        except FileChangedError as error:
            if not remaining:
                if isinstance(error.__cause__, IngestionError):
                    raise error.__cause__ from None
                raise
            log.warning("%s; reading it again", error.change)
            time.sleep(SECONDS_BETWEEN_TRIES)
    raise AssertionError


def _ingest_all(
    files: FileIngestion, data_dir: Path, kinds: Collection[SourceFile]
) -> dict[str, TableResult]:
    """Update the tables from all files of a directory, and record the files that are not read."""
    directory = scan_data_dir(data_dir, kinds)
    raise_if_ambiguous(directory, kinds)
    if STORE_STATUS in kinds and not directory.sources[STORE_STATUS.table_name].paths:
        msg = (
            f"{data_dir} has no store_status.csv (or store_status_….csv, .csv.gz, .csv.zst): put "
            "it there, or set STOREMON_DATA_DIR to the directory that contains it"
        )
        if directory.unread:
            msg += f". Not read: {list_unread(directory.unread)}"
        raise IngestionError(msg)
    results: dict[str, TableResult] = {}
    for kind in kinds:
        source = directory.sources[kind.table_name]
        result = TableResult(kind.table_name)
        result.files = [files.ingest(path, kind) for path in source.paths]
        result.table_rows = (
            files.polls.count(files.connection)
            if kind.is_append_only
            else count_rows(files.connection, metadata.tables[kind.table_name])
        )
        results[kind.table_name] = result
        log_result(result, kind, source, data_dir, files.log)
    unread = [(file.file, file.reason) for file in directory.unread]
    replace_unread_files(files.connection, unread)
    for name, reason in unread:
        files.log.warning("%s is not read: %s", name, reason)
    for snapshot in unmatched_snapshots(files.connection):
        files.log.warning("%s", snapshot.sentence)
    return results
