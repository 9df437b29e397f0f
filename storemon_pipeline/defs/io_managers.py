"""What passes between the assets of a run: files under the run's id.

Two runs at once never read each other's data, since each has a directory of its own,
``<reports_dir>/<run id>/intermediate/``. A run that makes only some of the assets reads the others
from the run they were made in last, all of them from the same one:

- a retried run continues the run it is a retry of;
- any other continues the newest run that left a complete set.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow as pa
from dagster import UPathIOManager
from pyarrow import parquet
from upath import UPath

from storemon_pipeline.defs.errors import as_dagster_failure
from storemon_pipeline.defs.metadata import PREVIEW_ROWS, preview
from storemon_pipeline.defs.run_storage import RunStorage, write_text_atomically
from storemon_pipeline.settings import Settings
from storemon_pipeline.uptime.report_request import ReportRequest

_ROW_GROUP = 100_000


class TableBatches:
    """A table that is made slice by slice, so that it need not fit into memory.

    Parameters
    ----------
    slices : iterable of DataFrame
        With the same columns, sorted by ``store_id`` from one to the next.
    """

    def __init__(self, slices: Iterable[pd.DataFrame]) -> None:
        self._slices = slices

    def __iter__(self) -> Iterator[pd.DataFrame]:
        """Make the slices, once."""
        return iter(self._slices)


class LazyTable:
    """A table that another asset of the run has left, read as far as it is needed.

    Parameters
    ----------
    path : UPath
    """

    def __init__(self, path: UPath) -> None:
        self._path = path

    def all(self) -> pd.DataFrame:
        """The whole table."""
        return self._read(None)

    def of_stores(self, stores: pd.DataFrame) -> pd.DataFrame:
        """The rows of the stores from the first to the last of a slice."""
        if stores.empty:
            return self.all().head(0)
        first, last = stores["store_id"].iloc[0], stores["store_id"].iloc[-1]
        return self._read([("store_id", ">=", first), ("store_id", "<=", last)])

    def _read(self, filters: list[tuple[str, str, str]] | None) -> pd.DataFrame:
        rows = parquet.read_table(self._path.path, filesystem=self._path.fs, filters=filters)
        table: pd.DataFrame = rows.to_pandas()
        return table


class RunScopedIOManager(UPathIOManager):
    """Puts each asset's file into its run's directory."""

    def __init__(self, base_path: UPath, file_ending: str) -> None:
        super().__init__(base_path)
        self._file_ending = file_ending

    def get_asset_relative_path(self, context: dg.InputContext | dg.OutputContext) -> UPath:
        """Under the run's id; for an input, perhaps that of the run which this one continues."""
        name = context.asset_key.path[-1] + self._file_ending
        run = context.step_context.dagster_run
        files = RunStorage(self._base_path, run.run_id)
        if isinstance(context, dg.InputContext):
            with as_dagster_failure():
                path = files.locate(name, run.parent_run_id)
        else:
            path = files.directory / name
        return path.relative_to(self._base_path)


class RequestIOManager(RunScopedIOManager):
    """Keeps a :class:`ReportRequest` as JSON."""

    def dump_to_path(self, context: dg.OutputContext, obj: ReportRequest, path: UPath) -> None:  # noqa: ARG002
        """Write it, whole or not at all."""
        with as_dagster_failure():
            write_text_atomically(path, obj.model_dump_json(indent=2))

    def load_from_path(self, context: dg.InputContext, path: UPath) -> ReportRequest:  # noqa: ARG002
        """Read it."""
        return ReportRequest.model_validate_json(path.read_bytes())


class ParquetIOManager(RunScopedIOManager):
    """Keeps a table, or slices of one, as Parquet, in row groups that are read one by one."""

    def dump_to_path(
        self, context: dg.OutputContext, obj: pd.DataFrame | TableBatches, path: UPath
    ) -> None:
        """Write it, whole or not at all, and tell its rows."""
        with as_dagster_failure():
            context.add_output_metadata(self._write(obj, path))
            RunStorage(self._base_path, context.run_id).publish()

    def _write(self, obj: pd.DataFrame | TableBatches, path: UPath) -> dict[str, Any]:
        """Write a table and return its metadata."""
        slices = [obj] if isinstance(obj, pd.DataFrame) else obj
        temporary = path.with_name(f".{path.name}.part")
        rows, first = 0, None
        with temporary.open("wb") as file:
            writer = None
            for table in slices:
                arrow = pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata()
                # the ids of a slice as plain text, which reads the same whatever slice it is
                ids = arrow["store_id"].cast(pa.string())
                arrow = arrow.set_column(arrow.column_names.index("store_id"), "store_id", ids)
                writer = writer or parquet.ParquetWriter(file, arrow.schema)
                writer.write_table(arrow, row_group_size=_ROW_GROUP)
                rows += len(arrow)
                first = table.head(PREVIEW_ROWS) if first is None else first
            if writer:
                writer.close()
        temporary.rename(path)
        metadata: dict[str, Any] = {"dagster/row_count": rows}
        if first is not None:
            metadata["preview"] = preview(first)
        return metadata

    def load_from_path(self, context: dg.InputContext, path: UPath) -> LazyTable:  # noqa: ARG002
        """Open it; what is needed of it is read when it is needed."""
        return LazyTable(path)


@dg.io_manager
def request_io_manager() -> RequestIOManager:
    """Keep the request of a run as JSON under the run's id."""
    return RequestIOManager(Settings().reports_path, ".json")


@dg.io_manager
def table_io_manager() -> ParquetIOManager:
    """Keep the tables of a run as Parquet under the run's id."""
    return ParquetIOManager(Settings().reports_path, ".parquet")
