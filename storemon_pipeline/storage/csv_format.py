"""CSV format of the report files: columns as text, rows written in bulk."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

_TWO_DECIMALS = pa.decimal128(18, 2)
_BATCH_ROWS = 100_000  # large, since Arrow acquires the GIL for each batch


def _clock_text(instants: np.ndarray) -> pa.Array:
    """Format instants as ``YYYY-MM-DDTHH:MM:SS``, with six digits of a non-zero fraction."""
    text = pa.array(instants.astype("datetime64[us]")).cast(pa.string())
    return pc.replace_substring_regex(
        pc.replace_substring(text, " ", "T"), pattern=r"\.0+$", replacement=""
    )


def format_utc_column(instants: pd.Series) -> pd.Series:
    """Format instants as ISO 8601 with ``Z``.

    Examples
    --------
    >>> format_utc_column(pd.Series(pd.to_datetime(["2023-01-25T18:00:00.25Z"]))).iloc[0]
    '2023-01-25T18:00:00.250000Z'
    """
    text = _clock_text(instants.dt.tz_localize(None).to_numpy())
    return pd.Series(pc.binary_join_element_wise(text, "Z", "").to_pandas())


def format_local_column(instants: pd.Series, offsets: pd.Series) -> pd.Series:
    """Format instants as ISO 8601 in local time with the UTC offset.

    Parameters
    ----------
    instants : Series of ``datetime64[us, UTC]``
    offsets : Series of ``timedelta64``
        UTC offset of each instant.
    """
    offset = offsets.to_numpy("timedelta64[us]")
    text = _clock_text(instants.dt.tz_localize(None).to_numpy() + offset)
    # format each distinct offset once
    seconds, which = np.unique(offset.astype("timedelta64[s]").astype(int), return_inverse=True)
    names = pa.array([_offset_text(int(second)) for second in seconds], pa.string())
    zone = names.take(pa.array(which))
    return pd.Series(pc.binary_join_element_wise(text, zone, "").to_pandas())


def _offset_text(seconds: int) -> str:
    sign, rest = "-" if seconds < 0 else "+", abs(seconds)
    text = f"{sign}{rest // 3600:02}:{rest // 60 % 60:02}"
    return f"{text}:{rest % 60:02}" if rest % 60 else text


def write_csv(file: BinaryIO, table: pd.DataFrame, *, header: bool) -> None:
    """Write a table as CSV: floats with two decimals, empty fields for missing values.

    Parameters
    ----------
    file : binary file
    table : DataFrame
        Columns of text, category, int64 or float64.
    header : bool
        Whether to write the header line first.
    """
    columns: dict[str, pa.Array] = {}
    for name, column in table.items():
        if pd.api.types.is_numeric_dtype(column.dtype):
            columns[str(name)] = _number_text(column)
        elif isinstance(column.dtype, pd.CategoricalDtype):
            categories = pa.array(column.cat.categories.astype(object), pa.string())
            columns[str(name)] = categories.take(pa.array(column.cat.codes.to_numpy()))
        else:
            columns[str(name)] = pa.array(column, from_pandas=True)
    options = csv.WriteOptions(
        include_header=header,
        quoting_style="none",
        quoting_header="none",
        batch_size=_BATCH_ROWS,
    )
    csv.write_csv(pa.table(columns), file, options)


def _number_text(column: pd.Series) -> pa.Array:
    """Format numbers as text, each distinct value once."""
    numbers = pa.array(column, from_pandas=True).dictionary_encode()
    values = numbers.dictionary
    if pa.types.is_floating(values.type):
        values = values.cast(_TWO_DECIMALS)
    return values.cast(pa.string()).take(numbers.indices)
