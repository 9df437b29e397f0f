"""What came of each file and table of an ingest, and the lines about it in the log."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pandas as pd

from storemon_pipeline.ingestion.discovery import SourceFiles
from storemon_pipeline.ingestion.sources import SourceFile
from storemon_pipeline.uptime.messages import pluralize, quote_value

Reading = Literal["new", "grown", "changed", "unchanged"]


@dataclass(frozen=True, slots=True)
class FileResult:
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
    partial_line : str or None
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
    partial_line: str | None = None

    @property
    def bad_share(self) -> float:
        """The share of bad rows in the whole file, 0 to 1."""
        return self.total_bad_rows / self.total_rows if self.total_rows else 0.0


@dataclass(slots=True)
class TableResult:
    """What came of one table.

    Attributes
    ----------
    table_name : str
    files : list of FileResult
        Empty where there was no file: the table is as it was.
    table_rows : int
        Rows in the table now.
    """

    table_name: str
    files: list[FileResult] = field(default_factory=list)
    table_rows: int = 0

    @property
    def total_rows(self) -> int:
        """Rows in the files, however many readings they took."""
        return sum(file.total_rows for file in self.files)

    @property
    def total_bad_rows(self) -> int:
        """Bad ones among them."""
        return sum(file.total_bad_rows for file in self.files)


def log_result(
    report: TableResult,
    kind: SourceFile,
    source: SourceFiles,
    data_dir: Path,
    log: logging.Logger,
) -> None:
    """Log what came of a table."""
    if not report.files and (report.table_rows or not kind.is_optional):
        log.warning(
            "There is no %s in %s: %s stays as it is, with %s",
            " or ".join(f"{name}.csv" for name in kind.names),
            data_dir,
            report.table_name,
            pluralize(report.table_rows, "row"),
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
                pluralize(file.rows, "row"),
                f"{file.bad_rows:,}",
                f"{file.superseded:,}",
                report.table_name,
                pluralize(report.table_rows, "row"),
            )
        if file.partial_line is not None:
            log.warning(
                "%s ends with %s, which has no newline and may be cut: it will be read once it "
                "has one",
                file.file,
                quote_value(file.partial_line, 200),
            )
