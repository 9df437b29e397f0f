"""Results of an ingest, per file and per table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import pandas as pd

Reading = Literal["new", "appended", "changed", "unchanged"]


@dataclass(frozen=True, slots=True)
class FileResult:
    """Result of one file.

    Attributes
    ----------
    file : str
        Name of the file.
    reading : str
        ``new``, ``appended`` (only the appended lines were read), ``changed`` (read whole again)
        or ``unchanged`` (skipped).
    rows, bad_rows : int
        Rows read by this ingest, including bad ones; the bad ones among them.
    superseded : int
        Rows read by this ingest whose key a later row repeats.
    total_rows, total_bad_rows : int
        The same for the whole file, over all its ingests.
    first_bad_rows : DataFrame
        ``line_number``, ``row_text``, ``reason`` of the first bad rows of this ingest.
    partial_line : str or None
        An incomplete last line, left for the next ingest.
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
    """Result of one table.

    Attributes
    ----------
    table_name : str
    files : list of FileResult
        Empty if there is no file: the table is unchanged.
    table_rows : int
        Rows in the table now.
    """

    table_name: str
    files: list[FileResult] = field(default_factory=list)
    table_rows: int = 0

    @property
    def total_rows(self) -> int:
        """Rows in the files, over all their ingests."""
        return sum(file.total_rows for file in self.files)

    @property
    def total_bad_rows(self) -> int:
        """Bad rows in the files, over all their ingests."""
        return sum(file.total_bad_rows for file in self.files)
