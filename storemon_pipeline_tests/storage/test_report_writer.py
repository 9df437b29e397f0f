"""Writing the files of a report: they appear atomically."""

from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pandas as pd
import pyarrow as pa
import pytest
from upath import UPath

from storemon_pipeline.storage.report_writer import (
    ReportFile,
    ReportWriter,
    csv_files,
    join_report_parts,
    write_report_parts,
)
from storemon_pipeline.uptime.evaluate import StoreResults

NAMES = [ReportFile.REPORT, ReportFile.REPORT_FULL, ReportFile.EVENTS, ReportFile.BY_HOUR]


@pytest.fixture(params=["local", "memory"])
def reports_dir(request: pytest.FixtureRequest, tmp_path: Path) -> UPath:
    """Return a reports directory, local and remote."""
    if request.param == "local":
        return UPath(str(tmp_path / "reports"))
    return UPath(f"memory://{uuid4().hex}/reports")


def contents(directory: UPath) -> dict[str, bytes]:
    """Return the content of each file in a directory by name, including hidden files."""
    if not directory.exists():
        return {}
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}


def write(files: ReportWriter, content: bytes, names: list[str] = NAMES) -> None:
    with files.open(names) as open_files:
        for name, file in open_files.items():
            file.write(name.encode() + b" ")
            file.write(content)


def test_files_appear_once_all_are_complete(reports_dir: UPath):
    report = ReportWriter(reports_dir, "a-run")
    with report.open(NAMES) as files:
        for file in files.values():
            file.write(b"half")
            file.flush()
        assert not set(contents(report.directory)) & set(NAMES)
        for file in files.values():
            file.write(b" and half")
    assert contents(report.directory) == dict.fromkeys(NAMES, b"half and half")
    assert report.directory == reports_dir / "a-run"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_error_while_writing_leaves_no_file(reports_dir: UPath, error):
    report = ReportWriter(reports_dir, "a-run")

    def fail() -> None:
        with report.open(NAMES) as files:
            for file in files.values():
                file.write(b"half")
            raise error

    with pytest.raises(error):
        fail()
    assert contents(report.directory) == {}


def test_error_while_writing_keeps_previous_files(reports_dir: UPath):
    report = ReportWriter(reports_dir, "a-run")
    write(report, b"old")
    before = contents(report.directory)

    def fail() -> None:
        with report.open(NAMES) as files:
            files[ReportFile.REPORT].write(b"new")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        fail()
    assert contents(report.directory) == before


def test_new_files_replace_previous_ones(reports_dir: UPath):
    report = ReportWriter(reports_dir, "a-run")
    write(report, b"old and longer")
    replaced = [ReportFile.REPORT, ReportFile.EVENTS]
    write(report, b"new", replaced)
    assert contents(report.directory) == {
        name: f"{name} {'new' if name in replaced else 'old and longer'}".encode() for name in NAMES
    }


def test_file_that_cannot_be_opened_leaves_no_file(tmp_path: Path):
    report = ReportWriter(UPath(str(tmp_path)), "a-run")
    (tmp_path / "a-run" / f".{ReportFile.EVENTS}.part").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        write(report, b"new")
    assert contents(report.directory) == {}


def results(store: str) -> StoreResults:
    at = pd.Series(pd.to_datetime(["2023-01-25T18:00:00Z"])).astype("datetime64[us, UTC]")
    hour = pd.Series([pd.Timedelta(0)], dtype="timedelta64[us]")
    figures = pd.DataFrame(
        {
            "store_id": [store],
            "uptime_last_hour": [60.0],
            "downtime_last_hour": [0.0],
            "last_poll_utc": at,
        }
    )
    levels = pd.DataFrame(
        {
            "target_pct": [99.999 if store == "1" else 99.0],
            "met_last_hour": pd.array([store == "1" or None], dtype="boolean"),
            "budget_left_last_hour": [-0.5],
            "outages_last_hour": [3],
            "longest_outage_minutes_last_hour": [float("nan")],
        }
    )
    events = pd.DataFrame(
        {
            "store_id": [store],
            "start_utc": at,
            "end_utc": at,
            "start_offset": hour,
            "end_offset": hour,
            "minutes": [0.0],
            "ongoing": [True],
        }
    )
    by_hour = pd.DataFrame({"store_id": [store], "day_of_week": [2], "open_minutes": [60.0]})
    current = pd.DataFrame({"store_id": [store], "status": ["down"]})
    return StoreResults(figures, figures, levels, events, by_hour, current, current)


def test_join_report_parts_appends_slices_in_order(reports_dir: UPath):
    report = ReportWriter(reports_dir, "a-run")
    with report.open(NAMES) as files, report.open_parts() as parts:
        for number in (1, 0):  # workers finish in any order
            write_report_parts(parts, number, csv_files(NAMES), results(str(number + 1)))
        join_report_parts(parts, files, 2)
    lines = {name: data.decode().split("\n") for name, data in contents(report.directory).items()}
    assert lines[ReportFile.REPORT] == [
        "store_id,uptime_last_hour,downtime_last_hour",
        "1,60.00,0.00",
        "2,60.00,0.00",
        "",
    ]
    assert lines[ReportFile.REPORT_FULL][1:] == [
        "1,60.00,0.00,2023-01-25T18:00:00Z,99.999,true,-0.50,3,",
        "2,60.00,0.00,2023-01-25T18:00:00Z,99,,-0.50,3,",
        "",
    ]
    assert [line[:1] for line in lines[ReportFile.EVENTS]] == ["s", "1", "2", ""]
    assert lines[ReportFile.BY_HOUR] == [
        "store_id,day_of_week,open_minutes",
        "1,2,60.00",
        "2,2,60.00",
        "",
    ]


def test_results_that_cannot_be_written_leave_no_file(reports_dir: UPath):
    report = ReportWriter(reports_dir, "a-run")
    broken = replace(results("1"), by_hour=pd.DataFrame({"store_id": [object()]}))
    with pytest.raises(pa.ArrowInvalid), report.open(NAMES), report.open_parts() as parts:
        write_report_parts(parts, 0, csv_files(NAMES), broken)
    assert contents(report.directory) == {}
