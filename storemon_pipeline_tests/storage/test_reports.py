"""Reports: status, retries, and which one is shown by default."""

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from sqlalchemy import select, text

from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.report_requests import (
    cancel_request,
    create_or_get_request,
    mark_launched,
)
from storemon_pipeline.storage.reports import (
    STATUSES,
    cancel_report,
    complete_report,
    count_reports_by_status,
    fail_report,
    find_report,
    latest_complete_report,
    newest_standard_report,
    queue_report,
    read_reports,
    runs_in_progress,
    start_report,
)
from storemon_pipeline.storage.schema import fleet_figure, report
from storemon_pipeline.uptime.messages import MAX_MESSAGE
from storemon_pipeline.uptime.report_request import ReportRequest, ReportSpec, resolve_spec

NOON = datetime(2023, 1, 25, 12, 0, 0, 123456, tzinfo=UTC)
LATER = NOON + timedelta(minutes=1)
SEQUENCE = count(1)
REQUEST = resolve_spec(ReportSpec(store_ids=("2", "1")), newest_poll=NOON, now=LATER)


def reports(database: Database) -> dict[str, dict]:
    with database.read() as connection:
        return {
            row["report_id"]: dict(row) for row in connection.execute(select(report)).mappings()
        }


def start(database: Database, report_id: str, request: ReportRequest | None = REQUEST) -> None:
    with database.registry_transaction() as connection:
        start_report(connection, report_id, request, NOON)


def complete(database: Database, report_id: str) -> None:
    with database.registry_transaction() as connection:
        complete_report(connection, report_id, stores=2, finished_at=LATER)


def fail(database: Database, report_id: str, error: str = "no polls") -> None:
    with database.registry_transaction() as connection:
        fail_report(connection, report_id, error=error, failed_at=LATER)


def test_started_report_is_running(database: Database):
    start(database, "a-run")
    assert reports(database) == {
        "a-run": {
            "report_id": "a-run",
            "run_id": "a-run",
            "status": "Running",
            "request": REQUEST.model_dump(mode="json"),
            "as_of": NOON,
            "requested_at": NOON,
            "finished_at": None,
            "stores": None,
            "error": None,
        }
    }
    assert ReportRequest.model_validate(reports(database)["a-run"]["request"]) == REQUEST


def test_request_of_a_report_may_be_stored_later(database: Database):
    start(database, "a-run", None)
    with database.read() as connection:
        null_requests = connection.execute(
            text("SELECT count(*) FROM report WHERE request IS NULL")
        )
        assert null_requests.scalar_one() == 1
    with database.registry_transaction() as connection:
        start_report(connection, "a-run", REQUEST, LATER)
    (row,) = reports(database).values()
    assert (row["request"], row["as_of"]) == (REQUEST.model_dump(mode="json"), NOON)
    assert row["requested_at"] == NOON


def test_finished_report_is_complete_or_failed(database: Database):
    for report_id in ("good", "bad", "running"):
        start(database, report_id)
    complete(database, "good")
    fail(database, "bad", 'it\'s "50%" \u2603')
    rows = reports(database)
    outcomes = {name: (row["status"], row["stores"], row["error"]) for name, row in rows.items()}
    assert outcomes == {
        "good": ("Complete", 2, None),
        "bad": ("Failed", None, 'it\'s "50%" \u2603'),
        "running": ("Running", None, None),
    }
    assert rows["good"]["finished_at"] == rows["bad"]["finished_at"] == LATER


def test_stored_error_is_shortened(database: Database):
    start(database, "a-run")
    fail(database, "a-run", error="no polls " * 1_000_000)
    error = reports(database)["a-run"]["error"]
    assert (len(error), error[:9], error[-1]) == (MAX_MESSAGE, "no polls ", "…")


def test_complete_report_never_becomes_failed(database: Database):
    start(database, "a-run")
    complete(database, "a-run")
    before = reports(database)
    fail(database, "a-run")
    assert reports(database) == before
    start(database, "a-run", None)
    fail(database, "a-run")
    assert reports(database) == before


def test_failed_report_may_still_complete(database: Database):
    start(database, "a-run")
    fail(database, "a-run")
    complete(database, "a-run")
    (row,) = reports(database).values()
    assert (row["status"], row["error"]) == ("Complete", None)


def test_outcome_of_unknown_run_is_not_recorded(database: Database):
    fail(database, "another-run")
    complete(database, "another-run")
    assert reports(database) == {}


