"""Retention: old data is dropped, equally on both databases; other data is kept."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import func, insert, inspect, select
from upath import UPath

from storemon_pipeline.evaluation.report_retention import reports_to_drop, retention_cutoff
from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.ingest_log import IngestRecord, quarantine, record_file
from storemon_pipeline.storage.poll_store import upsert_polls
from storemon_pipeline.storage.polled_stores import oldest_poll, read_polled_stores
from storemon_pipeline.storage.report_writer import delete_report_files, is_valid_report_id
from storemon_pipeline.storage.retention import (
    DroppedPolls,
    ReportAges,
    classify_reports,
    drop_polls,
    drop_quarantined,
    drop_report_row,
    first_kept_month,
)
from storemon_pipeline.storage.schema import (
    ingested_file,
    polled_store,
    quarantined_row,
    report,
)
from storemon_pipeline_tests.helpers.stored_polls import all_polls

MARCH = datetime(2023, 3, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
DAY = timedelta(days=1)


def insert_polls(database: Database, *polls: tuple[str, datetime]) -> None:
    table = pd.DataFrame(
        [(*poll, "active") for poll in polls], columns=["store_id", "timestamp_utc", "status"]
    ).astype({"store_id": "str", "timestamp_utc": "datetime64[us, UTC]", "status": "str"})
    with database.data_transaction() as connection:
        upsert_polls(database.polls, connection, table)


def drop(database: Database, before: datetime) -> DroppedPolls:
    with database.data_transaction() as connection:
        return drop_polls(database.polls, connection, before)


def polls(database: Database) -> set[tuple[str, datetime]]:
    return {(store, at) for store, at, _ in all_polls(database.polls)}


def stores(database: Database) -> dict[str, tuple[datetime, datetime]]:
    with database.read() as connection:
        return {row[0]: (row[1], row[2]) for row in connection.execute(select(polled_store))}


def partitions(database: Database) -> list[str]:
    with database.read() as connection:
        names = inspect(connection).get_table_names()
    return sorted(name for name in names if name.startswith("store_status_"))


def count(database: Database, table) -> int:
    with database.read() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


# Cutoff


def test_retention_cutoff_is_days_before_now_or_none():
    assert retention_cutoff(MARCH, 1) == MARCH - DAY
    assert retention_cutoff(MARCH, None) is None


@pytest.mark.parametrize(
    ("before", "first"),
    [
        (MARCH, MARCH),
        (MARCH + 30 * DAY, MARCH),
        (MARCH - MICROSECOND, datetime(2023, 2, 1, tzinfo=UTC)),
        # March in local time, but not yet in UTC
        (datetime(2023, 3, 1, 2, tzinfo=timezone(5 * timedelta(hours=1))), MARCH.replace(month=2)),
    ],
)
def test_first_kept_month_is_in_utc(before: datetime, first: datetime):
    assert first_kept_month(before) == first


# Polls


def test_drop_polls_drops_whole_months(database: Database):
    recent = {("a", MARCH), ("a", MARCH + 40 * DAY), ("b", MARCH + DAY)}
    insert_polls(
        database,
        *recent,
        ("a", MARCH - MICROSECOND),
        ("a", MARCH - 60 * DAY),
        ("b", MARCH - 61 * DAY),
        ("c", MARCH - 400 * DAY),
        ("c", datetime(987, 1, 2, tzinfo=UTC)),
    )
    # in the middle of the month: all of March is kept
    assert drop(database, MARCH + 15 * DAY) == DroppedPolls(MARCH, months=5 - 1, polls=5, stores=1)
    assert polls(database) == recent
    assert stores(database) == {
        "a": (MARCH, MARCH + 40 * DAY),
        "b": (MARCH + DAY, MARCH + DAY),
    }
    with database.read() as connection:
        assert oldest_poll(connection) == MARCH
        assert read_polled_stores(database.polls, connection, MARCH)["store_id"].tolist() == ["a"]
    months = ["store_status_2023_03", "store_status_2023_04"]
    assert partitions(database) == ([] if database.is_sqlite else months)


def test_drop_polls_is_idempotent(database: Database):
    insert_polls(database, ("a", MARCH - DAY), ("a", MARCH + DAY))
    assert drop(database, MARCH + DAY).polls == 1
    before = polls(database), stores(database)
    assert drop(database, MARCH + DAY) == DroppedPolls(MARCH, months=0, polls=0, stores=0)
    assert (polls(database), stores(database)) == before


def test_drop_polls_keeps_partly_older_month(database: Database):
    insert_polls(database, ("a", MARCH), ("a", MARCH + 20 * DAY))
    assert drop(database, MARCH + 31 * DAY - MICROSECOND).polls == 0
    assert len(polls(database)) == 2
    assert drop(database, MARCH + 31 * DAY).polls == 2


def test_drop_polls_without_polls_drops_nothing(database: Database):
    assert drop(database, MARCH) == DroppedPolls(MARCH, months=0, polls=0, stores=0)


def test_polls_can_be_inserted_after_all_were_dropped(database: Database):
    insert_polls(database, ("a", MARCH - DAY), ("b", MARCH - 40 * DAY))
    assert drop(database, MARCH).stores == 2
    assert (polls(database), stores(database), partitions(database)) == (set(), {}, [])
    insert_polls(database, ("a", MARCH - 2 * DAY), ("a", MARCH))
    assert stores(database) == {"a": (MARCH - 2 * DAY, MARCH)}


def test_drop_polls_is_rolled_back_on_error(database: Database):
    insert_polls(database, ("a", MARCH - DAY), ("a", MARCH))
    before = polls(database), stores(database), partitions(database)

    def fail() -> None:
        with database.data_transaction() as connection:
            drop_polls(database.polls, connection, MARCH)
            raise RuntimeError("late failure")

    with pytest.raises(RuntimeError, match="late failure"):
        fail()
    assert (polls(database), stores(database), partitions(database)) == before


# Quarantined rows


def test_drop_quarantined_keeps_ingest_log(database: Database):
    bad = pd.DataFrame({"line_number": [2, 3], "row_text": ["x", "y"], "reason": ["r", "r"]})
    read = IngestRecord("store_status.csv", "store_status", "0" * 64, 1, 10, 3, 2, 2)
    with database.data_transaction() as connection:
        for at in (MARCH - MICROSECOND, MARCH):
            file_id = record_file(connection, read, ingested_at=at, run_id="r")
            quarantine(connection, bad, ingested_file_id=file_id, file=read.file, quarantined_at=at)
    for expected in (2, 0):
        with database.data_transaction() as connection:
            assert drop_quarantined(connection, MARCH) == expected
    with database.read() as connection:
        remaining = connection.execute(select(quarantined_row.c.quarantined_at)).scalars().all()
    assert remaining == [MARCH, MARCH]
    assert count(database, ingested_file) == 2


# Reports


def test_classify_reports_as_old_recent_or_unfinished(database: Database):
    rows = [
        ("complete", "Complete", MARCH - MICROSECOND),
        ("failed", "Failed", MARCH - DAY),
        ("canceled", "Canceled", None),
        ("on_the_day", "Complete", MARCH),
        ("running", "Running", None),
        ("queued", "Queued", None),
    ]
    with database.registry_transaction() as connection:
        for report_id, status, finished_at in rows:
            connection.execute(
                insert(report).values(
                    report_id=report_id,
                    status=status,
                    requested_at=MARCH - 9 * DAY,
                    finished_at=finished_at,
                )
            )
    with database.read() as connection:
        ages = classify_reports(connection, MARCH)
    assert ages.old == {"complete", "failed", "canceled"}
    assert ages.recent == {"on_the_day"}
    assert ages.unfinished == {"running", "queued"}
    with database.registry_transaction() as connection:
        assert drop_report_row(connection, "failed")
        assert not drop_report_row(connection, "failed")
    assert count(database, report) == len(rows) - 1


def test_reports_to_drop_keeps_recent_running_and_needed():
    ages = ReportAges(
        old=frozenset({"old", "newest", "in_progress"}),
        recent=frozenset({"recent"}),
        unfinished=frozenset({"queued", "killed"}),
    )
    assert reports_to_drop(
        ages,
        ended={"recent", "killed", "ingestion", "also_needed"},
        in_progress={"in_progress", "this"},
        needed={"newest", "also_needed"},
    ) == ["ingestion", "killed", "old"]


IDS = ["..", ".", "", "a/b", "/", "../a", "a\\b", ".newest_intermediate", "a\0b", "a\n", "~", "*"]


@pytest.mark.parametrize("report_id", IDS)
def test_report_id_must_be_one_path_segment(tmp_path: Path, report_id: str):
    (tmp_path / "reports").mkdir()
    assert not is_valid_report_id(report_id)
    with pytest.raises(ValueError, match="cannot be the name"):
        delete_report_files(UPath(tmp_path / "reports"), report_id)
    assert (tmp_path / "reports").is_dir()


def fill(reports_dir: UPath) -> None:
    for report_id in ("one", "other"):
        (reports_dir / report_id / "intermediate").mkdir(parents=True)
        (reports_dir / report_id / "report.csv").write_text("store_id\n")
        (reports_dir / report_id / "intermediate" / "open_hours.parquet").write_text("")
    (reports_dir / "report.csv").write_text("store_id\n")


@pytest.mark.parametrize("remote", [False, True])
def test_delete_report_files_deletes_only_its_directory(tmp_path: Path, remote: bool):
    reports_dir = UPath(f"memory://{tmp_path.name}/reports" if remote else tmp_path / "reports")
    fill(reports_dir)
    assert delete_report_files(reports_dir, "one")
    assert not delete_report_files(reports_dir, "one")
    assert sorted(path.name for path in reports_dir.iterdir()) == ["other", "report.csv"]
    assert (reports_dir / "other" / "intermediate" / "open_hours.parquet").exists()


def test_delete_report_files_keeps_file_of_that_name(tmp_path: Path):
    fill(UPath(tmp_path))
    assert not delete_report_files(UPath(tmp_path), "report.csv")
    assert (tmp_path / "report.csv").exists()


def test_delete_report_files_keeps_target_of_symlink(tmp_path: Path):
    elsewhere, reports_dir = tmp_path / "elsewhere", tmp_path / "reports"
    fill(UPath(elsewhere))
    (reports_dir / "one").mkdir(parents=True)
    (reports_dir / "one" / "linked").symlink_to(elsewhere, target_is_directory=True)
    (reports_dir / "linked").symlink_to(elsewhere, target_is_directory=True)
    assert delete_report_files(UPath(reports_dir), "one")
    assert delete_report_files(UPath(reports_dir), "linked")
    assert list(reports_dir.iterdir()) == []
    assert (elsewhere / "one" / "report.csv").exists()
