"""Parsing of timestamps, and detection of incomplete ones."""

from __future__ import annotations

import re

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import ArrowInvalid
from pyarrow import array as arrow_array
from pyarrow import string as arrow_text
from pyarrow import timestamp as arrow_timestamp

from storemon_pipeline.ingestion.columns import fullmatch

# UTC by name or Z, or an offset; Go writes UTC's offset and its name
_ZONE = r"(?i:UTC|GMT|Z|[+-]00(?::?00)?\s*(?:UTC|GMT)|[+-]\d\d(?::?[0-5]\d)?)"
_TIMESTAMP = rf"\d{{4}}-\d\d-\d\d[ Tt]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:\s*{_ZONE})?"
_FIRST_INSTANT = pd.Timestamp("0001-01-01", tz="UTC")

# an ending after which nothing can change the timestamp
_COMPLETE_ZONE = re.compile(r"(?:UTC|GMT|Z|[+-]\d\d:?\d\d)$", re.IGNORECASE)
_FINER = r"(\.\d{6})\d+"
_IN_UTC = r"(?i)^(.{16}(?::\d\d(?:\.\d{1,6})?)?)\d*\s*(?:[+-]00(?::?00)?)?\s*(?:UTC|GMT|Z)?$"
_NAME_OF_UTC = r"(?i)\s*(?:UTC|GMT)$"


def parse_timestamps(text: pd.Series) -> pd.Series:
    """Parse timestamps; NaT if invalid.

    Parameters
    ----------
    text : Series of text
        ``2023-01-22 12:09:39.388884 UTC`` with any number of fractional digits, or ISO 8601 with
        ``Z`` or an offset; ``UTC``, ``GMT`` and ``Z`` in any case. UTC if there is no zone.

    Returns
    -------
    Series of ``datetime64[us, UTC]``
        Truncated to microseconds.
    """
    values = arrow_array(text, arrow_text())
    shaped = fullmatch(text, _TIMESTAMP)
    instants = _fast_timestamps(values, text.index) if shaped.all() else None
    if instants is None:
        instants = _slow_timestamps(values, text.index, shaped)
    # the calendar has no year 0, and neither database can return such a timestamp
    return instants.where(instants >= _FIRST_INSTANT)


def _fast_timestamps(values: pa.Array, index: pd.Index) -> pd.Series | None:
    """Parse timestamps in UTC; None if one has another offset or is invalid.

    Arrow is several times faster, but does not report which value is invalid.
    """
    for strip in (_without_name_of_utc, _without_utc):
        try:
            instants = strip(values).cast(arrow_timestamp("us"))
        except ArrowInvalid:
            continue
        return pd.Series(instants.to_numpy(), index=index).dt.tz_localize("UTC")
    return None


def _without_name_of_utc(values: pa.Array) -> pa.Array:
    return pc.ascii_rtrim(values, " \t\n\f\rUTCGMZutcgmz")


def _without_utc(values: pa.Array) -> pa.Array:
    """Also remove a zero offset and truncate to microseconds; several times slower."""
    return pc.replace_substring_regex(values, _IN_UTC, r"\1")


def _slow_timestamps(values: pa.Array, index: pd.Index, shaped: pd.Series) -> pd.Series:
    """Parse timestamps of any offset; NaT if invalid."""
    exact = pc.replace_substring_regex(values, _FINER, r"\1")
    plain = pc.utf8_upper(pc.replace_substring_regex(exact, _NAME_OF_UTC, ""))
    text = pd.Series(plain.to_numpy(zero_copy_only=False), index=index, dtype="str").where(shaped)
    instants = pd.to_datetime(text, format="ISO8601", utc=True, errors="coerce")
    return instants.astype("datetime64[us, UTC]")


def is_complete_timestamp(text: str) -> bool:
    """Return whether no appended text can change a timestamp.

    Examples
    --------
    >>> is_complete_timestamp("2023-01-22 12:09:39.38")
    False
    >>> is_complete_timestamp("2023-01-22 12:09:39 utc")
    True
    """
    return bool(_COMPLETE_ZONE.search(text) and re.fullmatch(_TIMESTAMP, text, re.ASCII))
