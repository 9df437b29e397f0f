"""Every report that is started is on record, with what became of it."""

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
NUMBERS = count(1)
REQUEST = resolve_spec(ReportSpec(store_ids=("2", "1")), newest_poll=NOON, now=LATER)


def reports(database: Database) -> dict[str, dict]:
    with database.read() as connection:
        return {
            row["report_id"]: dict(row) for row in connection.execute(select(report)).mappings()
        }


def started(database: Database, report_id: str, request: ReportRequest | None = REQUEST) -> None:
    with database.registry_transaction() as connection:
        start_report(connection, report_id, request, NOON)


def completed(database: Database, report_id: str) -> None:
    with database.registry_transaction() as connection:
        complete_report(connection, report_id, stores=2, finished_at=LATER)


def failed(database: Database, report_id: str, error: str = "no polls") -> None:
    with database.registry_transaction() as connection:
        fail_report(connection, report_id, error=error, failed_at=LATER)


def test_a_report_is_running_once_it_is_started(database: Database):
    started(database, "a-run")
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


def test_what_it_was_asked_for_may_become_known_later(database: Database):
    started(database, "a-run", None)
    with database.read() as connection:
        unknown = connection.execute(text("SELECT count(*) FROM report WHERE request IS NULL"))
        assert unknown.scalar_one() == 1
    with database.registry_transaction() as connection:
        start_report(connection, "a-run", REQUEST, LATER)
    (row,) = reports(database).values()
    assert (row["request"], row["as_of"]) == (REQUEST.model_dump(mode="json"), NOON)
    assert row["requested_at"] == NOON


def test_a_report_is_complete_or_failed(database: Database):
    for report_id in ("good", "bad", "running"):
        started(database, report_id)
    completed(database, "good")
    failed(database, "bad", 'it\'s "50%" \u2603')
    rows = reports(database)
    told = {name: (row["status"], row["stores"], row["error"]) for name, row in rows.items()}
    assert told == {
        "good": ("Complete", 2, None),
        "bad": ("Failed", None, 'it\'s "50%" \u2603'),
        "running": ("Running", None, None),
    }
    assert rows["good"]["finished_at"] == rows["bad"]["finished_at"] == LATER


def test_error_of_a_report_is_cut_when_stored(database: Database):
    started(database, "a-run")
    failed(database, "a-run", error="no polls " * 1_000_000)
    error = reports(database)["a-run"]["error"]
    assert (len(error), error[:9], error[-1]) == (MAX_MESSAGE, "no polls ", "…")


def test_a_complete_report_never_becomes_failed(database: Database):
    started(database, "a-run")
    completed(database, "a-run")
    before = reports(database)
    failed(database, "a-run")
    assert reports(database) == before
    started(database, "a-run", None)
    failed(database, "a-run")
    assert reports(database) == before


def test_a_failed_report_may_still_be_completed(database: Database):
    started(database, "a-run")
    failed(database, "a-run")
    completed(database, "a-run")
    (row,) = reports(database).values()
    assert (row["status"], row["error"]) == ("Complete", None)


def test_a_run_that_makes_no_report_is_not_recorded_by_failing(database: Database):
    failed(database, "another-run")
    completed(database, "another-run")
    assert reports(database) == {}


def retried(database: Database, run_id: str, root_run_id: str) -> None:
    with database.registry_transaction() as connection:
        start_report(connection, run_id, REQUEST, LATER, root_run_id=root_run_id)


def canceled(database: Database, run_id: str) -> None:
    with database.registry_transaction() as connection:
        cancel_report(connection, run_id, canceled_at=LATER)


def test_a_run_that_retries_another_makes_the_same_report(database: Database):
    started(database, "first")
    failed(database, "first")
    retried(database, "second", "first")
    (row,) = reports(database).values()
    assert (row["report_id"], row["run_id"], row["status"]) == ("first", "second", "Running")
    assert (row["error"], row["finished_at"], row["requested_at"]) == (None, None, NOON)
    # what is told of the run before is no longer of this report
    failed(database, "first", "too late")
    completed(database, "first")
    assert reports(database) == {"first": row}
    failed(database, "second")
    retried(database, "third", "first")
    completed(database, "third")
    (row,) = reports(database).values()
    assert (row["report_id"], row["run_id"], row["status"]) == ("first", "third", "Complete")


def test_a_complete_report_that_is_made_again_is_another_report(database: Database):
    started(database, "first")
    completed(database, "first")
    before = reports(database)["first"]
    retried(database, "again", "first")
    rows = reports(database)
    assert rows["first"] == before
    assert (rows["again"]["run_id"], rows["again"]["status"]) == ("again", "Running")
    # and what retries that one is one more: it is told of the first run only
    failed(database, "again")
    retried(database, "once more", "first")
    assert reports(database)["again"]["status"] == "Failed"
    assert reports(database)["once more"]["status"] == "Running"


def test_a_run_that_retries_one_that_is_not_on_record_makes_its_own_report(database: Database):
    retried(database, "second", "of another history")
    assert list(reports(database)) == ["second"]


def test_a_report_in_progress_can_be_canceled_and_no_other(database: Database):
    with database.registry_transaction() as connection:
        queue_report(connection, "queued", NOON)
    for report_id in ("running", "complete", "failed"):
        started(database, report_id)
    completed(database, "complete")
    failed(database, "failed")
    with database.read() as connection:
        assert sorted(runs_in_progress(connection)) == ["queued", "running"]
    before = reports(database)
    for report_id in (*before, "nobody"):
        canceled(database, report_id)
    after = reports(database)
    for report_id in ("queued", "running"):
        row = after.pop(report_id)
        assert (row["status"], row["finished_at"], row["error"]) == ("Canceled", LATER, None)
    assert after == {name: before[name] for name in ("complete", "failed")}
    # what ends a run that was canceled is no failure
    failed(database, "running")
    assert reports(database)["running"]["status"] == "Canceled"
    with database.read() as connection:
        assert runs_in_progress(connection) == []


