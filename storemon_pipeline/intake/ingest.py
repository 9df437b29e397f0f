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

from storemon_pipeline.intake.bad_rows import BadRows
from storemon_pipeline.intake.checked import checked_rows, continued_row
from storemon_pipeline.intake.content import Content, content_sha256, refuse_changed
from storemon_pipeline.intake.errors import FileChangedError, IntakeError
from storemon_pipeline.intake.files import KINDS, STORE_STATUS, FileKind
from storemon_pipeline.intake.raw_file import RawFile
from storemon_pipeline.intake.recognition import (
    list_unread,
    refuse_ambiguous,
    survey,
)
from storemon_pipeline.intake.results import FileReport, Reading, TableReport, log_result
from storemon_pipeline.intake.rows import bad_rows_table
from storemon_pipeline.intake.snapshot import bring_in_snapshot
from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.ingested import (
    IngestedFile,
    complete_record,
    last_ingested,
    quarantine,
    record_file,
    remove_bad_rows,
    remove_record,
)
from storemon_pipeline.storage.polls import upsert_polls
from storemon_pipeline.storage.removal import withdraw_poll
from storemon_pipeline.storage.snapshots import count_rows
from storemon_pipeline.storage.tables import metadata
from storemon_pipeline.storage.unmatched import unmatched_snapshots
from storemon_pipeline.storage.unread_files import replace_unread_files

BATCH_ROWS = 4_000_000
"""Polls that are sorted, and go into the table, together; bounds the memory."""

TRIES = 3
"""How often files are read that change while they are read."""

SECONDS_BETWEEN_TRIES = 1.0


