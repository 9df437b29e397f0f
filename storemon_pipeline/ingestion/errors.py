"""What a person is told when a file cannot be used: which one, where, what is wrong, what to do."""

from __future__ import annotations

import pandas as pd


class IngestionError(Exception):
    """A file, or the lack of one, that stops ingestion. Nothing was changed.

    The message names the file, the line where there is one, what was found and the remedy.
    """


class FileChangedError(IngestionError):
    """A file that changed while it was read: reading it again may help.

    Parameters
    ----------
    file : str
        Its name.
    how : str
        What was done to it: ``replaced``, ``rewritten``.

    Attributes
    ----------
    change : str
        What happened, without the remedy.
    """

    def __init__(self, file: str, how: str) -> None:
        self.change = f"{file} was {how} while it was read"
        super().__init__(
            f"{self.change}. Nothing was changed. Write such a file under another name, rename it "
            "once it is complete, and ingest again"
        )


class TooManyBadRowsError(IngestionError):
    """A file with a larger share of bad rows than accepted.

    Attributes
    ----------
    bad_rows : DataFrame
        The first of them: ``line_number``, ``row_text``, ``reason``.
    """

    def __init__(self, message: str, bad_rows: pd.DataFrame) -> None:
        super().__init__(message)
        self.bad_rows = bad_rows
