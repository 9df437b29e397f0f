"""Intermediate tables of a run, as Parquet: a file, or a directory with a file per slice."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
from pyarrow import parquet
from upath import UPath

from storemon_pipeline.storage.atomic_file import open_atomically

_ROW_GROUP = 100_000


def write_table(table: pd.DataFrame, path: UPath) -> None:
    """Write a table with ``store_id``; the file appears complete or not at all."""
    arrow = pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata()
    arrow = arrow.cast(pa.schema([(field.name, _stored_type(field)) for field in arrow.schema]))
    with open_atomically(path) as file:
        parquet.write_table(arrow, file, row_group_size=_ROW_GROUP)


def _stored_type(field: pa.Field) -> pa.DataType:
    """Return the type of a column in the file, the same for all slices.

    Text depends on the version of pandas: ``large_string`` since 3.
    """
    if field.name == "store_id" or pa.types.is_large_string(field.type):
        return pa.string()
    if pa.types.is_dictionary(field.type):
        return pa.dictionary(field.type.index_type, pa.string(), ordered=field.type.ordered)
    return field.type


class LazyTable:
    """A table of another asset; rows are read on demand.

    Parameters
    ----------
    path : UPath
        A Parquet file, or a directory of them.
    """

    def __init__(self, path: UPath) -> None:
        self.path = path

    def all(self) -> pd.DataFrame:
        """Read the whole table."""
        return self._read(None)

    def between(self, first: str, last: str) -> pd.DataFrame:
        """Read the rows of the stores from ``first`` to ``last``."""
        return self._read([("store_id", ">=", first), ("store_id", "<=", last)])

    def head(self, rows: int) -> pd.DataFrame:
        """Read the first rows."""
        dataset = parquet.ParquetDataset(self.path.path, filesystem=self.path.fs)
        first: pd.DataFrame = (
            parquet.read_table(dataset.files[0], filesystem=self.path.fs).slice(0, rows).to_pandas()
        )
        return first

    def _read(self, filters: list[tuple[str, str, str]] | None) -> pd.DataFrame:
        rows = parquet.read_table(self.path.path, filesystem=self.path.fs, filters=filters)
        table: pd.DataFrame = rows.to_pandas()
        return table
