"""The shared ``report.csv`` is that of the newest standard report of one data directory."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from upath import UPath

from storemon_pipeline.defs.resources import StoremonResource
from storemon_pipeline.settings import PROJECT_ROOT, Settings
from storemon_pipeline.storage import latest_report
from storemon_pipeline.storage.latest_report import publish_latest
from storemon_pipeline_tests.helpers.runner import report_files, run


def latest() -> bytes:
    return Settings().latest_report_path.read_bytes()


@pytest.fixture
def standard(instance: dg.DagsterInstance, two_stores: Path) -> bytes:
    """Content of `report.csv` of the newest standard report."""
    made = run(instance, "ingest_and_report_job")
    assert latest() == report_files(made.run_id)["report.csv"]
    return latest()


@pytest.mark.parametrize(
    "spec",
    [
        {"as_of": "2023-01-24T12:00:00Z"},
        {"windows": ["day"]},
        {"windows": ["hour", "day", "week", "month"]},
        {"rules": {"interpolation": "nearest"}},
        {"store_ids": ["s1"]},
        {"start": "2023-01-23", "end": "2023-01-24"},
    ],
    ids=lambda spec: next(iter(spec)),
)
def test_other_reports_keep_latest_file(
    instance: dg.DagsterInstance, standard: bytes, spec: dict[str, Any]
) -> None:
    made = run(instance, "report_job", **spec)
    assert made.success
    assert report_files(made.run_id)["report.csv"] != standard
    assert latest() == standard


def test_newer_standard_report_replaces_latest_file(
    instance: dg.DagsterInstance, two_stores: Path, standard: bytes
) -> None:
    with (two_stores / "store_status.csv").open("a") as polls:
        polls.write("s1,inactive,2023-01-26 10:00:00 UTC\n")
    made = run(instance, "ingest_and_report_job")
    assert latest() == report_files(made.run_id)["report.csv"] != standard


def test_latest_file_lost_in_a_crash_is_published_again(
    instance: dg.DagsterInstance, standard: bytes
) -> None:
    Settings().latest_report_path.unlink()  # killed after the report was Complete
    storemon = StoremonResource()
    state = publish_latest(
        storemon.database, storemon.settings.reports_path, storemon.settings.latest_report_path
    )
    assert state is not None
    assert latest() == standard


def test_late_publisher_of_an_older_report_yields(
    instance: dg.DagsterInstance,
    two_stores: Path,
    standard: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    replace, newer = latest_report._replace, []

    def replace_late(content: bytes, target: UPath) -> None:
        # a newer report completes and is published between reading the registry and replacing
        if not newer:
            newer.append("")
            with (two_stores / "store_status.csv").open("a") as polls:
                polls.write("s1,inactive,2023-01-26 10:00:00 UTC\n")
            newer.append(run(instance, "ingest_and_report_job").run_id)
        replace(content, target)

    monkeypatch.setattr(latest_report, "_replace", replace_late)
    storemon = StoremonResource()
    target = storemon.settings.latest_report_path
    state = publish_latest(storemon.database, storemon.settings.reports_path, target)
    assert state is not None
    assert state.report_id == newer[1]
    assert latest() == report_files(newer[1])["report.csv"]


def test_run_killed_before_complete_keeps_latest_file(
    instance: dg.DagsterInstance, two_stores: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        msg = "killed"
        raise RuntimeError(msg)

    monkeypatch.setattr("storemon_pipeline.defs.assets.report.complete_report", killed)
    assert not run(instance, "ingest_and_report_job").success
    assert not Settings().latest_report_path.exists()


def test_each_data_directory_has_its_own_latest_file(
    isolated_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STOREMON_REPORTS_DIR")
    other = Settings().latest_report_path
    monkeypatch.delenv("STOREMON_DATA_DIR")
    default = Settings().latest_report_path
    assert default == UPath(PROJECT_ROOT / "reports" / "report.csv")
    assert other.parent.parent == default.parent
    assert other.parent.name.startswith("data-")
    # an explicit directory is used unchanged
    monkeypatch.setenv("STOREMON_DATA_DIR", str(isolated_environment / "data"))
    monkeypatch.setenv("STOREMON_REPORTS_DIR", str(isolated_environment / "custom"))
    assert Settings().latest_report_path == UPath(isolated_environment / "custom" / "report.csv")
