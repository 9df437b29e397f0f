"""Quarantine of bad rows, and early rejection of files with too many of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pandas as pd

from storemon_pipeline.ingestion.csv_parser import LINE, make_rejects
from storemon_pipeline.ingestion.file_errors import TooManyBadRowsError
from storemon_pipeline.ingestion.validation import ValidatedRows, raise_if_days_from_one
from storemon_pipeline.storage.ingest_log import SHOWN_CHARACTERS
from storemon_pipeline.uptime.messages import pluralize, quote_value, shorten

MIN_ROWS_TO_JUDGE = 100_000
"""Number of rows after which a file may be rejected before its end."""

MAX_LISTED_BAD_ROWS = 20
"""Number of bad rows of a file that are shown; quarantined_row has all of them."""


@dataclass(slots=True)
class BadRows:
    """Row counts of a file while it is read.

    Attributes
    ----------
    file : str
        Name of the file.
    max_bad_share : float
        The accepted share of bad rows.
    write : callable
        Stores the bad rows of a block: ``line_number``, ``row_text``, ``reason``.
    rows_before, bad_rows_before : int
        Counts of earlier ingests, if this ingest resumes after them.
    rows, bad_rows : int
        Counts of this ingest so far.
    first : DataFrame
        The first bad rows of this ingest, with the beginning of their text.
    """

    file: str
    max_bad_share: float
    write: Callable[[pd.DataFrame], None]
    rows_before: int = 0
    bad_rows_before: int = 0
    rows: int = 0
    bad_rows: int = 0
    first: pd.DataFrame = field(default_factory=lambda: make_rejects([], [], []))
    _weekdays: frozenset[str] = frozenset()

    @property
    def total_rows(self) -> int:
        """Rows in the file so far, including bad ones."""
        return self.rows_before + self.rows

    @property
    def total_bad_rows(self) -> int:
        """Bad rows in the file so far."""
        return self.bad_rows_before + self.bad_rows

    def add(self, rows: int, validated: ValidatedRows) -> None:
        """Count the rows of a block, and store its bad rows.

        Raises
        ------
        IngestionError
            If the file is rejected, regardless of its remaining rows.
        """
        self.rows += rows
        self.bad_rows += len(validated.rejected)
        self._weekdays |= validated.weekdays
        if missing := MAX_LISTED_BAD_ROWS - len(self.first):
            bad = validated.rejected.head(missing)
            bad = bad.assign(row_text=[shorten(text, SHOWN_CHARACTERS) for text in bad["row_text"]])
            self.first = pd.concat([self.first, bad], ignore_index=True)
        if self.total_rows >= MIN_ROWS_TO_JUDGE:
            self.raise_if_too_many()
        self.write(validated.rejected)

    def raise_if_too_many(self, *, at_end: bool = False) -> None:
        """Reject a file with too many bad rows, or with weekdays that appear to start at 1.

        Parameters
        ----------
        at_end : bool
            Whether the whole file has been read.

        Raises
        ------
        IngestionError
        """
        total, bad = self.total_rows, self.total_bad_rows
        is_bad = bool(total) and bad / total > self.max_bad_share
        if at_end or is_bad:
            raise_if_days_from_one(self._weekdays, self.file)
        if not is_bad:
            return
        counts = f"{bad:,} of its {'' if at_end else 'first '}{pluralize(total, 'row')}"
        msg = (
            f"{self.file} was rejected: {counts} ({bad / total:.1%}) "
            f"{'is' if bad == 1 else 'are'} bad, more than the "
            f"{self.max_bad_share:.1%} that STOREMON_MAX_BAD_SHARE allows. Nothing was changed."
        )
        if len(self.first):
            first = self.first.iloc[0]
            text = quote_value(first["row_text"])
            msg += f" The first is line {first[LINE]}, {text}: {first['reason']}"
        raise TooManyBadRowsError(msg, self.first)
