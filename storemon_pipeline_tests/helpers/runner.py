"""Run the pipeline in this process or with Dagster's command, and read the results."""

import csv
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from sqlalchemy import RowMapping, select

from storemon_pipeline.definitions import defs
from storemon_pipeline.defs.resources import StoremonResource
from storemon_pipeline.settings import Settings
from storemon_pipeline.storage.schema import metadata

PROJECT = Path(__file__).parents[2]
SAMPLE = PROJECT / "data"
GOLDEN = PROJECT / "storemon_pipeline_tests" / "golden"

CSV_FILES = ("report.csv", "report_full.csv", "downtime_events.csv", "downtime_by_hour.csv")


def request_config(**config: Any) -> dict[str, Any]:
    """Return run config for a report."""
    return {"ops": {"report_request": {"config": config}}}


def run(
    instance: dg.DagsterInstance, job: str = "report_job", **config: Any
) -> dg.ExecuteInProcessResult:
    """Run a job in this process, without raising if it fails."""
    return defs.resolve_job_def(job).execute_in_process(
        instance=instance,
        run_config=request_config(**config) if config else None,
        raise_on_error=False,
    )


def materialize(
    instance: dg.DagsterInstance, *assets: str, **config: Any
) -> dg.ExecuteInProcessResult:
    """Materialize some assets, as in Dagster's UI."""
    return defs.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance,
        asset_selection=[dg.AssetKey(asset) for asset in assets],
        run_config=request_config(**config) if config else None,
        raise_on_error=False,
    )


def failure(result: dg.ExecuteInProcessResult, step: str) -> str:
    """Return the description of the Failure of a step."""
    assert not result.success
    data = result.failure_data_for_node(step)
    assert data is not None, f"{step} did not fail"
    assert data.user_failure_data is not None, f"not a Failure: {data.error}"
    return data.user_failure_data.description or ""


def copy_data(source: Path, data_dir: Path) -> None:
    """Copy the raw files of a directory to the data directory."""
    for path in source.glob("*.csv"):
        if not path.name.startswith("expected"):
            shutil.copyfile(path, data_dir / path.name)


def dagster(
    *arguments: str | Path, cwd: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the ``dagster`` command; stdout includes stderr."""
    return subprocess.run(
        [Path(sys.executable).with_name("dagster"), *arguments],
        cwd=cwd,
        env=os.environ if env is None else env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def execute(
    job: str, *arguments: str | Path, cwd: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``dagster job execute`` for one of the project's jobs."""
    module = ("-m", "storemon_pipeline.definitions")
    return dagster("job", "execute", *module, "-j", job, *arguments, cwd=cwd, env=env)


def report_path(log: str) -> Path:
    """Return the path of the report in a log."""
    (path,) = set(re.findall(r"The report of .* is in (\S+?/report\.csv)", log))
    return Path(path)


def report_dir(run_id: str) -> Path:
    """Return the directory of a run's report."""
    return Path(Settings().reports_dir) / run_id


def report_files(run_id: str) -> dict[str, bytes]:
    """Return the CSV files of a run's report: name -> content."""
    directory = report_dir(run_id)
    return {name: (directory / name).read_bytes() for name in CSV_FILES}


def rows(path: Path) -> list[dict[str, str]]:
    """Read the rows of a CSV file as text."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def table(name: str, *, exclude: Collection[str] = ()) -> list[RowMapping]:
    """Return all rows of a database table."""
    columns = [column for column in metadata.tables[name].columns if column.name not in exclude]
    with StoremonResource().database.read() as connection:
        return list(connection.execute(select(*columns)).mappings())


def report_row(run_id: str) -> RowMapping:
    """Return the row of ``report`` for a run."""
    (row,) = [row for row in table("report") if row["report_id"] == run_id]
    return row
