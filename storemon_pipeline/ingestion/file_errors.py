"""Errors for files that cannot be used; each message names the file, the cause and the remedy."""

from __future__ import annotations

import pandas as pd


class IngestionError(Exception):
    """A file that cannot be ingested or is missing. No table has changed.

    The message names the file, the line if there is one, the cause and the remedy.
    """


class FileChangedError(IngestionError):
    """A file that changed while it was read; a retry may succeed.

    Parameters
    ----------
    file : str
        Name of the file.
    how : str
        ``replaced`` or ``rewritten``.

    Attributes
    ----------
    change : str
        The message without the remedy.
    """

    def __init__(self, file: str, how: str) -> None:
        self.change = f"{file} was {how} while it was read"
        super().__init__(
            f"{self.change}. Nothing was changed. Write such a file under another name, rename it "
            "once it is complete, and ingest again"
        )


class TooManyBadRowsError(IngestionError):
    """A file whose share of bad rows is too large.

    Attributes
    ----------
    bad_rows : DataFrame
        The first bad rows: ``line_number``, ``row_text``, ``reason``.
    """

    def __init__(self, message: str, bad_rows: pd.DataFrame) -> None:
        super().__init__(message)
        self.bad_rows = bad_rows
