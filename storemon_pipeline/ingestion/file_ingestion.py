"""Ingestion of one file: skip it, resume where the last ingest ended, or read it whole.

A file is identified by its content. Unchanged content is skipped; if lines were appended to a file
of polls, only those are read; any other file is read whole.
"""

from __future__ import annotations

import logging
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

import pandas as pd
from sqlalchemy import Connection

from storemon_pipeline.ingestion.bad_rows import BadRows
from storemon_pipeline.ingestion.csv_parser import make_rejects
from storemon_pipeline.ingestion.file_errors import FileChangedError, IngestionError
from storemon_pipeline.ingestion.line_reader import LineReader, content_sha256, raise_if_changed
from storemon_pipeline.ingestion.raw_file import RawFile
from storemon_pipeline.ingestion.results import FileResult, Reading
from storemon_pipeline.ingestion.row_stream import iter_validated_rows, parse_partial_row
from storemon_pipeline.ingestion.snapshots import ingest_snapshot
from storemon_pipeline.ingestion.sources import SourceFile
from storemon_pipeline.storage.ingest_log import (
    IngestRecord,
    complete_record,
    latest_ingests,
    quarantine,
    record_file,
    remove_bad_rows,
    remove_record,
)
from storemon_pipeline.storage.poll_removal import withdraw_poll
from storemon_pipeline.storage.poll_store import PollStore, upsert_polls

BATCH_ROWS = 4_000_000
"""Polls that are sorted and stored together; bounds the memory."""


