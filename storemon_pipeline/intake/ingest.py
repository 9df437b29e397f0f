"""Raw files -> tables, all in one transaction: either every file is in, or nothing has changed.

A file is recognised by its content. The same content again is skipped; of a file of polls that has
only grown, only what is new is read; anything else is read whole. Polls add up and a later row
corrects an earlier one; opening hours and time zones are snapshots.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

import pandas as pd
from sqlalchemy import Connection

from storemon_pipeline.ahead import one_ahead
from storemon_pipeline.intake.content import Block, Content, compression_of, content_sha256
from storemon_pipeline.intake.errors import IntakeError, TooManyBadRowsError
from storemon_pipeline.intake.files import KINDS, STORE_STATUS, FileKind
from storemon_pipeline.intake.recognition import (
    SourceFiles,
    list_unread,
    refuse_ambiguous,
    survey,
)
from storemon_pipeline.intake.rows import (
    LINE,
    Header,
    bad_rows_table,
    lines_text,
    read_header,
    read_rows,
)
from storemon_pipeline.intake.schemas import CheckedRows, check_rows, is_whole_poll
from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.ingested import (
    IngestedFile,
    last_ingested,
    quarantine,
    record_file,
)
from storemon_pipeline.storage.polls import upsert_polls
from storemon_pipeline.storage.snapshots import count_rows, replace_snapshot
from storemon_pipeline.storage.tables import metadata
from storemon_pipeline.storage.unmatched import unmatched_snapshots
from storemon_pipeline.storage.unread_files import replace_unread_files
from storemon_pipeline.wording import counted

Reading = Literal["new", "grown", "changed", "unchanged"]

BATCH_ROWS = 4_000_000
"""Polls that are sorted, and go into the table, together; bounds the memory."""

SHOWN_BAD_ROWS = 20
"""How many bad rows of a file are shown; all of them are in quarantined_row."""


@dataclass(frozen=True, slots=True)
class FileReport:
    """What came of one file.

    Attributes
    ----------
    file : str
        Its name.
    reading : str
        ``new``, ``grown`` (only what was added was read), ``changed`` (read whole again) or
        ``unchanged`` (skipped).
    rows, bad_rows : int
        Rows that were read now, bad ones included; bad ones among them.
    superseded : int
        Rows that were read now and repeat the key of a later one, which counts.
    total_rows, total_bad_rows : int
        The same for the whole file, however many readings it took.
    first_bad_rows : DataFrame
        ``line_number``, ``row_text``, ``reason`` of the first bad rows of this reading.
    waiting_line : str or None
        A last line that is not whole yet and is left for the next time.
    """

    file: str
    reading: Reading
    rows: int
    bad_rows: int
    superseded: int
    total_rows: int
    total_bad_rows: int
    first_bad_rows: pd.DataFrame
    waiting_line: str | None = None

    @property
    def bad_share(self) -> float:
        """The share of bad rows in the whole file, 0 to 1."""
        return self.total_bad_rows / self.total_rows if self.total_rows else 0.0


@dataclass(slots=True)
class TableReport:
    """What came of one table.

    Attributes
    ----------
    table_name : str
    files : list of FileReport
        Empty where there was no file: the table is as it was.
    table_rows : int
        Rows in the table now.
    """

    table_name: str
    files: list[FileReport] = field(default_factory=list)
    table_rows: int = 0

    @property
    def total_rows(self) -> int:
        """Rows in the files, however many readings they took."""
        return sum(file.total_rows for file in self.files)

    @property
    def total_bad_rows(self) -> int:
        """Bad ones among them."""
        return sum(file.total_bad_rows for file in self.files)


def ingest(
    database: Database,
    data_dir: Path,
    *,
    max_bad_share: float,
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
    with database.write(alone="tables") as connection:
        work = _Ingestion(connection, max_bad_share, now, run_id, log)
        for kind in kinds:
            source = directory.sources[kind.table_name]
            report = TableReport(kind.table_name)
            report.files = [work.bring_in(path, kind) for path in source.paths]
            report.table_rows = count_rows(connection, metadata.tables[kind.table_name])
            reports[kind.table_name] = report
            _say(report, kind, source, data_dir, log)
        replace_unread_files(connection, [(each.file, each.reason) for each in directory.unread])
        unmatched = unmatched_snapshots(connection)
    for each in directory.unread:
        log.warning("%s is not read: %s", each.file, each.reason)
    for snapshot in unmatched:
        log.warning("%s", snapshot.sentence)
    return reports


@dataclass(frozen=True, slots=True)
class _Ingestion:
    """One call of :func:`ingest`, within its transaction."""

    connection: Connection
    max_bad_share: float
    now: datetime
    run_id: str
    log: logging.Logger

    def bring_in(self, path: Path, kind: FileKind) -> FileReport:
        """Bring a table up to date with one file."""
        known = last_ingested(self.connection, kind.table_name)
        before = known.get(path.name)
        if same := _same_content(path, kind, known):
            if same is not before:
                self._record(replace(same, file=path.name))
            return _unchanged(path, same)
        content, reading = _open(path, kind, before)
        # of the two, the thread that reads ahead ends first
        with content, closing(self._checked_rows(content, kind)) as checked_rows:
            bad: list[pd.DataFrame] = []
            good: list[pd.DataFrame] = []
            count = kept = 0
            for rows, checked in checked_rows:
                count += rows
                bad.append(checked.bad)
                good.append(checked.good)
                if kind.is_log and sum(map(len, good)) >= BATCH_ROWS:
                    kept += upsert_polls(self.connection, pd.concat(good))
                    good.clear()
            total = before if before and reading == "grown" else None
            bad_rows = pd.concat([bad_rows_table([], [], []), *bad], ignore_index=True)
            read = IngestedFile(
                file=path.name,
                table_name=kind.table_name,
                sha256=content.sha256,
                first_line=before.lines + 1 if before and reading == "grown" else 1,
                bytes=content.bytes,
                lines=content.lines,
                rows=count + (total.rows if total else 0),
                bad_rows=len(bad_rows) + (total.bad_rows if total else 0),
            )
            waiting = content.waiting.decode(errors="replace") or None
        if before and reading == "grown" and read.sha256 == before.sha256:
            return _unchanged(path, before, waiting)
        report = FileReport(
            file=path.name,
            reading=reading,
            rows=count,
            bad_rows=len(bad_rows),
            superseded=0,
            total_rows=read.rows,
            total_bad_rows=read.bad_rows,
            first_bad_rows=bad_rows.head(SHOWN_BAD_ROWS),
            waiting_line=waiting,
        )
        if report.bad_share > self.max_bad_share:
            raise _too_many(report, self.max_bad_share)
        if kind.is_log and good:
            kept += upsert_polls(self.connection, pd.concat(good))
        if not kind.is_log:
            table = metadata.tables[kind.table_name]
            none = pd.DataFrame(columns=list(kind.columns))
            kept = replace_snapshot(self.connection, table, pd.concat(good) if good else none)
        report = replace(report, superseded=count - len(bad_rows) - kept)
        quarantine(
            self.connection,
            bad_rows,
            ingested_file_id=self._record(read),
            file=path.name,
            quarantined_at=self.now,
        )
        return report

    def _record(self, read: IngestedFile) -> int:
        return record_file(self.connection, read, ingested_at=self.now, run_id=self.run_id)

    def _checked_rows(self, content: Content, kind: FileKind) -> Generator[tuple[int, CheckedRows]]:
        """How many rows each block has, and the good and the bad ones among them."""
        header = read_header(content.header(), kind, content.path.name)
        blocks = ((block, read_rows(block, header)) for block in _row_blocks(content, header, kind))
        with one_ahead(blocks) as blocks_and_rows:
            for block, rows in blocks_and_rows:
                checked = check_rows(rows.text, kind, self.now)
                lines = checked.bad[LINE].tolist()
                texts = lines_text(block, lines)
                bad = pd.concat(
                    [rows.bad_rows, bad_rows_table(lines, texts, checked.bad["reason"])]
                )
                yield rows.count, CheckedRows(checked.good, bad.sort_values(LINE))
                self.log.info(
                    "%s: read up to line %s; of the last %s, %s quarantined",
                    content.path.name,
                    f"{block.first_line + rows.lines - 1:,}",
                    counted(rows.count, "row"),
                    f"{len(bad):,}",
                )


def _same_content(
    path: Path, kind: FileKind, known: dict[str, IngestedFile]
) -> IngestedFile | None:
    """The reading whose content the file has to the byte, under whatever name.

    For a snapshot only the latest reading counts: an older one is not what the table holds. A file
    of polls that said something else before is read, since its rows correct what it said.
    """
    # one without a line was nothing but a header that had no newline yet
    readings = [reading for reading in known.values() if reading.lines]
    if not kind.is_log:
        readings = readings[-1:]
    elif path.name in known:
        readings = [reading for reading in readings if reading.file == path.name]
    if compression_of(path) is None:
        size = path.stat().st_size
        readings = [reading for reading in readings if reading.bytes == size]
    if not readings:
        return None
    sha256 = content_sha256(path)
    return next((reading for reading in readings if reading.sha256 == sha256), None)


def _unchanged(path: Path, same: IngestedFile, waiting: str | None = None) -> FileReport:
    none = bad_rows_table([], [], [])
    return FileReport(path.name, "unchanged", 0, 0, 0, same.rows, same.bad_rows, none, waiting)


def _open(path: Path, kind: FileKind, before: IngestedFile | None) -> tuple[Content, Reading]:
    """Open a file where the last reading of it ended, or at its beginning."""
    if before is None:
        return Content(path), "new"
    if kind.is_log:
        content = Content(path)
        if content.skip(before.bytes, before.lines, before.sha256):
            return content, "grown"
    return Content(path), "changed"


def _row_blocks(content: Content, header: Header, kind: FileKind) -> Iterator[Block]:
    """The blocks of a file's content without its header; its last line too, if that is whole."""
    for block in content.blocks():
        if block.first_line == 1:
            end_of_header = block.data.index(b"\n") + 1
            block = Block(block.data[end_of_header:], 2)  # noqa: PLW2901
        if block.data:
            yield block
    if content.waiting and _is_whole(content, header, kind):
        block = content.read_waiting()
        if block.first_line > 1:
            yield block


