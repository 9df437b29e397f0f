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
from uuid import uuid4

import dagster as dg
import pandas as pd
import pyarrow as pa
from dagster import UPathIOManager
from pyarrow import parquet
from upath import UPath

from storemon_pipeline.defs.failures import CannotReportError, told_as_failure
from storemon_pipeline.defs.show import PREVIEW_ROWS, preview
from storemon_pipeline.settings import Settings
from storemon_pipeline.uptime.request import ReportRequest

REQUEST = "report_request.json"
TABLES = (
    "polled_stores.parquet",
    "weekly_hours.parquet",
    "special_dates.parquet",
    "open_hours.parquet",
    "status_intervals.parquet",
    "current_status.parquet",
)
_NEWEST = ".newest_intermediate"
_CONTINUES = "continues"
_ROW_GROUP = 100_000


class RunFiles:
    """The intermediate files of a run, and of the run that it continues.

    Parameters
    ----------
    reports_dir : UPath
    run_id : str
    """

    def __init__(self, reports_dir: UPath, run_id: str) -> None:
        self._reports_dir = reports_dir
        self._run_id = run_id
        self.directory = reports_dir / run_id / "intermediate"

    def find(self, name: str, retry_of: str | None) -> UPath:
        """Where a file is that this run needs and has perhaps not made itself.

        Parameters
        ----------
        name : str
        retry_of : str or None
            The run that this one is a retry of.

        Raises
        ------
        CannotReportError
            Where there is none, or it would not fit what this run made itself.
        """
        if (own := self.directory / name).exists():
            return own
        continued = self._continued(retry_of)
        # what is no longer there was removed with its report; what it was made from may be
        while continued is not None:
            directory = self._reports_dir / continued / "intermediate"
            if (left := directory / name).exists():
                return left
            settled = directory / _CONTINUES
            continued = settled.read_text() if settled.exists() else None
        asset = name.partition(".")[0]
        if (self.directory / REQUEST).exists():
            msg = (
                f"this run made a new report_request but no {asset} for it: materialize all that "
                "lies between as well, or run report_job"
            )
        else:
            msg = f"no run has left {asset} yet: run report_job, which makes all of a report"
        raise CannotReportError(msg)

    def _continued(self, retry_of: str | None) -> str | None:
        """The run that this one continues; settled once, so that all its inputs fit together."""
        settled = self.directory / _CONTINUES
        if settled.exists():
            return settled.read_text()
        if retry_of is None and not (self.directory / REQUEST).exists():
            newest = self._reports_dir / _NEWEST
            retry_of = newest.read_text() if newest.exists() else None
        if retry_of is not None:
            self.directory.mkdir(parents=True, exist_ok=True)
            _replace_text(settled, retry_of)
        return retry_of

    def offer(self) -> None:
        """Let later runs continue this one, once it has, or continues, a complete set."""
        complete = (self.directory / _CONTINUES).exists() or all(
            (self.directory / name).exists() for name in (REQUEST, *TABLES)
        )
        if complete:
            _replace_text(self._reports_dir / _NEWEST, self._run_id)


def runs_needed(reports_dir: UPath, working: Iterable[str]) -> set[str]:
    """The runs whose intermediate files are still read: all others may go.

    Parameters
    ----------
    reports_dir : UPath
    working : iterable of str
        The ids of runs that are in progress.

    Returns
    -------
    set of str
        These, the one that the next run continues, and all that they continue themselves.
    """
    newest = reports_dir / _NEWEST
    left = [*working, *([newest.read_text()] if newest.exists() else [])]
    needed: set[str] = set()
    while left:
        run_id = left.pop()
        if run_id not in needed:
            needed.add(run_id)
            settled = RunFiles(reports_dir, run_id).directory / _CONTINUES
            left += [settled.read_text()] if settled.exists() else []
    return needed


def _replace_text(path: UPath, text: str) -> None:
    # runs that finish together write the same file, each from a part of its own
    part = path.with_name(f"{path.name}.{uuid4().hex}.part")
    part.write_text(text)
    part.rename(path)


class TableSlices:
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


class RunTable:
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


class _RunScopedIOManager(UPathIOManager):
    """Puts each asset's file into its run's directory."""

    def __init__(self, base_path: UPath, file_ending: str) -> None:
        super().__init__(base_path)
        self._file_ending = file_ending

    def get_asset_relative_path(self, context: dg.InputContext | dg.OutputContext) -> UPath:
        """Under the run's id; for an input, perhaps that of the run which this one continues."""
        name = context.asset_key.path[-1] + self._file_ending
        run = context.step_context.dagster_run
        files = RunFiles(self._base_path, run.run_id)
        if isinstance(context, dg.InputContext):
            with told_as_failure():
                path = files.find(name, run.parent_run_id)
        else:
            path = files.directory / name
        return path.relative_to(self._base_path)


class RequestIOManager(_RunScopedIOManager):
    """Keeps a :class:`ReportRequest` as JSON."""

    def dump_to_path(self, context: dg.OutputContext, obj: ReportRequest, path: UPath) -> None:  # noqa: ARG002
        """Write it, whole or not at all."""
        with told_as_failure():
            _replace_text(path, obj.model_dump_json(indent=2))

    def load_from_path(self, context: dg.InputContext, path: UPath) -> ReportRequest:  # noqa: ARG002
        """Read it."""
        return ReportRequest.model_validate_json(path.read_bytes())


class TableIOManager(_RunScopedIOManager):
    """Keeps a table, or slices of one, as Parquet, in row groups that are read one by one."""

    def dump_to_path(
        self, context: dg.OutputContext, obj: pd.DataFrame | TableSlices, path: UPath
    ) -> None:
        """Write it, whole or not at all, and tell its rows."""
        with told_as_failure():
            context.add_output_metadata(self._write(obj, path))
            RunFiles(self._base_path, context.run_id).offer()

    def _write(self, obj: pd.DataFrame | TableSlices, path: UPath) -> dict[str, Any]:
        """Write a table and return its metadata."""
        slices = [obj] if isinstance(obj, pd.DataFrame) else obj
        part = path.with_name(f".{path.name}.part")
        rows, first = 0, None
        with part.open("wb") as file:
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
        part.rename(path)
        metadata: dict[str, Any] = {"dagster/row_count": rows}
        if first is not None:
            metadata["preview"] = preview(first)
        return metadata

    def load_from_path(self, context: dg.InputContext, path: UPath) -> RunTable:  # noqa: ARG002
        """Open it; what is needed of it is read when it is needed."""
        return RunTable(path)


@dg.io_manager
def request_io_manager() -> RequestIOManager:
    """Keep the request of a run as JSON under the run's id."""
    return RequestIOManager(Settings().reports_path, ".json")


@dg.io_manager
def table_io_manager() -> TableIOManager:
    """Keep the tables of a run as Parquet under the run's id."""
    return TableIOManager(Settings().reports_path, ".parquet")
