"""Raw files -> tables, all in one transaction: either every file is in, or nothing has changed.

A file is recognised by its content. The same content again is skipped; of a file of polls that has
only grown, only what is new is read; anything else is read whole. Polls add up and a later row
corrects an earlier one; opening hours and time zones are snapshots.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

import pandas as pd
from sqlalchemy import Connection

from storemon_pipeline.evaluation.unmatched_snapshots import unmatched_snapshots
from storemon_pipeline.ingestion.bad_rows import BadRows
from storemon_pipeline.ingestion.csv_parser import make_rejects
from storemon_pipeline.ingestion.discovery import list_unread, raise_if_ambiguous, scan_data_dir
from storemon_pipeline.ingestion.errors import FileChangedError, IngestionError
from storemon_pipeline.ingestion.line_reader import LineReader, content_sha256, refuse_changed
from storemon_pipeline.ingestion.raw_file import RawFile
from storemon_pipeline.ingestion.results import FileResult, Reading, TableResult, log_result
from storemon_pipeline.ingestion.row_stream import iter_validated_rows, parse_partial_row
from storemon_pipeline.ingestion.snapshots import ingest_snapshot
from storemon_pipeline.ingestion.sources import SOURCES, STORE_STATUS, SourceFile
from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.ingest_log import (
    IngestRecord,
    complete_record,
    latest_ingests,
    quarantine,
    record_file,
    remove_bad_rows,
    remove_record,
)
from storemon_pipeline.storage.polls import upsert_polls
from storemon_pipeline.storage.reference_data import count_rows
from storemon_pipeline.storage.removal import withdraw_poll
from storemon_pipeline.storage.schema import metadata
from storemon_pipeline.storage.unread_files import replace_unread_files

BATCH_ROWS = 4_000_000
"""Polls that are sorted, and go into the table, together; bounds the memory."""

TRIES = 3
"""How often files are read that change while they are read."""

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
    """Bring the tables up to date with the raw files.

    Parameters
    ----------
    database : Database
    data_dir : Path
        Where the files are.
    max_bad_share : float
        A file with a larger share of bad rows is refused, and with it all others.
    min_snapshot_share : float
        So is a snapshot with a smaller share of the polled stores of the one before; 0: none is.
    max_expansion : float
        A compressed file with more than this many times its size unpacked is refused; up to
        64 MiB it never is.
    now : datetime
        The moment of ingestion, UTC.
    run_id : str
        Recorded with what is read.
    log : Logger
    kinds : collection of SourceFile
        Only these.

    Returns
    -------
    dict
        Table name -> what came of it.

    Raises
    ------
    IngestionError
        Where a file cannot be used; the message says which and why. Nothing has changed then.
    """
    for left in reversed(range(TRIES)):
        try:
            with database.data_transaction() as connection:
                work = _Ingestion(
                    connection,
                    max_bad_share,
                    min_snapshot_share,
                    max_expansion,
                    now,
                    run_id,
                    log,
                )
                return work.ingest_all(data_dir, kinds)
        except FileChangedError as error:
            if not left:
                if isinstance(error.__cause__, IngestionError):
                    raise error.__cause__ from None
                raise
            log.warning("%s, and is read again", error.change)
            time.sleep(SECONDS_BETWEEN_TRIES)
    raise AssertionError


@dataclass(frozen=True, slots=True)
class _Ingestion:
    """One call of :func:`ingest_files`, within its transaction."""

    connection: Connection
    max_bad_share: float
    min_snapshot_share: float
    max_expansion: float
    now: datetime
    run_id: str
    log: logging.Logger

    def ingest_all(self, data_dir: Path, kinds: Collection[SourceFile]) -> dict[str, TableResult]:
        """Bring the tables up to date with all files."""
        directory = scan_data_dir(data_dir, kinds)
        raise_if_ambiguous(directory, kinds)
        if STORE_STATUS in kinds and not directory.sources[STORE_STATUS.table_name].paths:
            msg = (
                f"there is no store_status.csv in {data_dir} (nor store_status_….csv, .csv.gz or "
                ".csv.zst): put it there, or set STOREMON_DATA_DIR to the directory that has it"
            )
            if directory.unread:
                msg += f". Not read: {list_unread(directory.unread)}"
            raise IngestionError(msg)
        reports: dict[str, TableResult] = {}
        for kind in kinds:
            source = directory.sources[kind.table_name]
            report = TableResult(kind.table_name)
            report.files = [self.ingest_file(path, kind) for path in source.paths]
            report.table_rows = count_rows(self.connection, metadata.tables[kind.table_name])
            reports[kind.table_name] = report
            log_result(report, kind, source, data_dir, self.log)
        unread = [(each.file, each.reason) for each in directory.unread]
        replace_unread_files(self.connection, unread)
        for file, reason in unread:
            self.log.warning("%s is not read: %s", file, reason)
        for snapshot in unmatched_snapshots(self.connection):
            self.log.warning("%s", snapshot.sentence)
        return reports

    def ingest_file(self, path: Path, kind: SourceFile) -> FileResult:
        """Bring a table up to date with one file."""
        with RawFile(path, self.max_expansion) as file:
            try:
                return self._bring_in(file, kind)
            except IngestionError as error:
                if file.is_replaced() or file.is_written_to():
                    raise FileChangedError(path.name, "rewritten or replaced") from error
                raise

    def _bring_in(self, file: RawFile, kind: SourceFile) -> FileResult:
        path = file.path
        known = latest_ingests(self.connection, kind.table_name)
        before = known.get(path.name)
        if same := _find_unchanged(file, kind, known):
            if same is not before:
                self._record(replace(same, file=path.name))
            return _unchanged(path, same)
        content, reading = self._open(file, kind, before)
        continued = before if reading == "grown" else None
        read = IngestRecord(
            file=path.name,
            table_name=kind.table_name,
            sha256="",
            from_line=continued.lines_read + 1 if continued else 1,
            bytes_read=0,
            lines_read=0,
            rows=0,
            bad_rows=0,
        )
        reading_id = self._record(read)
        rows = BadRows(
            path.name,
            self.max_bad_share,
            partial(
                quarantine,
                self.connection,
                ingested_file_id=reading_id,
                file=path.name,
                quarantined_at=self.now,
            ),
            continued.rows if continued else 0,
            continued.bad_rows if continued else 0,
        )
        good: list[pd.DataFrame] = []
        kept = 0
        # of the two, the thread that reads ahead ends first
        with content, closing(iter_validated_rows(content, kind, self.now, self.log)) as blocks:
            for count, checked in blocks:
                rows.add(count, checked)
                good.append(checked.valid)
                if kind.is_append_only and sum(map(len, good)) >= BATCH_ROWS:
                    kept += upsert_polls(self.connection, pd.concat(good))
                    good.clear()
            refuse_changed(file, content)
        waiting = content.partial_line.decode(errors="replace") or None
        if continued and content.sha256 == continued.sha256:
            remove_record(self.connection, reading_id)
            return _unchanged(path, continued, waiting)
        rows.refuse_too_many(at_end=True)
        if kind.is_append_only and good:
            kept += upsert_polls(self.connection, pd.concat(good))
        if not kind.is_append_only:
            none = pd.DataFrame(columns=list(kind.columns))
            snapshot = pd.concat(good) if good else none
            kept = ingest_snapshot(
                self.connection, kind, path.name, snapshot, self.min_snapshot_share
            )
        read = replace(
            read,
            sha256=content.sha256,
            bytes_read=content.bytes,
            lines_read=content.lines,
            rows=rows.total_rows,
            bad_rows=rows.total_bad_rows,
        )
        complete_record(self.connection, reading_id, read)
        return FileResult(
            file=path.name,
            reading=reading,
            rows=rows.rows,
            bad_rows=rows.bad_rows,
            superseded=rows.rows - rows.bad_rows - kept,
            total_rows=read.rows,
            total_bad_rows=read.bad_rows,
            first_bad_rows=rows.first,
            partial_line=waiting,
        )

    def _open(
        self, file: RawFile, kind: SourceFile, before: IngestRecord | None
    ) -> tuple[LineReader, Reading]:
        """Open a file where the last reading of it ended, or at its beginning."""
        content = LineReader(file, may_grow=kind.is_append_only)
        if before is None:
            return content, "new"
        if kind.is_append_only:
            if content.verify_prefix(before.bytes_read, before.lines_read, before.sha256):
                return content, "grown"
            if content.continued_line:
                self._withdraw(content, kind)
            content = LineReader(file, may_grow=True)
        return content, "changed"

    def _withdraw(self, content: LineReader, kind: SourceFile) -> None:
        """Undo the reading of a file whose last line was read too early."""
        polls = parse_partial_row(content, kind, self.now)
        for store_id, at in zip(polls["store_id"], polls["timestamp_utc"], strict=True):
            withdraw_poll(self.connection, store_id, at.to_pydatetime())
        remove_bad_rows(self.connection, content.path.name)

    def _record(self, read: IngestRecord) -> int:
        return record_file(self.connection, read, ingested_at=self.now, run_id=self.run_id)


def _find_unchanged(
    file: RawFile, kind: SourceFile, known: dict[str, IngestRecord]
) -> IngestRecord | None:
    """The reading whose content the file has to the byte, under whatever name.

    For a snapshot only the latest reading counts: an older one is not what the table holds. A file
    of polls that said something else before is read, since its rows correct what it said.
    """
    # one without a line was nothing but a header that had no newline yet
    readings = [reading for reading in known.values() if reading.lines_read]
    if not kind.is_append_only:
        readings = readings[-1:]
    elif file.path.name in known:
        readings = [reading for reading in readings if reading.file == file.path.name]
    if file.compression is None:
        readings = [reading for reading in readings if reading.bytes_read == file.size]
    if not readings:
        return None
    sha256 = content_sha256(file)
    return next((reading for reading in readings if reading.sha256 == sha256), None)


def _unchanged(path: Path, same: IngestRecord, waiting: str | None = None) -> FileResult:
    none = make_rejects([], [], [])
    return FileResult(path.name, "unchanged", 0, 0, 0, same.rows, same.bad_rows, none, waiting)