def retry(database: Database, run_id: str, root_run_id: str) -> None:
    with database.registry_transaction() as connection:
        start_report(connection, run_id, REQUEST, LATER, root_run_id=root_run_id)


def cancel(database: Database, run_id: str) -> None:
    with database.registry_transaction() as connection:
        cancel_report(connection, run_id, canceled_at=LATER)


def test_retry_makes_the_same_report(database: Database):
    start(database, "first")
    fail(database, "first")
    retry(database, "second", "first")
    (row,) = reports(database).values()
    assert (row["report_id"], row["run_id"], row["status"]) == ("first", "second", "Running")
    assert (row["error"], row["finished_at"], row["requested_at"]) == (None, None, NOON)
    # events of the previous run no longer change this report
    fail(database, "first", "too late")
    complete(database, "first")
    assert reports(database) == {"first": row}
    fail(database, "second")
    retry(database, "third", "first")
    complete(database, "third")
    (row,) = reports(database).values()
    assert (row["report_id"], row["run_id"], row["status"]) == ("first", "third", "Complete")


def test_retry_of_complete_report_makes_a_new_one(database: Database):
    start(database, "first")
    complete(database, "first")
    before = reports(database)["first"]
    retry(database, "again", "first")
    rows = reports(database)
    assert rows["first"] == before
    assert (rows["again"]["run_id"], rows["again"]["status"]) == ("again", "Running")
    # a retry of the new run knows only the first run, so it makes another new report
    fail(database, "again")
    retry(database, "once more", "first")
    assert reports(database)["again"]["status"] == "Failed"
    assert reports(database)["once more"]["status"] == "Running"


def test_retry_of_unknown_run_makes_its_own_report(database: Database):
    retry(database, "second", "unknown")
    assert list(reports(database)) == ["second"]


def test_only_reports_in_progress_can_be_canceled(database: Database):
    with database.registry_transaction() as connection:
        queue_report(connection, "queued", NOON)
    for report_id in ("running", "complete", "failed"):
        start(database, report_id)
    complete(database, "complete")
    fail(database, "failed")
    with database.read() as connection:
        assert sorted(runs_in_progress(connection)) == ["queued", "running"]
    before = reports(database)
    for report_id in (*before, "unknown"):
        cancel(database, report_id)
    after = reports(database)
    for report_id in ("queued", "running"):
        row = after.pop(report_id)
        assert (row["status"], row["finished_at"], row["error"]) == ("Canceled", LATER, None)
    assert after == {name: before[name] for name in ("complete", "failed")}
    # the end of a canceled run is not a failure
    fail(database, "running")
    assert reports(database)["running"]["status"] == "Canceled"
    with database.read() as connection:
        assert runs_in_progress(connection) == []


def test_queue_report_does_not_change_existing_report(database: Database):
    start(database, "a-run")
    before = reports(database)
    with database.registry_transaction() as connection:
        queue_report(connection, "a-run", LATER)
    assert reports(database) == before


def latest(database: Database) -> str | None:
    with database.read() as connection:
        state = latest_complete_report(connection)
    return state and state.report_id


def test_latest_report_of_equal_as_of_is_last_to_complete(database: Database):
    everything = resolve_spec(ReportSpec(), newest_poll=NOON, now=LATER)
    assert latest(database) is None
    for number, (report_id, request) in enumerate(
        [("slow", everything), ("quick", everything), ("of two stores", REQUEST), ("odd", None)]
    ):
        with database.registry_transaction() as connection:
            start_report(connection, report_id, request, NOON + timedelta(seconds=number))
    assert latest(database) is None
    for seconds, report_id in enumerate(["quick", "slow", "of two stores", "odd"]):
        with database.registry_transaction() as connection:
            finished_at = LATER + timedelta(seconds=seconds)
            complete_report(connection, report_id, stores=2, finished_at=finished_at)
    start(database, "running", everything)
    assert latest(database) == "slow"


