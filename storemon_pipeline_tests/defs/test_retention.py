"""retention_job drops what is older than the settings say, files and Dagster's runs included."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.utils import make_new_run_id
from sqlalchemy import insert, update

from storemon_pipeline.definitions import defs
from storemon_pipeline.defs import retention
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
def instance(isolated_environment: Path) -> Iterator[dg.DagsterInstance]:
    """A Dagster instance with a home of its own, with all the files that a real one has."""
    home = isolated_environment / "dagster_home"
    home.mkdir()
    with dg.DagsterInstance.local_temp(
        str(home), overrides={"telemetry": {"enabled": False}}
    ) as instance:
        yield instance


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch):
    """What retention_job takes for now."""

    def is_at(now: datetime) -> None:
        class Clock(datetime):
            @classmethod
            def now(cls, tz=None):  # noqa: ARG003
                return now

        monkeypatch.setattr(retention, "datetime", Clock)

    return is_at


@pytest.fixture
def in_a_hundred_days(clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a hundred days later, and reports are kept for thirty."""
    clock(datetime.now(UTC) + timedelta(days=100))
    monkeypatch.setenv("STOREMON_KEEP_REPORTS_DAYS", "30")


def dropped(instance: dg.DagsterInstance) -> dict[str, dict[str, object]]:
    """Run retention_job; the metadata of each op."""
    result = run(instance, "retention_job")
    assert result.success
    found = {}
    for event in result.all_events:
        if event.is_successful_output:
            metadata = event.step_output_data.metadata
            found[str(event.step_key)] = {
                name: value.value for name, value in metadata.items() if name != "before"
            }
    assert set(found) == set(OPS)
    return found


def counts(reports: int, directories: int, runs: int, kept: int) -> dict[str, object]:
    return {
        "reports_dropped": reports,
        "directories_dropped": directories,
        "runs_dropped": runs,
        "kept_for_others": kept,
        "alerts_dropped": 0,
    }


def logged(instance: dg.DagsterInstance) -> list[str]:
    """What the newest run of retention_job has logged."""
    (newest,) = instance.get_run_records(dg.RunsFilter(job_name="retention_job"), limit=1)
    entries = instance.all_logs(newest.dagster_run.run_id)
    return [entry.user_message for entry in entries if not entry.is_dagster_event]


def event_file(instance: dg.DagsterInstance, run_id: str) -> Path:
    return Path(instance.root_directory) / "history" / "runs" / f"{run_id}.db"


def put_report(report_id: str, status: str) -> None:
    with StoremonResource().database.registry_transaction() as connection:
        connection.execute(
            insert(schema.report).values(
                report_id=report_id, status=status, requested_at=LONG_AGO, finished_at=None
            )
        )


def put_run(instance: dg.DagsterInstance, status: dg.DagsterRunStatus) -> str:
    """A run with a directory, at some point of its life."""
    made = instance.create_run_for_job(
        defs.resolve_job_def("report_job"), run_id=make_new_run_id(), status=status
    )
    (report_dir(made.run_id) / "intermediate").mkdir(parents=True)
    return made.run_id


def report_ids() -> set[str]:
    return {row["report_id"] for row in table("report")}


# Nothing set


def test_where_nothing_is_set_all_is_kept_and_the_log_says_so(
    instance: dg.DagsterInstance, two_stores: Path, clock
) -> None:
    made = [run(instance, "ingest_and_report_job").run_id for _ in range(2)]
    before = {
        name: table(name) for name in ("store_status", "polled_store", "quarantined_row", "report")
    }
    clock(datetime.now(UTC) + timedelta(days=9999))
    assert dropped(instance) == {op: {"kept": "for ever"} for op in OPS}
    assert {name: table(name) for name in before} == before
    assert all(len(report_files(run_id)) == 4 for run_id in made)
    assert all(instance.has_run(run_id) for run_id in made)
    assert logged(instance) == [
        f"STOREMON_KEEP_{what}_DAYS is not set: nothing is dropped, all is kept for ever"
        for what in ("POLLS", "QUARANTINED", "REPORTS")
    ]


# Polls and quarantined rows

