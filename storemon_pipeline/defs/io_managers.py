"""IO managers: pass the request and the tables of a run from asset to asset, as files.

:mod:`.run_storage` decides where the files are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import dagster as dg
import pandas as pd
import pyarrow as pa
from pyarrow import parquet
from pydantic import PrivateAttr
from upath import UPath

from storemon_pipeline.defs.failures import as_dagster_failure
from storemon_pipeline.defs.metadata import PREVIEW_ROWS, preview
from storemon_pipeline.defs.run_storage import RunStorage, write_text_atomically
from storemon_pipeline.settings import Settings
from storemon_pipeline.uptime.report_request import ReportRequest

_ROW_GROUP = 100_000


class TableBatches:
    """A table that is produced in batches, so that it need not fit into memory.

    Parameters
    ----------
    batches : iterable of DataFrame
        With the same columns, sorted by ``store_id`` within and across batches.
    """

    def __init__(self, batches: Iterable[pd.DataFrame]) -> None:
        self._batches = batches

    def __iter__(self) -> Iterator[pd.DataFrame]:
        """Iterate over the batches, once."""
        return iter(self._batches)


class LazyTable:
    """A table of another asset; rows are read on demand.

    Parameters
    ----------
    path : UPath
    """

    def __init__(self, path: UPath) -> None:
        self._path = path

    def all(self) -> pd.DataFrame:
        """Read the whole table."""
        return self._read(None)

    def of_stores(self, stores: pd.DataFrame) -> pd.DataFrame:
        """Read the rows of the stores from the first to the last of a batch."""
        if stores.empty:
            return self.all().head(0)
        first, last = stores["store_id"].iloc[0], stores["store_id"].iloc[-1]
        return self._read([("store_id", ">=", first), ("store_id", "<=", last)])

    def _read(self, filters: list[tuple[str, str, str]] | None) -> pd.DataFrame:
        rows = parquet.read_table(self._path.path, filesystem=self._path.fs, filters=filters)
        table: pd.DataFrame = rows.to_pandas()
        return table


class RunScopedIOManager(dg.ConfigurableIOManager, dg.UPathIOManager):
    """Store the output of an asset in the directory of its run."""

    # a class variable, or else pydantic takes it for a field of the config
    extension: ClassVar[str]  # type: ignore[misc]
    _base_path: UPath = PrivateAttr()

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002 - as Dagster calls it
        """Read the reports directory from the settings."""
        self._base_path = Settings().reports_path

    def get_asset_relative_path(self, context: dg.InputContext | dg.OutputContext) -> UPath:
        """Return the path below the reports directory; an input may belong to another run."""
        name = context.asset_key.path[-1] + self.extension
        run = context.step_context.dagster_run
        storage = RunStorage(self._base_path, run.run_id)
        if isinstance(context, dg.InputContext):
            with as_dagster_failure():
                path = storage.locate(name, run.parent_run_id)
        else:
            path = storage.directory / name
        # without the suffix, which UPathIOManager appends
        return path.relative_to(self._base_path).with_suffix("")


class RequestIOManager(RunScopedIOManager):
    """Store a :class:`ReportRequest` as JSON."""

    extension: ClassVar[str] = ".json"  # type: ignore[misc]

    def dump_to_path(self, context: dg.OutputContext, obj: ReportRequest, path: UPath) -> None:  # noqa: ARG002
        """Write the request atomically."""
        with as_dagster_failure():
            write_text_atomically(path, obj.model_dump_json(indent=2))

    def load_from_path(self, context: dg.InputContext, path: UPath) -> ReportRequest:  # noqa: ARG002
        """Read the request."""
        return ReportRequest.model_validate_json(path.read_bytes())


class ParquetIOManager(RunScopedIOManager):
    """Store a table as Parquet, in row groups that can be read one by one."""

    extension: ClassVar[str] = ".parquet"  # type: ignore[misc]

    def dump_to_path(
        self, context: dg.OutputContext, obj: pd.DataFrame | TableBatches, path: UPath
    ) -> None:
        """Write the table atomically, and record its row count and a preview."""
        with as_dagster_failure():
            context.add_output_metadata(self._write(obj, path))
            RunStorage(self._base_path, context.run_id).publish()

    def _write(self, obj: pd.DataFrame | TableBatches, path: UPath) -> dict[str, Any]:
        """Write a table and return its metadata."""
        batches = [obj] if isinstance(obj, pd.DataFrame) else obj
        temporary = path.with_name(f".{path.name}.part")
        rows, first = 0, None
        with temporary.open("wb") as file:
            writer = None
            for batch in batches:
                arrow = pa.Table.from_pandas(batch, preserve_index=False).replace_schema_metadata()
                # plain text, so that all batches have the same schema
                ids = arrow["store_id"].cast(pa.string())
                arrow = arrow.set_column(arrow.column_names.index("store_id"), "store_id", ids)
                writer = writer or parquet.ParquetWriter(file, arrow.schema)
                writer.write_table(arrow, row_group_size=_ROW_GROUP)
                rows += len(arrow)
                first = batch.head(PREVIEW_ROWS) if first is None else first
            if writer:
                writer.close()
        temporary.rename(path)
        metadata: dict[str, Any] = {"dagster/row_count": rows}
        if first is not None:
            metadata["preview"] = preview(first)
        return metadata

    def load_from_path(self, context: dg.InputContext, path: UPath) -> LazyTable:  # noqa: ARG002
        """Open the table without reading it."""
        return LazyTable(path)
