"""What a person is told when a file cannot be used: which one, where, what is wrong, what to do."""

from __future__ import annotations

import pandas as pd


class IntakeError(Exception):
    """A file, or the lack of one, that stops ingestion. Nothing was changed.

    The message names the file, the line where there is one, what was found and the remedy.
    """


class TooManyBadRowsError(IntakeError):
    """A file with a larger share of bad rows than accepted.

    Attributes
    ----------
    bad_rows : DataFrame
        The first of them: ``line_number``, ``row_text``, ``reason``.
    """

    def __init__(self, message: str, bad_rows: pd.DataFrame) -> None:
        super().__init__(message)
        self.bad_rows = bad_rows
