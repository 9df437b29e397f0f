"""retention_job drops data older than the settings, with files and Dagster runs.

Tests that make several reports and run no other lines of the package are not measured.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.utils import make_new_run_id
from fsspec.implementations.local import LocalFileSystem
from sqlalchemy import insert, update

from storemon_pipeline.definitions import defs
from storemon_pipeline.defs.project_runs import PROJECT_ASSETS, belongs_to_project, finished_runs
from storemon_pipeline.defs.resources import StoremonResource
from storemon_pipeline.storage import schema
from storemon_pipeline_tests.helpers.runner import (
    failure,
    materialize,
    report_dir,
    report_files,
    run,
    table,
)

LONG_AGO = datetime(2023, 1, 1, tzinfo=UTC)
OPS = ("drop_old_polls", "drop_old_quarantined_rows", "drop_old_reports")


@pytest.fixture
def instance_on_disk(isolated_environment: Path) -> Iterator[dg.DagsterInstance]:
    """Yield a Dagster instance in its own home, with all files of a real one.

    Each run has its own SQLite file, which takes as long to create as the run: other tests keep
    Dagster's history in memory.
    """
    home = isolated_environment / "dagster_home"
    home.mkdir()
    with dg.DagsterInstance.local_temp(
        str(home), overrides={"telemetry": {"enabled": False}}
    ) as instance:
        yield instance


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch):
    """Return a function that sets the current time of retention_job."""

    def set_time(now: datetime) -> None:
        monkeypatch.setattr(StoremonResource, "now", lambda _: now)

    return set_time


@pytest.fixture
def hundred_days_later(clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Move the time 100 days ahead, with reports retained for 30 days."""
    clock(datetime.now(UTC) + timedelta(days=100))
    monkeypatch.setenv("STOREMON_KEEP_REPORTS_DAYS", "30")


def dropped(instance: dg.DagsterInstance) -> dict[str, dict[str, object]]:
    """Run retention_job; return the metadata of each op."""
    result = run(instance, "retention_job")
    assert result.success
    by_op = {}
    for event in result.all_events:
        if event.is_successful_output:
            metadata = event.step_output_data.metadata
            by_op[str(event.step_key)] = {
                name: value.value for name, value in metadata.items() if name != "before"
            }
    return {op: by_op[op] for op in OPS}


def counts(reports: int, directories: int, runs: int, kept: int) -> dict[str, object]:
    return {
        "reports_dropped": reports,
        "directories_dropped": directories,
        "runs_dropped": runs,
        "kept_as_inputs": kept,
        "alerts_dropped": 0,
    }


def logged(instance: dg.DagsterInstance) -> list[str]:
    """Return the log lines of the newest run of retention_job."""
    (newest,) = instance.get_run_records(dg.RunsFilter(job_name="retention_job"), limit=1)
    entries = instance.all_logs(newest.dagster_run.run_id)
    return [entry.user_message for entry in entries if not entry.is_dagster_event]


def event_file(instance: dg.DagsterInstance, run_id: str) -> Path:
    return Path(instance.root_directory) / "history" / "runs" / f"{run_id}.db"


def add_report(report_id: str, status: str) -> None:
    with StoremonResource().database.registry_transaction() as connection:
        connection.execute(
            insert(schema.report).values(
                report_id=report_id, status=status, requested_at=LONG_AGO, finished_at=None
            )
        )


def add_run(instance: dg.DagsterInstance, status: dg.DagsterRunStatus) -> str:
    """Add a run with a directory."""
    created = instance.create_run_for_job(
        defs.resolve_job_def("report_job"), run_id=make_new_run_id(), status=status
    )
    (report_dir(created.run_id) / "intermediate").mkdir(parents=True)
    return created.run_id


@contextmanager
def undeletable_rows(table_name: str) -> Iterator[None]:
    """Make SQLite refuse to delete rows of a table."""
    with StoremonResource().database.registry_transaction() as connection:
        connection.exec_driver_sql(
            f"CREATE TRIGGER refuse BEFORE DELETE ON {table_name} "
            "BEGIN SELECT RAISE(ABORT, 'refused'); END"
        )
    yield
    with StoremonResource().database.registry_transaction() as connection:
        connection.exec_driver_sql("DROP TRIGGER refuse")


