"""Reports are identical for any batch size, row order of the files, and database."""

import random
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from storemon_pipeline.settings import Settings
from storemon_pipeline.uptime import batches
from storemon_pipeline.uptime.fleet import FleetSummary
from storemon_pipeline_tests.helpers.runner import (
    CSV_FILES,
    failure,
    report_dir,
    report_files,
    report_row,
    rows,
    run,
)

WEEK = 168
HEADER = (
    "store_id,uptime_last_hour,downtime_last_hour,uptime_last_day,downtime_last_day,"
    "uptime_last_week,downtime_last_week"
)

# about fifty reports, which run the same lines as those of the other modules
pytestmark = pytest.mark.no_cover

# sorted by code point, unlike the collations of databases
MIXED_IDS = ["10", "9", "A", "Z9", "a", "a-1", "a.1", "a1", "a:1", "aB", "a_1", "ab", "b", "z9-"]


@pytest.fixture
def mixed_ids(data_dir: Path) -> Path:
    """Write stores whose ids databases sort differently, each with different data."""
    polls, hours, zones = [], [], []
    for number, store in enumerate(MIXED_IDS):
        polls += [f"{store},active,2023-01-2{day} 12:00:00.{number:06} UTC" for day in range(1, 6)]
        polls.append(f"{store},inactive,2023-01-24 {number:02}:30:00 UTC")
        hours.append(f"{store},{number % 7},08:00:00,2{number % 4}:00:00")
        zones.append(f"{store},{['Asia/Kathmandu', 'America/Denver', 'UTC'][number % 3]}")
    random.Random(3).shuffle(polls)
    for name, header, lines in (
        ("store_status.csv", "store_id,status,timestamp_utc", polls),
        ("menu_hours.csv", "store_id,day,start_time_local,end_time_local", hours),
        ("timezones.csv", "store_id,timezone_str", zones),
    ):
        (data_dir / name).write_text("\n".join([header, *lines, ""]))
    return data_dir


def reported(
    instance: dg.DagsterInstance, job: str = "report_job", **config: Any
) -> dict[str, bytes]:
    """Make a report and return its files: name -> content."""
    made = run(instance, job, **config)
    assert made.success
    return report_files(made.run_id)


def newest() -> Path:
    return Path(Settings().reports_dir) / "report.csv"


