"""Vectorised text operations that pandas would do row by row."""

from __future__ import annotations

import pandas as pd
import pyarrow.compute as pc
from pyarrow import array as arrow_array
from pyarrow import string as arrow_text


def fullmatch(text: pd.Series, pattern: str) -> pd.Series:
    """Return whether each text as a whole matches a regular expression."""
    matches = pc.match_substring_regex(arrow_array(text, arrow_text()), rf"\A(?:{pattern})\z")
    return pd.Series(matches.to_numpy(zero_copy_only=False), index=text.index)