def ingest(  # noqa: PLR0913 - each is a setting, or a fact of the run
    database: Database,
    data_dir: Path,
    *,
    max_bad_share: float,
    min_snapshot_share: float,
    max_expansion: float,
    now: datetime,
    run_id: str,
    log: logging.Logger,
    kinds: Collection[FileKind] = KINDS,
) -> dict[str, TableReport]:
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
    kinds : collection of FileKind
        Only these.

    Returns
    -------
    dict
        Table name -> what came of it.

    Raises
    ------
    IntakeError
        Where a file cannot be used; the message says which and why. Nothing has changed then.
    """
    for left in reversed(range(TRIES)):
        try:
            with database.write_data() as connection:
                work = _Ingestion(
                    connection,
                    max_bad_share,
                    min_snapshot_share,
                    max_expansion,
                    now,
                    run_id,
                    log,
                )
                return work.bring_in_all(data_dir, kinds)
        except FileChangedError as error:
            if not left:
                if isinstance(error.__cause__, IntakeError):
                    raise error.__cause__ from None
                raise
            log.warning("%s, and is read again", error.change)
            time.sleep(SECONDS_BETWEEN_TRIES)
    raise AssertionError


@dataclass(frozen=True, slots=True)
class _Ingestion:
    """One call of :func:`ingest`, within its transaction."""

    connection: Connection
    max_bad_share: float
    min_snapshot_share: float
    max_expansion: float
    now: datetime
    run_id: str
    log: logging.Logger

    def bring_in_all(self, data_dir: Path, kinds: Collection[FileKind]) -> dict[str, TableReport]:
        """Bring the tables up to date with all files."""
        directory = survey(data_dir, kinds)
        refuse_ambiguous(directory, kinds)
        if STORE_STATUS in kinds and not directory.sources[STORE_STATUS.table_name].paths:
            msg = (
                f"there is no store_status.csv in {data_dir} (nor store_status_….csv, .csv.gz or "
                ".csv.zst): put it there, or set STOREMON_DATA_DIR to the directory that has it"
            )
            if directory.unread:
                msg += f". Not read: {list_unread(directory.unread)}"
            raise IntakeError(msg)
        reports: dict[str, TableReport] = {}
        for kind in kinds:
            source = directory.sources[kind.table_name]
            report = TableReport(kind.table_name)
            report.files = [self.bring_in(path, kind) for path in source.paths]
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

    def bring_in(self, path: Path, kind: FileKind) -> FileReport:
        """Bring a table up to date with one file."""
        with RawFile(path, self.max_expansion) as file:
            try:
                return self._bring_in(file, kind)
            except IntakeError as error:
                if file.is_replaced() or file.is_written_to():
                    raise FileChangedError(path.name, "rewritten or replaced") from error
                raise

    def _bring_in(self, file: RawFile, kind: FileKind) -> FileReport:
        path = file.path
        known = last_ingested(self.connection, kind.table_name)
        before = known.get(path.name)
        if same := _same_content(file, kind, known):
            if same is not before:
                self._record(replace(same, file=path.name))
            return _unchanged(path, same)
        content, reading = self._open(file, kind, before)
        continued = before if reading == "grown" else None
        read = IngestedFile(
            file=path.name,
            table_name=kind.table_name,
            sha256="",
            first_line=continued.lines + 1 if continued else 1,
            bytes=0,
            lines=0,
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
        with content, closing(checked_rows(content, kind, self.now, self.log)) as blocks:
            for count, checked in blocks:
                rows.add(count, checked)
                good.append(checked.good)
                if kind.is_log and sum(map(len, good)) >= BATCH_ROWS:
                    kept += upsert_polls(self.connection, pd.concat(good))
                    good.clear()
            refuse_changed(file, content)
        waiting = content.waiting.decode(errors="replace") or None
        if continued and content.sha256 == continued.sha256:
            remove_record(self.connection, reading_id)
            return _unchanged(path, continued, waiting)
        rows.refuse_too_many(at_end=True)
        if kind.is_log and good:
            kept += upsert_polls(self.connection, pd.concat(good))
        if not kind.is_log:
            none = pd.DataFrame(columns=list(kind.columns))
            snapshot = pd.concat(good) if good else none
            kept = bring_in_snapshot(
                self.connection, kind, path.name, snapshot, self.min_snapshot_share
            )
        read = replace(
            read,
            sha256=content.sha256,
            bytes=content.bytes,
            lines=content.lines,
            rows=rows.total_rows,
            bad_rows=rows.total_bad_rows,
        )
        complete_record(self.connection, reading_id, read)
        return FileReport(
            file=path.name,
            reading=reading,
            rows=rows.rows,
            bad_rows=rows.bad_rows,
            superseded=rows.rows - rows.bad_rows - kept,
            total_rows=read.rows,
            total_bad_rows=read.bad_rows,
            first_bad_rows=rows.first,
            waiting_line=waiting,
        )

    def _open(
        self, file: RawFile, kind: FileKind, before: IngestedFile | None
    ) -> tuple[Content, Reading]:
        """Open a file where the last reading of it ended, or at its beginning."""
        content = Content(file, may_grow=kind.is_log)
        if before is None:
            return content, "new"
        if kind.is_log:
            if content.skip(before.bytes, before.lines, before.sha256):
                return content, "grown"
            if content.continued_line:
                self._withdraw(content, kind)
            content = Content(file, may_grow=True)
        return content, "changed"

    def _withdraw(self, content: Content, kind: FileKind) -> None:
        """Undo the reading of a file whose last line was read too early."""
        polls = continued_row(content, kind, self.now)
        for store_id, at in zip(polls["store_id"], polls["timestamp_utc"], strict=True):
            withdraw_poll(self.connection, store_id, at.to_pydatetime())
        remove_bad_rows(self.connection, content.path.name)

    def _record(self, read: IngestedFile) -> int:
        return record_file(self.connection, read, ingested_at=self.now, run_id=self.run_id)


def _same_content(
    file: RawFile, kind: FileKind, known: dict[str, IngestedFile]
) -> IngestedFile | None:
    """The reading whose content the file has to the byte, under whatever name.

    For a snapshot only the latest reading counts: an older one is not what the table holds. A file
    of polls that said something else before is read, since its rows correct what it said.
    """
    # one without a line was nothing but a header that had no newline yet
    readings = [reading for reading in known.values() if reading.lines]
    if not kind.is_log:
        readings = readings[-1:]
    elif file.path.name in known:
        readings = [reading for reading in readings if reading.file == file.path.name]
    if file.compression is None:
        readings = [reading for reading in readings if reading.bytes == file.size]
    if not readings:
        return None
    sha256 = content_sha256(file)
    return next((reading for reading in readings if reading.sha256 == sha256), None)


def _unchanged(path: Path, same: IngestedFile, waiting: str | None = None) -> FileReport:
    none = bad_rows_table([], [], [])
    return FileReport(path.name, "unchanged", 0, 0, 0, same.rows, same.bad_rows, none, waiting)
