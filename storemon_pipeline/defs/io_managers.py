"""IO managers: pass the request and the tables of a run from asset to asset, as files.

:mod:`.run_storage` decides where the files are.
"""

from __future__ import annotations

from typing import ClassVar

import dagster as dg
import pandas as pd
from pydantic import PrivateAttr
from upath import UPath

from storemon_pipeline.defs.failures import as_dagster_failure
from storemon_pipeline.defs.metadata import preview
from storemon_pipeline.defs.run_storage import RunStorage, write_text_atomically
from storemon_pipeline.settings import Settings
from storemon_pipeline.storage.run_tables import LazyTable, write_table
from storemon_pipeline.uptime.report_request import ReportRequest


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

    def dump_to_path(self, context: dg.OutputContext, obj: pd.DataFrame, path: UPath) -> None:
        """Write the table atomically, and record its row count and a preview."""
        with as_dagster_failure():
            write_table(obj, path)
            context.add_output_metadata({"dagster/row_count": len(obj), "preview": preview(obj)})
            RunStorage(self._base_path, context.run_id).publish()

    def load_from_path(self, context: dg.InputContext, path: UPath) -> LazyTable:  # noqa: ARG002
        """Open the table without reading it."""
        return LazyTable(path)