HOURS = 24 * 59  # 10 January to 10 March
FIRST = datetime(2023, 1, 10, tzinfo=UTC)
AS_OF = "2023-03-10T00:00:00Z"


@pytest.fixture
def three_months(data_dir: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Polls of two stores by the hour, one that fell silent in January, and a bad row."""
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


def test_old_months_go_and_the_figures_of_later_windows_stay_as_they_are(
    instance: dg.DagsterInstance, three_months: Path, clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(instance, "ingest_job").success
    asked = {"as_of": AS_OF, "windows": ["hour", "day", "week", "month"], "store_ids": ["s1", "s2"]}
    before, with_silent = run(instance, **asked), run(instance, as_of=AS_OF)
    monkeypatch.setenv("STOREMON_KEEP_POLLS_DAYS", "20")
    clock(datetime(2023, 3, 10, tzinfo=UTC))
    january = 2 * 24 * 22 + 1
    assert dropped(instance)["drop_old_polls"] == {
        "months_dropped": 1,
        "polls_dropped": january,
        "stores_without_polls": 1,
    }
    assert (
        "Dropped 1 month of polls (1,057 polls) before 2023-02-01; 1 store has no polls left"
        in (logged(instance))
    )
    assert len(table("store_status")) == 2 * HOURS + 1 - january
    after, without_silent = run(instance, **asked), run(instance, as_of=AS_OF)
    assert report_files(after.run_id) == report_files(before.run_id)
    rows = {
        each.run_id: {
            line.split(b",")[0] for line in report_files(each.run_id)["report.csv"].split()
        }
        for each in (with_silent, without_silent)
    }
    assert rows[with_silent.run_id] - rows[without_silent.run_id] == {b"silent"}
    assert dropped(instance)["drop_old_polls"] == {
        "months_dropped": 0,
        "polls_dropped": 0,
        "stores_without_polls": 0,
    }
    # the file is known: it is not read again, and what was dropped does not come back
    assert run(instance, "ingest_job").success
    assert len(table("store_status")) == 2 * HOURS + 1 - january


def test_old_quarantined_rows_go(
    instance: dg.DagsterInstance, three_months: Path, clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(instance, "ingest_job").success
    monkeypatch.setenv("STOREMON_KEEP_QUARANTINED_DAYS", "7")
    assert dropped(instance)["drop_old_quarantined_rows"] == {"quarantined_rows_dropped": 0}
    clock(datetime.now(UTC) + timedelta(days=8))
    files = table("ingested_file")
    assert dropped(instance)["drop_old_quarantined_rows"] == {"quarantined_rows_dropped": 1}
    assert any(
        said.startswith("Dropped 1 quarantined row, set aside before ") for said in logged(instance)
    )
    assert table("quarantined_row") == []
    assert table("ingested_file") == files
    assert len(table("store_status")) == 2 * HOURS + 1


# Reports


def test_old_reports_go_with_files_and_runs_but_for_the_newest(
    instance: dg.DagsterInstance, two_stores: Path, in_a_hundred_days: None
) -> None:
    ingested = run(instance, "ingest_job").run_id
    old = run(instance).run_id
    failed = run(instance, as_of="morgen").run_id
    newest = run(instance).run_id
    logs = Path(instance.storage_directory()) / old / "compute_logs"
    logs.mkdir(parents=True, exist_ok=True)
    (logs / "step.out").write_text("told")
    assert event_file(instance, old).exists()
    files = report_files(newest)
    # the two reports that have a directory; all runs that are over
    assert dropped(instance)["drop_old_reports"] == counts(2, 1, 3, 1)
    assert next(said for said in logged(instance) if "reports" in said).startswith(
        "Dropped 2 reports, 1 directory of files and 3 runs of Dagster, finished before "
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


def test_the_second_time_there_is_nothing_left_to_drop(
    instance: dg.DagsterInstance, two_stores: Path, in_a_hundred_days: None, clock
) -> None:
    for _ in range(3):
        run(instance, "ingest_and_report_job")
    # the runs of retention_job itself are as old then as all others: not so in between
    assert dropped(instance)["drop_old_reports"] == counts(2, 2, 2, 1)
    clock(datetime.now(UTC) + timedelta(minutes=1))
    assert dropped(instance)["drop_old_reports"] == counts(0, 0, 0, 0)
    clock(datetime.now(UTC) + timedelta(days=100))
    assert dropped(instance)["drop_old_reports"] == counts(0, 0, 2, 1)
    assert len(instance.get_runs()) == 2


def test_what_is_recent_stays(
    instance: dg.DagsterInstance, two_stores: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOREMON_KEEP_REPORTS_DAYS", "1")
    made = [run(instance, "ingest_and_report_job").run_id for _ in range(2)]
    assert dropped(instance)["drop_old_reports"] == counts(0, 0, 0, 0)
    assert report_ids() == set(made)
    assert all(instance.has_run(run_id) for run_id in made)


def test_the_run_that_the_newest_one_continues_stays(
    instance: dg.DagsterInstance, two_stores: Path, in_a_hundred_days: None
) -> None:
    old = run(instance, "ingest_and_report_job").run_id
    continued = run(instance).run_id
    newest = materialize(instance, "open_hours").run_id
    alone = materialize(instance, "downtime_events").run_id
    assert dropped(instance)["drop_old_reports"] == counts(1, 2, 2, 2)
    assert not report_dir(old).exists()
    assert not report_dir(alone).exists()
    assert report_ids() == {continued}
    assert instance.has_run(continued)
    assert instance.has_run(newest)
    assert materialize(instance, "uptime_report").success


def test_what_is_in_progress_stays_with_what_it_continues(
    instance: dg.DagsterInstance, two_stores: Path, in_a_hundred_days: None
) -> None:
    continued = run(instance, "ingest_and_report_job").run_id
    old = run(instance).run_id
    run(instance)
    started = put_run(instance, dg.DagsterRunStatus.STARTED)
    queued = put_run(instance, dg.DagsterRunStatus.STARTING)
    (report_dir(started) / "intermediate" / "continues").write_text(continued)
    put_report(started, "Running")
    put_report(queued, "Queued")
    # of a run that this Dagster knows nothing of
    put_report("elsewhere", "Running")
    report_dir("elsewhere").mkdir()
    dropped(instance)
    assert not report_dir(old).exists()
    for run_id in (continued, started, queued, "elsewhere"):
        assert report_dir(run_id).exists()
        assert run_id in report_ids()
    for run_id in (continued, started, queued):
        assert instance.has_run(run_id)


def test_a_report_that_is_complete_while_its_run_goes_on_stays(
    instance: dg.DagsterInstance, two_stores: Path, in_a_hundred_days: None
) -> None:
    going_on = put_run(instance, dg.DagsterRunStatus.STARTED)
    put_report(going_on, "Complete")
    assert dropped(instance)["drop_old_reports"] == counts(0, 0, 0, 1)
    assert report_ids() == {going_on}


def test_a_report_whose_run_was_killed_is_not_running_for_ever(
    instance: dg.DagsterInstance, two_stores: Path, in_a_hundred_days: None
) -> None:
    killed = put_run(instance, dg.DagsterRunStatus.FAILURE)
    put_report(killed, "Running")
    assert dropped(instance)["drop_old_reports"] == counts(1, 1, 1, 0)
    assert report_ids() == set()


def test_a_report_of_another_dagster_goes_too(
    instance: dg.DagsterInstance, two_stores: Path, in_a_hundred_days: None
) -> None:
    with dg.DagsterInstance.ephemeral() as other:
        old = run(other, "ingest_and_report_job").run_id
        run(other)
    assert dropped(instance)["drop_old_reports"] == counts(1, 1, 0, 1)
    assert not report_dir(old).exists()
    assert old not in report_ids()
    # nor does looking for its run make a file
    assert not event_file(instance, old).exists()


def test_an_id_that_leads_elsewhere_is_left_alone(
    instance: dg.DagsterInstance, isolated_environment: Path, in_a_hundred_days: None
) -> None:
    (isolated_environment / "precious").mkdir()
    (isolated_environment / "reports").mkdir()
    put_report("../precious", "Complete")
    put_report("..", "Failed")
    assert dropped(instance)["drop_old_reports"] == counts(0, 0, 0, 0)
    assert (isolated_environment / "precious").is_dir()
    assert report_ids() == {"../precious", ".."}
    assert "'..' is no id of a report: it is left alone" in logged(instance)


def test_what_stopped_half_way_is_finished_the_next_time(
    instance: dg.DagsterInstance,
    two_stores: Path,
    in_a_hundred_days: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old = run(instance, "ingest_and_report_job").run_id
    run(instance)

    def killed(_: object, run_id: str) -> bool:
        if run_id == old:
            raise SystemError("killed")
        return False

    with monkeypatch.context() as patch:
        patch.setattr(retention, "_drop_run", killed)
        assert not run(instance, "retention_job").success
    assert not report_dir(old).exists()
    with monkeypatch.context() as patch:
        patch.setattr(retention, "drop_report_row", killed)
        assert not run(instance, "retention_job").success
    assert not instance.has_run(old)
    assert old in report_ids()
    # the runs of retention_job that failed are over as well
    assert dropped(instance)["drop_old_reports"]["reports_dropped"] == 1
    assert old not in report_ids()


def test_a_directory_that_cannot_be_removed_does_not_keep_the_others(
    instance: dg.DagsterInstance,
    two_stores: Path,
    in_a_hundred_days: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stuck, other, newest = (run(instance, "ingest_and_report_job").run_id for _ in range(3))
    drop_directory = retention.delete_report_files

    def refuses(reports_dir, report_id):
        if report_id == stuck:
            raise PermissionError("not yours")
        return drop_directory(reports_dir, report_id)

    with monkeypatch.context() as patch:
        patch.setattr(retention, "delete_report_files", refuses)
        failed = run(instance, "retention_job")
    assert failure(failed, "drop_old_reports") == (
        f"1 report could not be dropped, and will be tried again the next time: {stuck}: not yours"
    )
    assert report_ids() == {stuck, newest}
    assert instance.has_run(stuck)
    assert not instance.has_run(other)
    dropped(instance)
    assert report_ids() == {newest}


# Whose runs


@dg.op
def something() -> None: ...


@dg.job
def another_job() -> None:
    something()


def test_the_runs_of_other_jobs_stay(
    instance: dg.DagsterInstance, two_stores: Path, in_a_hundred_days: None
) -> None:
    other = another_job.execute_in_process(instance=instance)
    assert dropped(instance)["drop_old_reports"] == counts(0, 0, 0, 0)
    assert instance.has_run(other.run_id)


def test_the_runs_of_another_project_with_the_same_names_are_not_its_own() -> None:
    def of(job: str, place: str | None = None, *assets: str) -> dg.DagsterRun:
        return dg.DagsterRun(
            job_name=job,
            tags={".dagster/repository": place} if place else {},
            asset_selection=frozenset(map(dg.AssetKey, assets)) if assets else None,
        )

    this = of("retention_job", "__repository__@here")
    assert retention._belongs_to_project(of("report_job", "__repository__@here"), this)
    assert retention._belongs_to_project(of("report_job"), this)
    assert not retention._belongs_to_project(of("report_job", "__repository__@there"), this)
    assert retention._belongs_to_project(
        of("__ASSET_JOB", None, "open_hours", "uptime_report"), this
    )
    assert not retention._belongs_to_project(of("__ASSET_JOB", None, "open_hours", "orders"), this)
    assert not retention._belongs_to_project(of("__ASSET_JOB"), this)


def test_its_own_assets_are_those_of_the_graph() -> None:
    keys = defs.resolve_asset_graph().get_all_asset_keys()
    assert {key.to_user_string() for key in keys} == retention.PROJECT_ASSETS


def test_more_runs_than_are_looked_at_together(
    instance: dg.DagsterInstance,
    two_stores: Path,
    in_a_hundred_days: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retention, "_BATCH", 2)
    for _ in range(5):
        put_run(instance, dg.DagsterRunStatus.SUCCESS)
    assert dropped(instance)["drop_old_reports"] == counts(0, 5, 5, 0)


def test_a_report_is_as_old_as_its_end(
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
