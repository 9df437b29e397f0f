"""Columns of text, as a whole and by Arrow, since pandas may go row by row."""

from __future__ import annotations

import pandas as pd
import pyarrow.compute as pc
from pyarrow import array as arrow_array
from pyarrow import string as arrow_text


def fullmatch(text: pd.Series, pattern: str) -> pd.Series:
    """Whether each text is, from its beginning to its end, what a regular expression says."""
    found = pc.match_substring_regex(arrow_array(text, arrow_text()), rf"\A(?:{pattern})\z")
    return pd.Series(found.to_numpy(zero_copy_only=False), index=text.index)