def test_a_report_is_queued_once(database: Database):
    started(database, "a-run")
    before = reports(database)
    with database.registry_transaction() as connection:
        queue_report(connection, "a-run", LATER)
    assert reports(database) == before


def newest(database: Database) -> str | None:
    with database.read() as connection:
        state = latest_complete_report(connection)
    return state and state.report_id


def test_of_reports_as_of_one_instant_the_newest_is_the_last_to_be_complete(database: Database):

    everything = resolve_spec(ReportSpec(), newest_poll=NOON, now=LATER)
    assert newest(database) is None
    for number, (report_id, request) in enumerate(
        [("slow", everything), ("quick", everything), ("of two stores", REQUEST), ("odd", None)]
    ):
        with database.registry_transaction() as connection:
            start_report(connection, report_id, request, NOON + timedelta(seconds=number))
    assert newest(database) is None
    for seconds, report_id in enumerate(["quick", "slow", "of two stores", "odd"]):
        with database.registry_transaction() as connection:
            finished_at = LATER + timedelta(seconds=seconds)
            complete_report(connection, report_id, stores=2, finished_at=finished_at)
    started(database, "running", everything)
    assert newest(database) == "slow"


def complete_as_of(
    database: Database, as_of: datetime, *windows: str, stores: str = "", **rules: Any
) -> str:
    """A report that becomes Complete, later than those before it."""
    asked = ReportSpec.model_validate(
        {"as_of": as_of, "windows": windows, "store_ids": stores.split() or None, "rules": rules}
    )
    report_id = f"report-{next(NUMBERS)}"
    started(database, report_id, resolve_spec(asked, newest_poll=NOON, now=LATER))
    figures = [
        {"report_id": report_id, "window_name": f"last_{window}"}
        | dict.fromkeys(("uptime", "downtime", "unobserved"), 0)
        for window in windows
        if not stores
    ]
    with database.registry_transaction() as connection:
        if figures:
            connection.execute(fleet_figure.insert(), figures)
        finished_at = LATER + timedelta(minutes=next(NUMBERS))
        complete_report(connection, report_id, stores=2, finished_at=finished_at)
    return report_id


def test_the_newest_complete_report_is_the_one_that_tells_of_the_newest_time(database: Database):
    shown = complete_as_of(database, NOON, "hour", "week")
    assert newest(database) == shown
    complete_as_of(database, NOON - timedelta(days=365), "week")
    complete_as_of(database, NOON + timedelta(days=365), "week")
    complete_as_of(database, NOON, "day")
    complete_as_of(database, NOON, "hour", "week", stores="s1 s2")
    assert newest(database) == shown
    later = NOON + timedelta(minutes=1)
    complete_as_of(database, later, "day")
    complete_as_of(database, later, "week", interpolation="nearest")
    complete_as_of(database, later, "week", max_carry_hours=2.5)
    assert newest(database) == shown
    complete_as_of(database, later, "week", before_first_poll="unobserved")
    assert newest(database) == shown
    assert complete_as_of(database, later, "week") == newest(database)


def test_a_report_older_than_a_rule_counts_as_by_its_default(database: Database):
    shown = complete_as_of(database, NOON, "week")
    with database.registry_transaction() as connection:
        asked = connection.execute(select(report.c.request)).scalar_one()
        del asked["rules"]["before_first_poll"]
        connection.execute(report.update().values(request=asked))
    complete_as_of(database, NOON + timedelta(minutes=1), "week", interpolation="nearest")
    assert newest(database) == shown


def test_newest_standard_report_is_over_default_windows(database: Database):
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
    shown = complete_as_of(database, NOON, *default)
    complete_as_of(database, NOON - timedelta(hours=1), *default)
    assert standard() == shown


def test_a_report_that_is_unlike_the_others_is_the_newest_while_there_is_no_other(
    database: Database,
):
    unlike = complete_as_of(database, NOON, "month", interpolation="nearest")
    assert newest(database) == unlike


def test_reports_are_counted_by_status_with_the_requests_that_wait(database: Database):
    with database.read() as connection:
        assert count_reports_by_status(connection) == dict.fromkeys(STATUSES, 0)
    for report_id in ("running", "complete", "failed", "canceled"):
        started(database, report_id)
    completed(database, "complete")
    failed(database, "failed")
    canceled(database, "canceled")
    with database.registry_transaction(lock="requests") as connection:
        kept = [
            create_or_get_request(
                connection, ReportSpec(store_ids=(each,)), each, NOON, max_queued=9
            )
            for each in ("waiting", "launched", "gone")
        ]
        mark_launched(connection, kept[1], "a-run")
        cancel_request(connection, "gone")
    with database.read() as connection:
        assert count_reports_by_status(connection) == {
            "Queued": 2,  # one waits, one was launched
            "Running": 1,
            "Complete": 1,
            "Failed": 1,
            "Canceled": 2,
        }


def test_reports_of_one_instant_are_on_one_page_each(database: Database):
    for number in range(5):
        started(database, f"run-{number}")
    with database.read() as connection:
        every = [each.report_id for each in read_reports(connection, limit=9)]
        assert every == ["run-4", "run-3", "run-2", "run-1", "run-0"]
        page = read_reports(connection, limit=2, before=(NOON, "run-3"))
        assert [each.report_id for each in page] == ["run-2", "run-1"]
        assert read_reports(connection, limit=2, before=(NOON, "run-0")) == []
        assert find_report(connection, "run-2") == page[0]