def _is_whole(content: Content, header: Header, kind: FileKind) -> bool:
    """Whether a last line without a newline is to be read now.

    A snapshot is read whole again when its content changes, and a compressed file ends where it
    ends. A file of polls may be in the middle of being written.
    """
    if not kind.is_log or content.is_compressed:
        return True
    if not content.lines:
        return False
    line = content.waiting.decode(errors="replace").encode()
    text = read_rows(Block(line + b"\n", content.lines + 1), header).text
    if text.empty:
        return False
    values = {name: str(text[name].iloc[0]) for name in header.positions}
    last = [name for name, position in header.positions.items() if position == header.width - 1]
    return is_whole_poll(values, last[0] if last else None)


def _too_many(report: FileReport, max_bad_share: float) -> TooManyBadRowsError:
    first = report.first_bad_rows.iloc[0] if len(report.first_bad_rows) else None
    bad = report.total_bad_rows
    msg = (
        f"{report.file} is refused: {bad:,} of its {counted(report.total_rows, 'row')} "
        f"({report.bad_share:.1%}) {'is' if bad == 1 else 'are'} bad, more than the "
        f"{max_bad_share:.1%} that STOREMON_MAX_BAD_SHARE accepts. Nothing was changed."
    )
    if first is not None:
        msg += f" The first is line {first[LINE]}, {first['row_text']!r}: {first['reason']}"
    return TooManyBadRowsError(msg, report.first_bad_rows)