@pytest.fixture
def switch_database(
    isolated_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """Return a function that switches to another database and reports directory."""

    def switch(database_url: str | None = None) -> None:
        url = database_url or f"sqlite:///{isolated_environment}/elsewhere.db"
        monkeypatch.setenv("STOREMON_DATABASE_URL", url)
        monkeypatch.setenv("STOREMON_REPORTS_DIR", str(isolated_environment / "elsewhere"))

    return switch


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_batch_size_does_not_change_the_report(
    database: str,
    instance: dg.DagsterInstance,
    mixed_ids: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    if database == "postgresql":
        monkeypatch.setenv("STOREMON_DATABASE_URL", request.getfixturevalue("postgresql_url"))
    in_one = reported(instance, "ingest_and_report_job")
    assert [row["store_id"] for row in rows(newest())] == MIXED_IDS == sorted(MIXED_IDS)
    for stores in (1, 3):
        monkeypatch.setattr(batches, "STORE_HOURS_PER_BATCH", stores * WEEK)
        assert reported(instance) == in_one, f"{stores} stores per batch"


def test_sample_is_the_same_in_batches_of_seven_stores(
    instance: dg.DagsterInstance, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_one = reported(instance, "ingest_and_report_job")
    monkeypatch.setattr(batches, "STORE_HOURS_PER_BATCH", 7 * WEEK)
    assert reported(instance) == in_one


def test_sample_is_the_same_in_batches_of_few_polls(
    instance: dg.DagsterInstance, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_one = reported(instance, "ingest_and_report_job")
    monkeypatch.setattr(batches, "POLLS", 1500)
    assert reported(instance) == in_one


def test_sample_is_the_same_on_sqlite_and_postgresql(
    instance: dg.DagsterInstance,
    sample: Path,
    switch_database: Callable[..., None],
    postgresql_url: str,
) -> None:
    on_sqlite = reported(instance, "ingest_and_report_job")
    switch_database(postgresql_url)
    assert reported(instance, "ingest_and_report_job") == on_sqlite


def test_row_order_does_not_change_the_report(
    instance: dg.DagsterInstance, sample: Path, switch_database: Callable[..., None]
) -> None:
    original = reported(instance, "ingest_and_report_job")
    for name in ("store_status.csv", "menu_hours.csv", "timezones.csv"):
        shuffle(sample / name)
    switch_database()
    assert reported(instance, "ingest_and_report_job") == original


def shuffle(path: Path) -> None:
    """Shuffle a file's rows, but keep the order of polls of one store and time: the last wins."""
    header, *lines = path.read_text().splitlines()
    same: defaultdict[str, list[str]] = defaultdict(list)
    for line in lines:
        same[line.replace(",inactive,", ",active,")].append(line)
    groups = list(same.values())
    random.Random(1).shuffle(groups)
    path.write_text("\n".join([header, *(line for group in groups for line in group), ""]))


def test_numeric_store_id_is_rejected_with_remedy(instance: dg.DagsterInstance) -> None:
    message = failure(
        run(instance, "report_job", store_ids=[1267873068966844821]), "report_request"
    )
    assert message == "store_ids.0: 1267873068966844821 is not text: put the store id in quotes"


def test_report_of_some_stores_is_a_subset_of_all(
    instance: dg.DagsterInstance, mixed_ids: Path
) -> None:
    of_all = run(instance, "ingest_and_report_job")
    before = newest().read_bytes()
    # unsorted, with a duplicate, and not adjacent
    of_some = run(instance, "report_job", store_ids=["ab", "10", "a-1", "ab"])
    assert of_some.success
    assert newest().read_bytes() == before == report_files(of_all.run_id)["report.csv"]
    for name in CSV_FILES:
        expected = [
            row
            for row in rows(report_dir(of_all.run_id) / name)
            if row["store_id"] in {"10", "a-1", "ab"}
        ]
        assert rows(report_dir(of_some.run_id) / name) == expected
    row = report_row(of_some.run_id)
    assert (row["stores"], row["request"]["store_ids"]) == (3, ["10", "a-1", "ab"])


def test_stores_never_polled_are_named(instance: dg.DagsterInstance, two_stores: Path) -> None:
    assert run(instance, "ingest_job").success
    message = failure(run(instance, "report_job", store_ids=["s1", "s3", "S1"]), "report_request")
    assert message == "never polled: s3, S1. Check store_ids against store_status"


def test_store_first_polled_after_as_of_has_no_row(
    instance: dg.DagsterInstance, two_stores: Path
) -> None:
    with (two_stores / "store_status.csv").open("a") as polls:
        polls.write("late,active,2023-02-01 00:00:00 UTC\n")
    assert run(instance, "ingest_job").success
    made = run(instance, "report_job", store_ids=["late", "s1"], as_of="2023-01-25")
    assert made.success
    assert [row["store_id"] for row in rows(report_dir(made.run_id) / "report.csv")] == ["s1"]


def test_report_before_first_poll_has_only_headers(
    instance: dg.DagsterInstance, two_stores: Path
) -> None:
    assert run(instance, "ingest_job").success
    files = reported(instance, as_of="2001-01-01T00:00:00Z")
    assert files["report.csv"].decode() == f"{HEADER}\n"
    assert [content.count(b"\n") for content in files.values()] == [1, 1, 1, 1]


def columns(files: dict[str, bytes]) -> list[str]:
    """Return the windows of report.csv, which has two columns for each."""
    header = files["report.csv"].decode().splitlines()[0].split(",")
    assert header[0] == "store_id"
    windows = [name.removeprefix("uptime_") for name in header[1::2]]
    assert header[1:] == [f"{f}_{window}" for window in windows for f in ("uptime", "downtime")]
    return windows


DEFAULTS = ["last_hour", "last_day", "last_week"]
A_DAY = {"start": "2023-01-23T00:00:00Z", "end": "2023-01-24"}


@pytest.mark.parametrize(
    ("config", "windows"),
    [
        ({}, DEFAULTS),
        ({"windows": ["month"]}, ["last_month"]),
        ({"windows": ["week", "hour", "week"]}, ["last_week", "last_hour"]),
        ({"windows": ["range"], **A_DAY}, ["range"]),
        ({"windows": [], **A_DAY}, ["range"]),
        (A_DAY, [*DEFAULTS, "range"]),
        ({"windows": ["range", "day"], **A_DAY}, ["range", "last_day"]),
    ],
)
def test_columns_follow_the_windows_in_order(
    config: dict[str, Any],
    windows: list[str],
    instance: dg.DagsterInstance,
    two_stores: Path,
) -> None:
    assert run(instance, "ingest_job").success
    assert columns(reported(instance, **config)) == windows


def test_range_of_a_day_equals_last_day_at_its_end(
    instance: dg.DagsterInstance, two_stores: Path
) -> None:
    assert run(instance, "ingest_job").success
    made = run(instance, "report_job", windows=["range", "day"], **A_DAY)
    assert made.success
    assert report_row(made.run_id)["as_of"] == datetime(2023, 1, 24, tzinfo=UTC)
    for row in rows(report_dir(made.run_id) / "report_full.csv"):
        for figure in ("uptime", "downtime", "unobserved", "uptime_pct"):
            assert row[f"{figure}_range"] == row[f"{figure}_last_day"]


def test_as_of_now_is_the_current_time(instance: dg.DagsterInstance, two_stores: Path) -> None:
    assert run(instance, "ingest_job").success
    before = datetime.now(UTC)
    made = run(instance, "report_job", as_of="now")
    assert before <= report_row(made.run_id)["as_of"] <= datetime.now(UTC)
    # the last in-hours poll of s1 is inactive and that of s2 active; both still apply
    first, second = rows(report_dir(made.run_id) / "report.csv")
    assert float(first["uptime_last_week"]) == 0 < float(first["downtime_last_week"])
    assert float(second["downtime_last_week"]) == 0 < float(second["uptime_last_week"])


@pytest.mark.parametrize(
    ("fault", "value", "check"),
    [
        ("duplicate_rows", property(lambda _: 1), "one_row_per_store"),
        ("store_count", property(lambda _: 3), "one_row_per_store"),
        (
            "stores_exceeding_open_time",
            property(lambda _: 1, lambda *_: None),
            "uptime_and_downtime_within_open_time",
        ),
    ],
)
def test_report_with_failed_checks_leaves_no_file(
    fault: str,
    value: property,
    check: str,
    instance: dg.DagsterInstance,
    two_stores: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert run(instance, "ingest_and_report_job").success
    before = newest().read_bytes()
    monkeypatch.setattr(FleetSummary, fault, value)
    wrong = run(instance, "report_job", as_of="2023-01-24")
    message = failure(wrong, "report")
    files = [path for path in report_dir(wrong.run_id).iterdir() if path.is_file()]
    assert files == []
    assert newest().read_bytes() == before
    failed = [result for result in wrong.get_asset_check_evaluations() if not result.passed]
    assert [result.check_name for result in failed] == [check]
    assert failed[0].description in message
    row = report_row(wrong.run_id)
    assert (row["status"], row["error"]) == ("Failed", message)
