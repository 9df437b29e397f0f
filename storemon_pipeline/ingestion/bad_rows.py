"""The bad rows of a file: written as they come, and counted, so that a hopeless file ends early."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pandas as pd

from storemon_pipeline.ingestion.csv_parser import LINE, make_rejects
from storemon_pipeline.ingestion.errors import TooManyBadRowsError
from storemon_pipeline.ingestion.validation import ValidatedRows, refuse_days_from_one
from storemon_pipeline.storage.ingest_log import SHOWN_CHARACTERS
from storemon_pipeline.uptime.messages import pluralize, quote_value, shorten

MIN_ROWS_TO_JUDGE = 100_000
"""After how many rows a file is judged by those that were read so far."""

MAX_LISTED_BAD_ROWS = 20
"""How many bad rows of a file are shown; all of them are in quarantined_row."""


@dataclass(slots=True)
class BadRows:
    """The rows of a file, counted while it is read.

    Attributes
    ----------
    file : str
        Its name.
    max_bad_share : float
        The share of bad rows that is accepted.
    write : callable
        Takes the bad rows of each block: ``line_number``, ``row_text``, ``reason``.
    rows_before, bad_rows_before : int
        What earlier readings found in it, where this one continues them.
    rows, bad_rows : int
        What this reading found so far.
    first : DataFrame
        The first bad rows of this reading, with the first characters of their text.
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
        """Rows in the file so far, bad ones included."""
        return self.rows_before + self.rows

    @property
    def total_bad_rows(self) -> int:
        """Bad ones among them."""
        return self.bad_rows_before + self.bad_rows

    def add(self, rows: int, checked: ValidatedRows) -> None:
        """Count the rows of a block, and write its bad ones.

        Raises
        ------
        IngestionError
            Where the file is refused, whatever may follow.
        """
        self.rows += rows
        self.bad_rows += len(checked.rejected)
        self._weekdays |= checked.weekdays
        if missing := MAX_LISTED_BAD_ROWS - len(self.first):
            bad = checked.rejected.head(missing)
            bad = bad.assign(row_text=[shorten(text, SHOWN_CHARACTERS) for text in bad["row_text"]])
            self.first = pd.concat([self.first, bad], ignore_index=True)
        if self.total_rows >= MIN_ROWS_TO_JUDGE:
            self.refuse_too_many()
        self.write(checked.rejected)

    def refuse_too_many(self, *, at_end: bool = False) -> None:
        """Refuse a file with too many bad rows, or days of the week that seem to begin with 1.

        Parameters
        ----------
        at_end : bool
            Whether the file was read to its end.

        Raises
        ------
        IngestionError
        """
        total, bad = self.total_rows, self.total_bad_rows
        is_bad = bool(total) and bad / total > self.max_bad_share
        if at_end or is_bad:
            refuse_days_from_one(self._weekdays, self.file)
        if not is_bad:
            return
        of_rows = f"{bad:,} of its {'' if at_end else 'first '}{pluralize(total, 'row')}"
        msg = (
            f"{self.file} is refused: {of_rows} ({bad / total:.1%}) "
            f"{'is' if bad == 1 else 'are'} bad, more than the "
            f"{self.max_bad_share:.1%} that STOREMON_MAX_BAD_SHARE accepts. Nothing was changed."
        )
        if len(self.first):
            first = self.first.iloc[0]
            shown = quote_value(first["row_text"])
            msg += f" The first is line {first[LINE]}, {shown}: {first['reason']}"
        raise TooManyBadRowsError(msg, self.first)