def report_ids() -> set[str]:
    return {row["report_id"] for row in table("report")}


# No settings


def test_without_settings_nothing_is_dropped(
    instance: dg.DagsterInstance, two_stores: Path, clock
) -> None:
    made = [run(instance, "ingest_and_report_job").run_id for _ in range(2)]
    before = {
        name: table(name) for name in ("store_status", "polled_store", "quarantined_row", "report")
    }
    clock(datetime.now(UTC) + timedelta(days=9999))
    assert dropped(instance) == {op: {"retention": "unlimited"} for op in OPS}
    assert {name: table(name) for name in before} == before
    assert all(len(report_files(run_id)) == 4 for run_id in made)
    assert all(instance.has_run(run_id) for run_id in made)
    assert logged(instance) == [
        f"STOREMON_KEEP_{kind}_DAYS is not set: nothing is dropped"
        for kind in ("POLLS", "QUARANTINED", "REPORTS")
    ]


# Polls and quarantined rows

HOURS = 24 * 59  # 10 January to 10 March
FIRST = datetime(2023, 1, 10, tzinfo=UTC)
AS_OF = "2023-03-10T00:00:00Z"


@pytest.fixture
def three_months(data_dir: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Hourly polls of two stores, one store silent since January, and a bad row."""
    monkeypatch.setenv("STOREMON_DATABASE_URL", database_url)
    polls = [
        f"{store},{'inactive' if (hour * 7 + number) % 5 == 0 else 'active'},"
        f"{FIRST + timedelta(hours=hour, minutes=number):%Y-%m-%d %H:%M:%S} UTC"
        for hour in range(HOURS)
        for number, store in enumerate(["s1", "s2"])
    ]
    polls += ["silent,inactive,2023-01-15 12:00:00 UTC", ",active,2023-01-15 12:00:00 UTC"]
    (data_dir / "store_status.csv").write_text(
        "\n".join(["store_id,status,timestamp_utc", *polls, ""])
    )
    (data_dir / "menu_hours.csv").write_text("store_id,dayOfWeek,start_time_local,end_time_local\n")
    (data_dir / "timezones.csv").write_text("store_id,timezone_str\ns1,Asia/Kathmandu\n")
    return data_dir


def test_old_months_are_dropped_and_later_metrics_unchanged(
    instance: dg.DagsterInstance, three_months: Path, clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(instance, "ingest_job").success
    request = {
        "as_of": AS_OF,
        "windows": ["hour", "day", "week", "month"],
        "store_ids": ["s1", "s2"],
    }
    before, with_silent = run(instance, **request), run(instance, as_of=AS_OF)
    monkeypatch.setenv("STOREMON_KEEP_POLLS_DAYS", "20")
    clock(datetime(2023, 3, 10, tzinfo=UTC))
    january = 2 * 24 * 22 + 1
    assert dropped(instance)["drop_old_polls"] == {
        "months_dropped": 1,
        "polls_dropped": january,
        "stores_without_polls": 1,
    }
    assert (
        "Dropped 1,057 polls (1 month) before 2023-02-01, leaving 1 store without polls"
        in logged(instance)
    )
    assert len(table("store_status")) == 2 * HOURS + 1 - january
    after, without_silent = run(instance, **request), run(instance, as_of=AS_OF)
    assert report_files(after.run_id) == report_files(before.run_id)
    rows = {
        report.run_id: {
            line.split(b",")[0] for line in report_files(report.run_id)["report.csv"].split()
        }
        for report in (with_silent, without_silent)
    }
    assert rows[with_silent.run_id] - rows[without_silent.run_id] == {b"silent"}
    assert dropped(instance)["drop_old_polls"] == {
        "months_dropped": 0,
        "polls_dropped": 0,
        "stores_without_polls": 0,
    }
    # the unchanged file is not ingested again, so dropped polls are not restored
    assert run(instance, "ingest_job").success
    assert len(table("store_status")) == 2 * HOURS + 1 - january


def test_old_quarantined_rows_are_dropped(
    instance: dg.DagsterInstance, three_months: Path, clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(instance, "ingest_job").success
    monkeypatch.setenv("STOREMON_KEEP_QUARANTINED_DAYS", "7")
    assert dropped(instance)["drop_old_quarantined_rows"] == {"quarantined_rows_dropped": 0}
    clock(datetime.now(UTC) + timedelta(days=8))
    files = table("ingested_file")
    assert dropped(instance)["drop_old_quarantined_rows"] == {"quarantined_rows_dropped": 1}
    assert any(
        line.startswith("Dropped 1 quarantined row from before ") for line in logged(instance)
    )
    assert table("quarantined_row") == []
    assert table("ingested_file") == files
    assert len(table("store_status")) == 2 * HOURS + 1


# Reports


def test_old_reports_are_dropped_except_the_newest(
    instance_on_disk: dg.DagsterInstance, two_stores: Path, hundred_days_later: None
) -> None:
    instance = instance_on_disk
    ingested = run(instance, "ingest_job").run_id
    old = run(instance).run_id
    failed = run(instance, as_of="tomorrow").run_id
    newest = run(instance).run_id
    logs = Path(instance.storage_directory()) / old / "compute_logs"
    logs.mkdir(parents=True, exist_ok=True)
    (logs / "step.out").write_text("output")
    assert event_file(instance, old).exists()
    files = report_files(newest)
    # two reports with one directory, and all finished runs
    assert dropped(instance)["drop_old_reports"] == counts(2, 1, 3, 1)
    assert next(line for line in logged(instance) if "reports" in line).startswith(
        "Dropped 2 reports, 1 report folder, 3 Dagster runs and 0 alerts from before "
    )
    for run_id in (ingested, old, failed):
        assert not instance.has_run(run_id)
        assert not event_file(instance, run_id).exists()
        assert not (Path(instance.storage_directory()) / run_id).exists()
        assert not report_dir(run_id).exists()
    assert report_ids() == {newest}
    assert report_files(newest) == files
    assert instance.has_run(newest)
    assert event_file(instance, newest).exists()
    assert (report_dir(newest).parent / "report.csv").read_bytes() == files["report.csv"]
    assert materialize(instance, "uptime_report").success


@pytest.mark.no_cover
def test_second_run_has_nothing_to_drop(
    instance: dg.DagsterInstance, two_stores: Path, hundred_days_later: None, clock
) -> None:
    for _ in range(3):
        run(instance, "ingest_and_report_job")
    # runs of retention_job itself are dropped only when they are old too
    assert dropped(instance)["drop_old_reports"] == counts(2, 2, 2, 1)
    clock(datetime.now(UTC) + timedelta(minutes=1))
    assert dropped(instance)["drop_old_reports"] == counts(0, 0, 0, 0)
    clock(datetime.now(UTC) + timedelta(days=100))
    assert dropped(instance)["drop_old_reports"] == counts(0, 0, 2, 1)
    assert len(instance.get_runs()) == 2


@pytest.mark.no_cover
def test_recent_reports_are_kept(
    instance: dg.DagsterInstance, two_stores: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOREMON_KEEP_REPORTS_DAYS", "1")
    made = [run(instance, "ingest_and_report_job").run_id for _ in range(2)]
    assert dropped(instance)["drop_old_reports"] == counts(0, 0, 0, 0)
    assert report_ids() == set(made)
    assert all(instance.has_run(run_id) for run_id in made)


@pytest.mark.no_cover
def test_parent_of_the_latest_run_is_kept(
    instance: dg.DagsterInstance, two_stores: Path, hundred_days_later: None
) -> None:
    old = run(instance, "ingest_and_report_job").run_id
    parent = run(instance).run_id
    newest = materialize(instance, "open_hours").run_id
    alone = materialize(instance, "downtime_events").run_id
    assert dropped(instance)["drop_old_reports"] == counts(1, 2, 2, 2)
    assert not report_dir(old).exists()
    assert not report_dir(alone).exists()
    assert report_ids() == {parent}
    assert instance.has_run(parent)
    assert instance.has_run(newest)
    assert materialize(instance, "uptime_report").success


@pytest.mark.no_cover
def test_runs_in_progress_and_their_parents_are_kept(
    instance: dg.DagsterInstance, two_stores: Path, hundred_days_later: None
) -> None:
    parent = run(instance, "ingest_and_report_job").run_id
    old = run(instance).run_id
    run(instance)
    started = add_run(instance, dg.DagsterRunStatus.STARTED)
    queued = add_run(instance, dg.DagsterRunStatus.STARTING)
    (report_dir(started) / "intermediate" / "continues").write_text(parent)
    add_report(started, "Running")
    add_report(queued, "Queued")
    # a run of another Dagster instance
    add_report("elsewhere", "Running")
    report_dir("elsewhere").mkdir()
    dropped(instance)
    assert not report_dir(old).exists()
    for run_id in (parent, started, queued, "elsewhere"):
        assert report_dir(run_id).exists()
        assert run_id in report_ids()
    for run_id in (parent, started, queued):
        assert instance.has_run(run_id)


def test_complete_report_of_a_run_in_progress_is_kept(
    instance: dg.DagsterInstance, two_stores: Path, hundred_days_later: None
) -> None:
    started = add_run(instance, dg.DagsterRunStatus.STARTED)
    add_report(started, "Complete")
    assert dropped(instance)["drop_old_reports"] == counts(0, 0, 0, 1)
    assert report_ids() == {started}


def test_running_report_of_a_killed_run_is_dropped(
    instance: dg.DagsterInstance, two_stores: Path, hundred_days_later: None
) -> None:
    killed = add_run(instance, dg.DagsterRunStatus.FAILURE)
    add_report(killed, "Running")
    assert dropped(instance)["drop_old_reports"] == counts(1, 1, 1, 0)
    assert report_ids() == set()


def test_report_of_another_instance_is_dropped(
    instance_on_disk: dg.DagsterInstance, two_stores: Path, hundred_days_later: None
) -> None:
    instance = instance_on_disk
    with dg.DagsterInstance.ephemeral() as other:
        old = run(other, "ingest_and_report_job").run_id
        run(other)
    assert dropped(instance)["drop_old_reports"] == counts(1, 1, 0, 1)
    assert not report_dir(old).exists()
    assert old not in report_ids()
    # the lookup of its run creates no file
    assert not event_file(instance, old).exists()


def test_report_id_with_path_parts_is_skipped(
    instance: dg.DagsterInstance, isolated_environment: Path, hundred_days_later: None
) -> None:
    (isolated_environment / "precious").mkdir()
    (isolated_environment / "reports").mkdir()
    add_report("../precious", "Complete")
    add_report("..", "Failed")
    assert dropped(instance)["drop_old_reports"] == counts(0, 0, 0, 0)
    assert (isolated_environment / "precious").is_dir()
    assert report_ids() == {"../precious", ".."}
    assert "'..' is not a valid report id: skipped" in logged(instance)


@pytest.mark.no_cover
def test_interrupted_deletion_is_finished_by_the_next_run(
    instance: dg.DagsterInstance,
    two_stores: Path,
    hundred_days_later: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old = run(instance, "ingest_and_report_job").run_id
    run(instance)

    delete_run = instance.delete_run

    def killed(run_id: str) -> None:
        if run_id == old:
            raise SystemError("killed")
        delete_run(run_id)

    with monkeypatch.context() as patch:
        patch.setattr(instance, "delete_run", killed)
        assert not run(instance, "retention_job").success
    assert not report_dir(old).exists()
    assert instance.has_run(old)
    with undeletable_rows("report"):
        assert not run(instance, "retention_job").success
    assert not instance.has_run(old)
    assert old in report_ids()
    # the failed runs of retention_job are finished too
    assert dropped(instance)["drop_old_reports"]["reports_dropped"] == 1
    assert old not in report_ids()


def test_undeletable_directory_does_not_block_others(
    instance: dg.DagsterInstance,
    two_stores: Path,
    hundred_days_later: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stuck, other, newest = (run(instance, "ingest_and_report_job").run_id for _ in range(3))
    remove = LocalFileSystem.rm

    def refuse(self: LocalFileSystem, path: str, **options: object) -> None:
        if Path(path).name == stuck:
            raise PermissionError("not permitted")
        remove(self, path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(LocalFileSystem, "rm", refuse)
        failed = run(instance, "retention_job")
    assert failure(failed, "drop_old_reports") == (
        f"1 report could not be dropped; the next run retries: {stuck}: not permitted"
    )
    assert report_ids() == {stuck, newest}
    assert instance.has_run(stuck)
    assert not instance.has_run(other)
    dropped(instance)
    assert report_ids() == {newest}


# Runs of other projects


@dg.op
def something() -> None: ...


@dg.job
def another_job() -> None:
    something()


def test_runs_of_other_jobs_are_kept(
    instance: dg.DagsterInstance, two_stores: Path, hundred_days_later: None
) -> None:
    other = another_job.execute_in_process(instance=instance)
    assert dropped(instance)["drop_old_reports"] == counts(0, 0, 0, 0)
    assert instance.has_run(other.run_id)


@pytest.mark.parametrize("job", [job.name for job in defs.jobs or ()])
def test_old_runs_of_every_job_are_dropped(
    job: str, instance: dg.DagsterInstance, hundred_days_later: None
) -> None:
    run_id = make_new_run_id()
    instance.add_run(dg.DagsterRun(job_name=job, run_id=run_id, status=dg.DagsterRunStatus.SUCCESS))
    assert dropped(instance)["drop_old_reports"]["runs_dropped"] == 1
    assert not instance.has_run(run_id)


def test_runs_of_other_projects_with_equal_names_are_kept() -> None:
    def run_of(job: str, repository: str | None = None, *assets: str) -> dg.DagsterRun:
        return dg.DagsterRun(
            job_name=job,
            tags={".dagster/repository": repository} if repository else {},
            asset_selection=frozenset(map(dg.AssetKey, assets)) if assets else None,
        )

    this = run_of("retention_job", "__repository__@here")
    assert belongs_to_project(run_of("report_job", "__repository__@here"), this)
    assert belongs_to_project(run_of("report_job"), this)
    assert not belongs_to_project(run_of("report_job", "__repository__@there"), this)
    assert belongs_to_project(run_of("__ASSET_JOB", None, "open_hours", "uptime_report"), this)
    assert not belongs_to_project(run_of("__ASSET_JOB", None, "open_hours", "orders"), this)
    assert not belongs_to_project(run_of("__ASSET_JOB"), this)


def test_project_assets_match_the_graph() -> None:
    keys = defs.resolve_asset_graph().get_all_asset_keys()
    assert {key.to_user_string() for key in keys} == PROJECT_ASSETS


def test_finished_runs_are_found_in_several_batches(instance: dg.DagsterInstance) -> None:
    finished = {add_run(instance, dg.DagsterRunStatus.SUCCESS) for _ in range(5)}
    add_run(instance, dg.DagsterRunStatus.STARTED)
    this = dg.DagsterRun(job_name="retention_job")
    later = datetime.now(UTC) + timedelta(days=1)
    for batch in (1, 2, 5, 6):
        found = list(finished_runs(instance, later, this, batch=batch))
        assert (set(found), len(found)) == (finished, 5)


@pytest.mark.no_cover
def test_age_of_a_report_counts_from_its_end(
    instance: dg.DagsterInstance, two_stores: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOREMON_KEEP_REPORTS_DAYS", "30")
    old, newer = (run(instance, "ingest_and_report_job").run_id for _ in range(2))
    run(instance)
    for run_id, days in ((old, 31), (newer, 29)):
        with StoremonResource().database.registry_transaction() as connection:
            connection.execute(
                update(schema.report)
                .where(schema.report.c.report_id == run_id)
                .values(finished_at=datetime.now(UTC) - timedelta(days=days))
            )
    assert dropped(instance)["drop_old_reports"] == counts(1, 1, 1, 0)
    assert not report_dir(old).exists()
    assert report_dir(newer).exists()
