"""Vectorised column operations that pandas would do row by row."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pyarrow.compute as pc
from pyarrow import array as arrow_array
from pyarrow import string as arrow_text


def fullmatch(text: pd.Series, pattern: str) -> pd.Series:
    """Return whether each text as a whole matches a regular expression."""
    matches = pc.match_substring_regex(arrow_array(text, arrow_text()), rf"\A(?:{pattern})\z")
    return pd.Series(matches.to_numpy(zero_copy_only=False), index=text.index)


def map_distinct(values: pd.Series, convert: Callable[[pd.Series], pd.Series]) -> pd.Series:
    """Convert each distinct value once; for columns of few values without missing ones.

    Parameters
    ----------
    values : Series
    convert : callable
        Takes the distinct values, of the dtype of ``values``; returns one result for each.

    Returns
    -------
    Series, with the index of ``values``

    Examples
    --------
    >>> map_distinct(pd.Series(["a", "b", "a"]), lambda texts: texts.str.upper()).tolist()
    ['A', 'B', 'A']
    """
    codes, distinct = pd.factorize(values)
    converted = convert(pd.Series(distinct, dtype=values.dtype))
    return pd.Series(converted.array.take(codes), index=values.index)