def complete_as_of(
    database: Database, as_of: datetime, *windows: str, stores: str = "", **rules: Any
) -> str:
    """Complete a report, later than the previous ones; return its id."""
    spec = ReportSpec.model_validate(
        {"as_of": as_of, "windows": windows, "store_ids": stores.split() or None, "rules": rules}
    )
    report_id = f"report-{next(SEQUENCE)}"
    start(database, report_id, resolve_spec(spec, newest_poll=NOON, now=LATER))
    figures = [
        {"report_id": report_id, "window_name": f"last_{window}"}
        | dict.fromkeys(("uptime", "downtime", "unobserved"), 0)
        for window in windows
        if not stores
    ]
    with database.registry_transaction() as connection:
        if figures:
            connection.execute(fleet_figure.insert(), figures)
        finished_at = LATER + timedelta(minutes=next(SEQUENCE))
        complete_report(connection, report_id, stores=2, finished_at=finished_at)
    return report_id


def test_latest_report_has_default_rules_week_and_max_as_of(database: Database):
    expected = complete_as_of(database, NOON, "hour", "week")
    assert latest(database) == expected
    complete_as_of(database, NOON - timedelta(days=365), "week")
    complete_as_of(database, NOON + timedelta(days=365), "week")
    complete_as_of(database, NOON, "day")
    complete_as_of(database, NOON, "hour", "week", stores="s1 s2")
    assert latest(database) == expected
    later = NOON + timedelta(minutes=1)
    complete_as_of(database, later, "day")
    complete_as_of(database, later, "week", interpolation="nearest")
    complete_as_of(database, later, "week", max_carry_hours=2.5)
    assert latest(database) == expected
    complete_as_of(database, later, "week", before_first_poll="unobserved")
    assert latest(database) == expected
    assert complete_as_of(database, later, "week") == latest(database)


def test_report_older_than_a_rule_has_its_default(database: Database):
    expected = complete_as_of(database, NOON, "week")
    with database.registry_transaction() as connection:
        request = connection.execute(select(report.c.request)).scalar_one()
        del request["rules"]["before_first_poll"]
        connection.execute(report.update().values(request=request))
    complete_as_of(database, NOON + timedelta(minutes=1), "week", interpolation="nearest")
    assert latest(database) == expected


def test_newest_standard_report_has_default_windows(database: Database):
    def standard() -> str | None:
        with database.read() as connection:
            state = newest_standard_report(connection)
        return state and state.report_id

    default = ("hour", "day", "week")
    complete_as_of(database, NOON, "hour", "week")
    complete_as_of(database, NOON, "week", "day", "hour")
    complete_as_of(database, NOON, *default, "month")
    complete_as_of(database, NOON, *default, interpolation="nearest")
    complete_as_of(database, NOON, *default, stores="s1 s2")
    complete_as_of(database, NOON + timedelta(days=365), *default)
    assert standard() is None
    expected = complete_as_of(database, NOON, *default)
    complete_as_of(database, NOON - timedelta(hours=1), *default)
    assert standard() == expected


def test_latest_report_is_nonstandard_if_no_other_exists(
    database: Database,
):
    nonstandard = complete_as_of(database, NOON, "month", interpolation="nearest")
    assert latest(database) == nonstandard


def test_count_by_status_includes_pending_requests(database: Database):
    with database.read() as connection:
        assert count_reports_by_status(connection) == dict.fromkeys(STATUSES, 0)
    for report_id in ("running", "complete", "failed", "canceled"):
        start(database, report_id)
    complete(database, "complete")
    fail(database, "failed")
    cancel(database, "canceled")
    with database.registry_transaction(lock="requests") as connection:
        requests = [
            create_or_get_request(
                connection, ReportSpec(store_ids=(name,)), name, NOON, max_queued=9
            )
            for name in ("pending", "launched", "canceled-request")
        ]
        mark_launched(connection, requests[1], "a-run")
        cancel_request(connection, "canceled-request")
    with database.read() as connection:
        assert count_reports_by_status(connection) == {
            "Queued": 2,  # one pending, one launched
            "Running": 1,
            "Complete": 1,
            "Failed": 1,
            "Canceled": 2,
        }


def test_pages_split_reports_of_one_instant(database: Database):
    for number in range(5):
        start(database, f"run-{number}")
    with database.read() as connection:
        ids = [record.report_id for record in read_reports(connection, limit=9)]
        assert ids == ["run-4", "run-3", "run-2", "run-1", "run-0"]
        page = read_reports(connection, limit=2, before=(NOON, "run-3"))
        assert [record.report_id for record in page] == ["run-2", "run-1"]
        assert read_reports(connection, limit=2, before=(NOON, "run-0")) == []
        assert find_report(connection, "run-2") == page[0]