@dataclass(frozen=True, slots=True)
class FileIngestion:
    """Ingests files within one transaction.

    Attributes
    ----------
    connection : Connection
        Of :meth:`~storemon_pipeline.storage.database.Database.data_transaction`.
    polls : PollStore
    max_bad_share, min_snapshot_share, max_expansion : float
        As in :func:`~storemon_pipeline.ingestion.ingest.ingest_files`.
    now : datetime
        The time of ingestion, UTC.
    run_id : str
        Recorded with each file.
    log : Logger
    """

    connection: Connection
    polls: PollStore
    max_bad_share: float
    min_snapshot_share: float
    max_expansion: float
    now: datetime
    run_id: str
    log: logging.Logger

    def ingest(self, path: Path, kind: SourceFile) -> FileResult:
        """Update a table from one file.

        Raises
        ------
        IngestionError
            If the file cannot be used. The transaction must not be committed then.
        """
        with RawFile(path, self.max_expansion) as file:
            try:
                return self._ingest_open_file(file, kind)
            except IngestionError as error:
                if file.is_replaced() or file.is_written_to():
                    raise FileChangedError(path.name, "rewritten or replaced") from error
                raise

    def _ingest_open_file(self, file: RawFile, kind: SourceFile) -> FileResult:
        path = file.path
        latest = latest_ingests(self.connection, kind.table_name)
        previous = latest.get(path.name)
        if same := _find_unchanged(file, kind, latest):
            if same is not previous:
                self._record(replace(same, file=path.name))
            return _unchanged(path, same)
        content, reading = self._open(file, kind, previous)
        resumed = previous if reading == "appended" else None
        record = IngestRecord(
            file=path.name,
            table_name=kind.table_name,
            sha256="",
            from_line=resumed.lines_read + 1 if resumed else 1,
            bytes_read=0,
            lines_read=0,
            rows=0,
            bad_rows=0,
        )
        ingest_id = self._record(record)
        rows = BadRows(
            path.name,
            self.max_bad_share,
            partial(
                quarantine,
                self.connection,
                ingested_file_id=ingest_id,
                file=path.name,
                quarantined_at=self.now,
            ),
            resumed.rows if resumed else 0,
            resumed.bad_rows if resumed else 0,
        )
        rest, stored = self._read_rows(file, kind, content, rows)
        partial_line = content.partial_line.decode(errors="replace") or None
        if resumed and content.sha256 == resumed.sha256:
            remove_record(self.connection, ingest_id)
            return _unchanged(path, resumed, partial_line)
        rows.raise_if_too_many(at_end=True)
        stored += self._store(kind, path.name, rest)
        record = replace(
            record,
            sha256=content.sha256,
            bytes_read=content.bytes,
            lines_read=content.lines,
            rows=rows.total_rows,
            bad_rows=rows.total_bad_rows,
        )
        complete_record(self.connection, ingest_id, record)
        return FileResult(
            file=path.name,
            reading=reading,
            rows=rows.rows,
            bad_rows=rows.bad_rows,
            superseded=rows.rows - rows.bad_rows - stored,
            total_rows=record.rows,
            total_bad_rows=record.bad_rows,
            first_bad_rows=rows.first,
            partial_line=partial_line,
        )

    def _read_rows(
        self, file: RawFile, kind: SourceFile, content: LineReader, rows: BadRows
    ) -> tuple[list[pd.DataFrame], int]:
        """Read the remaining rows of a file, and store polls in full batches.

        Returns
        -------
        rest : list of DataFrame
            The valid rows that are not stored yet.
        stored : int
            Number of polls stored.
        """
        rest: list[pd.DataFrame] = []
        stored = 0
        # the generator, which prefetches from the content, must close before the content
        with content, closing(iter_validated_rows(content, kind, self.now, self.log)) as blocks:
            for count, validated in blocks:
                rows.add(count, validated)
                rest.append(validated.valid)
                if kind.is_append_only and sum(map(len, rest)) >= BATCH_ROWS:
                    stored += upsert_polls(self.polls, self.connection, pd.concat(rest))
                    rest.clear()
            raise_if_changed(file, content)
        return rest, stored

    def _store(self, kind: SourceFile, file: str, rest: list[pd.DataFrame]) -> int:
        """Store the last batch of polls, or a whole snapshot; return the number of rows stored."""
        if kind.is_append_only:
            return upsert_polls(self.polls, self.connection, pd.concat(rest)) if rest else 0
        snapshot = pd.concat(rest) if rest else pd.DataFrame(columns=list(kind.columns))
        return ingest_snapshot(self.connection, kind, file, snapshot, self.min_snapshot_share)

    def _open(
        self, file: RawFile, kind: SourceFile, previous: IngestRecord | None
    ) -> tuple[LineReader, Reading]:
        """Open a file at the end of its last ingest, or at its beginning."""
        content = LineReader(file, may_grow=kind.is_append_only)
        if previous is None:
            return content, "new"
        if kind.is_append_only:
            if content.verify_prefix(previous.bytes_read, previous.lines_read, previous.sha256):
                return content, "appended"
            if content.continued_line:
                self._withdraw_last_line(content, kind)
            content = LineReader(file, may_grow=True)
        return content, "changed"

    def _withdraw_last_line(self, content: LineReader, kind: SourceFile) -> None:
        """Remove the poll of a last line that was read before it was complete."""
        polls = parse_partial_row(content, kind, self.now)
        for store_id, at in zip(polls["store_id"], polls["timestamp_utc"], strict=True):
            withdraw_poll(self.polls, self.connection, store_id, at.to_pydatetime())
        remove_bad_rows(self.connection, content.path.name)

    def _record(self, record: IngestRecord) -> int:
        return record_file(self.connection, record, ingested_at=self.now, run_id=self.run_id)


def _find_unchanged(
    file: RawFile, kind: SourceFile, latest: dict[str, IngestRecord]
) -> IngestRecord | None:
    """Return the ingest of exactly this content, under any file name.

    Of a snapshot only the latest ingest counts: the table does not hold an older one. A file of
    polls whose content differs from its own last ingest is read, since its rows are corrections.
    """
    # a record without lines belongs to a header without a newline
    records = [record for record in latest.values() if record.lines_read]
    if not kind.is_append_only:
        records = records[-1:]
    elif file.path.name in latest:
        records = [record for record in records if record.file == file.path.name]
    if file.compression is None:
        records = [record for record in records if record.bytes_read == file.size]
    if not records:
        return None
    sha256 = content_sha256(file)
    return next((record for record in records if record.sha256 == sha256), None)


def _unchanged(path: Path, same: IngestRecord, partial_line: str | None = None) -> FileResult:
    rejects = make_rejects([], [], [])
    return FileResult(
        path.name, "unchanged", 0, 0, 0, same.rows, same.bad_rows, rejects, partial_line
    )
