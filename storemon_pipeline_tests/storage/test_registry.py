"""Every report that is started is on record, with what became of it."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import select, text

from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.registry import complete_report, fail_report, start_report
from storemon_pipeline.storage.tables import report
from storemon_pipeline.uptime.request import AskedReport, ReportRequest, resolve

NOON = datetime(2023, 1, 25, 12, 0, 0, 123456, tzinfo=UTC)
LATER = NOON + timedelta(minutes=1)
REQUEST = resolve(AskedReport(store_ids=("2", "1")), newest_poll=NOON, now=LATER)


def reports(database: Database) -> dict[str, dict]:
    with database.read() as connection:
        return {
            row["report_id"]: dict(row) for row in connection.execute(select(report)).mappings()
        }


def started(database: Database, report_id: str, request: ReportRequest | None = REQUEST) -> None:
    with database.write() as connection:
        start_report(connection, report_id, request, NOON)


def completed(database: Database, report_id: str) -> None:
    with database.write() as connection:
        complete_report(connection, report_id, stores=2, finished_at=LATER)


def failed(database: Database, report_id: str, error: str = "no polls") -> None:
    with database.write() as connection:
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
    with database.write() as connection:
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