def _say(
    report: TableReport,
    kind: FileKind,
    source: SourceFiles,
    data_dir: Path,
    log: logging.Logger,
) -> None:
    """Tell in the log what came of a table."""
    if not report.files and (report.table_rows or not kind.is_optional):
        log.warning(
            "There is no %s in %s: %s stays as it is, with %s",
            " or ".join(f"{name}.csv" for name in kind.names),
            data_dir,
            report.table_name,
            counted(report.table_rows, "row"),
        )
    if source.by_header:
        log.warning(
            "%s is read as %s.csv, since its header has %s: rename it to be sure",
            source.paths[0].name,
            kind.names[0],
            ", ".join(kind.columns),
        )
    for file in report.files:
        if file.reading == "unchanged":
            log.info("%s is unchanged and was skipped", file.file)
        else:
            log.info(
                "%s is %s: %s read, %s quarantined, %s superseded by a later row; %s now has %s",
                file.file,
                file.reading,
                counted(file.rows, "row"),
                f"{file.bad_rows:,}",
                f"{file.superseded:,}",
                report.table_name,
                counted(report.table_rows, "row"),
            )
        if file.waiting_line is not None:
            log.warning(
                "%s ends with %r, which has no newline and may be cut: it will be read once it "
                "has one",
                file.file,
                file.waiting_line[:200],
            )
