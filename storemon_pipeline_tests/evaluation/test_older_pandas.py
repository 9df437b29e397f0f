"""Workers with pandas 2.2, as on Spark clusters, give the same results as those with pandas 3."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import fields
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest
from upath import UPath

from storemon_pipeline.evaluation.slices import TABLES, Slice, SliceJob, SliceSummary
from storemon_pipeline.pages.quality_notices import DataQuality
from storemon_pipeline.pages.report_html import ReportCharts, render_report_html
from storemon_pipeline.storage.poll_file_reader import PollFileReader
from storemon_pipeline.storage.poll_files import PollFiles, plain
from storemon_pipeline.storage.poll_rows import sort_and_deduplicate
from storemon_pipeline.storage.report_writer import ReportFile, csv_files
from storemon_pipeline.storage.run_tables import write_table
from storemon_pipeline.uptime.fleet import FleetSummary
from storemon_pipeline_tests.helpers.case_tables import request_of, tables_of
from storemon_pipeline_tests.helpers.runner import PROJECT
from storemon_pipeline_tests.uptime.test_reference import GOLDEN_CASES, read_golden

# the older pandas is installed first
pytestmark = pytest.mark.slow

OLDER_PANDAS = "2.2"
# the newest that this pandas was released for
OLDER = (f"pandas=={OLDER_PANDAS}.*", "numpy>=2,<2.3")
NEEDED = ("pyarrow", "pydantic", "sqlalchemy", "tzdata", "universal-pathlib")
"""The other packages that a worker imports; their versions are those of the project."""

# like a worker of an engine: jobs and summaries are pickled, the rest is in files
WORKER = """
import pickle, sys
from pathlib import Path
import pandas
from storemon_pipeline.evaluation.slices import run_slice

print(pandas.__version__)
for name in sys.argv[1:]:
    summary = run_slice(*pickle.loads(Path(name, "job").read_bytes()))
    Path(name, "summary").write_bytes(pickle.dumps(summary))
"""


def install_older(place: Path) -> Path:
    """Create a virtual environment with the older pandas; return its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    pinned = (PROJECT / "constraints.txt").read_text().splitlines()
    others = [line for line in pinned if not line.startswith(("pandas==", "numpy=="))]
    constraints = place / "constraints.txt"
    constraints.write_text("\n".join(others))
    install = [place / "bin/pip", "install", "--quiet", "--constraint", constraints]
    subprocess.run([*install, *OLDER, *NEEDED], check=True)
    return place / "bin/python"


def prepare(case: str, folder: Path, outputs: Sequence[Path]) -> None:
    """Write the inputs of a golden case, and a job for each directory of outputs."""
    golden = read_golden(case)
    stores, polls, hours = tables_of(golden)
    first_poll = polls.groupby("store_id")["timestamp_utc"].min()
    stores["first_poll_utc"] = stores["store_id"].map(first_poll)
    folder.mkdir()
    inputs = {
        "stores": stores,
        "weekly_hours": hours.weekly,
        "special_dates": hours.special,
    }
    paths = {name: UPath(folder / f"{name}.parquet") for name in inputs}
    for name, table in inputs.items():
        write_table(table, paths[name])
    directory = PollFiles(UPath(folder / "polls"))
    # the day is only part of the file's name
    file = directory.write("2024-01-01", 0, [plain(sort_and_deduplicate(polls))])
    ids = stores["store_id"]
    for parts in outputs:
        job = SliceJob(
            request=request_of(golden),
            no_data_after=timedelta(hours=3),
            polls=PollFileReader(directory, [file]),
            parts=UPath(parts),
            tables=tuple(TABLES),
            files=csv_files(ReportFile),
            **paths,
        )
        parts.mkdir(parents=True)
        (parts / "job").write_bytes(
            pickle.dumps((job, Slice(0, ids.iloc[0], ids.iloc[-1], len(ids))))
        )


def run_worker(python: Path | str, outputs: Path) -> str:
    """Run the jobs of all cases; return the version of pandas."""
    jobs = [outputs / case for case in GOLDEN_CASES]
    done = subprocess.run(
        [python, "-c", WORKER, *jobs],
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.stdout.strip()


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the outputs of both versions: a directory with one per golden case."""
    place = tmp_path_factory.mktemp("pandas")
    newer, older = place / "newer", place / "older"
    for case in GOLDEN_CASES:
        prepare(case, place / case, (newer / case, older / case))
    assert run_worker(sys.executable, newer) == pd.__version__
    assert run_worker(install_older(place / "venv"), older).startswith(f"{OLDER_PANDAS}.")
    return newer, older


def files_of(outputs: Path) -> dict[Path, bytes]:
    """Return the contents of the tables and CSV files."""
    return {
        path.relative_to(outputs): path.read_bytes()
        for path in outputs.rglob("*")
        if path.is_file() and path.suffix in (".csv", ".parquet")
    }


def fleet_of(outputs: Path, case: str) -> FleetSummary:
    summary = pickle.loads((outputs / case / "summary").read_bytes())
    assert isinstance(summary, SliceSummary)
    return summary.fleet


def test_older_pandas_writes_the_same_bytes(outputs: tuple[Path, Path]) -> None:
    newer, older = map(files_of, outputs)
    assert newer.keys() == older.keys()
    assert len(newer) == len(GOLDEN_CASES) * (len(TABLES) + len(csv_files(ReportFile)))
    assert [path for path in newer if newer[path] != older[path]] == []


@pytest.mark.parametrize("case", GOLDEN_CASES)
def test_summary_of_older_pandas_is_the_same(case: str, outputs: tuple[Path, Path]) -> None:
    newer, older = (fleet_of(of_version, case) for of_version in outputs)
    for name in (field.name for field in fields(FleetSummary)):
        expected, actual = getattr(newer, name), getattr(older, name)
        tables = (expected, actual) if isinstance(expected, list) else ([expected], [actual])
        for one, other in zip(*tables, strict=True):
            if isinstance(one, pd.DataFrame):
                # text has another dtype
                pd.testing.assert_frame_equal(
                    one, other, check_dtype=False, check_column_type=False, check_index_type=False
                )
            else:
                assert repr(one) == repr(other)


def test_page_of_older_summary_has_the_same_bytes(outputs: tuple[Path, Path]) -> None:
    fleets = [fleet_of(of_version, "downtime_by_hour_and_events") for of_version in outputs]
    newer, older = (
        render_report_html(fleet, ReportCharts(fleet), "a", quality=DataQuality())
        for fleet in fleets
    )
    assert newer == older
