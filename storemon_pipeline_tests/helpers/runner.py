"""How the tests run the pipeline, in this process or by Dagster's command, and read what came of it."""

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


def request_config(**asked: Any) -> dict[str, Any]:
    """Run config that asks for a report."""
    return {"ops": {"report_request": {"config": asked}}}


def run(
    instance: dg.DagsterInstance, job: str = "report_job", **asked: Any
) -> dg.ExecuteInProcessResult:
    """Run a job in this process; a failure is for the test to look at."""
    return defs.resolve_job_def(job).execute_in_process(
        instance=instance,
        run_config=request_config(**asked) if asked else None,
        raise_on_error=False,
    )


def materialize(
    instance: dg.DagsterInstance, *assets: str, **asked: Any
) -> dg.ExecuteInProcessResult:
    """Materialize some assets, as Dagster's UI does."""
    return defs.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance,
        asset_selection=[dg.AssetKey(asset) for asset in assets],
        run_config=request_config(**asked) if asked else None,
        raise_on_error=False,
    )


def failure(result: dg.ExecuteInProcessResult, step: str) -> str:
    """What a person reads of a step that failed: the description of its Failure."""
    assert not result.success
    told = result.failure_data_for_node(step)
    assert told is not None, f"{step} did not fail"
    assert told.user_failure_data is not None, f"not told as a Failure: {told.error}"
    return told.user_failure_data.description or ""


def copy_data(source: Path, data_dir: Path) -> None:
    """Put the three raw files of a directory into the data directory."""
    for path in source.glob("*.csv"):
        if not path.name.startswith("expected"):
            shutil.copyfile(path, data_dir / path.name)


def dagster(
    *arguments: str | Path, cwd: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Dagster's command, in a process of its own; its output and log together."""
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
    """``dagster job execute`` of one of the project's jobs."""
    module = ("-m", "storemon_pipeline.definitions")
    return dagster("job", "execute", *module, "-j", job, *arguments, cwd=cwd, env=env)


def told_path(log: str) -> Path:
    """The path of the report that a log names."""
    (path,) = set(re.findall(r"The report of .* is in (\S+?/report\.csv)", log))
    return Path(path)


def report_dir(run_id: str) -> Path:
    """Where the files of a run's report are."""
    return Path(Settings().reports_dir) / run_id


def report_files(run_id: str) -> dict[str, bytes]:
    """The CSV files of a run's report, by name."""
    directory = report_dir(run_id)
    return {name: (directory / name).read_bytes() for name in CSV_FILES}


def rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file, as text."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def table(name: str, *, but: Collection[str] = ()) -> list[RowMapping]:
    """All rows of a table of the database."""
    columns = [column for column in metadata.tables[name].columns if column.name not in but]
    with StoremonResource().database.read() as connection:
        return list(connection.execute(select(*columns)).mappings())


def report_row(run_id: str) -> RowMapping:
    """The row of ``report`` for a run."""
    (row,) = [row for row in table("report") if row["report_id"] == run_id]
    return row
