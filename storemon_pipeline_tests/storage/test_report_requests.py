"""Report requests: stored once, launched once and claimed by one run."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.report_requests import (
    IdempotencyKeyReusedError,
    StoredRequest,
    TooManyQueuedError,
    cancel_request,
    claim_request,
    create_or_get_request,
    drop_old_requests,
    drop_requests,
    find_request,
    mark_failed,
    mark_launched,
    pending_requests,
    release_request,
)
from storemon_pipeline.storage.reports import (
    cancel_report,
    complete_report,
    find_report,
    read_reports,
    start_report,
)
from storemon_pipeline.uptime.report_request import ReportSpec

NOON = datetime(2023, 1, 25, 12, tzinfo=UTC)
ALL, DAY = ReportSpec(), ReportSpec(windows=("day",))


def create(
    database: Database, request_id: str, spec: ReportSpec = ALL, *, max_queued=100, **more
) -> StoredRequest:
    with database.registry_transaction(lock="requests") as connection:
        return create_or_get_request(
            connection, spec, request_id, NOON, max_queued=max_queued, **more
        )


def claim(database: Database, request_id: str, run_id: str, root: str | None = None) -> bool:
    with database.registry_transaction() as connection:
        return claim_request(connection, request_id, run_id, root)


def test_equal_request_in_progress_is_reused(database: Database):
    assert create(database, "1").is_new
    assert create(database, "2", DAY).is_new
    repeated = create(database, "3")
    assert (repeated.request_id, repeated.is_new) == ("1", False)
    assert claim(database, "1", "run")
    assert create(database, "4").request_id == "1"


def test_equal_request_after_completion_is_new(database: Database):
    create(database, "1", key="k")
    assert claim(database, "1", "run")
    with database.registry_transaction() as connection:
        start_report(connection, "run", None, NOON)
        complete_report(connection, "run", stores=1, finished_at=NOON)
    assert create(database, "2").is_new
    # the key still refers to the first request
    assert create(database, "3", key="k").request_id == "1"


def test_idempotency_key_refers_to_one_request(database: Database):
    create(database, "1", key="k")
    assert create(database, "2", key="k").request_id == "1"
    with pytest.raises(IdempotencyKeyReusedError, match="'k'"):
        create(database, "3", DAY, key="k")
    assert create(database, "4", key="other").request_id == "1"
    assert create(database, "5", DAY).is_new


def test_request_beyond_max_queued_is_rejected(database: Database):
    create(database, "1", max_queued=1)
    with pytest.raises(TooManyQueuedError, match="1 reports"):
        create(database, "2", DAY, max_queued=1)
    assert create(database, "3", max_queued=1).request_id == "1"


def test_concurrent_equal_requests_create_one(database: Database):
    with ThreadPoolExecutor(16) as pool:
        requests = list(
            pool.map(lambda number: create(database, f"{number}", key=f"k{number}"), range(32))
        )
    assert sum(request.is_new for request in requests) == 1
    assert len({request.request_id for request in requests}) == 1


def test_request_being_launched_is_not_listed_as_pending(database: Database):
    create(database, "1")
    with database.read() as connection:
        assert pending_requests(connection, NOON) == []
        (request,) = pending_requests(connection, NOON + timedelta(seconds=1))
    assert request.spec == ALL
    with database.registry_transaction() as connection:
        release_request(connection, "1")
    with database.read() as connection:
        assert len(pending_requests(connection, NOON)) == 1


def test_claim_by_first_run_and_its_retries_only(database: Database):
    create(database, "1")
    assert claim(database, "1", "first")
    assert not claim(database, "1", "second")
    assert claim(database, "1", "first")
    assert claim(database, "1", "retry", "first")
    assert not claim(database, "1", "retry", "second")
    assert not claim(database, "unknown", "first")


def test_canceled_or_failed_request_is_not_claimed(database: Database):
    create(database, "1")
    create(database, "2", DAY)
    with database.registry_transaction() as connection:
        assert cancel_request(connection, "1")
        assert not cancel_request(connection, "1")
        mark_failed(connection, "2", "no such window")
    assert not claim(database, "1", "run")
    assert not claim(database, "2", "run")
    with database.read() as connection:
        records = {record.report_id: record for record in read_reports(connection, limit=9)}
    assert records["1"].status == "Canceled"
    assert (records["2"].status, records["2"].error) == ("Failed", "no such window")


def test_find_report_by_request_run_or_retry(database: Database):
    request = create(database, "request")
    with database.registry_transaction() as connection:
        mark_launched(connection, request, "first")
        cancel_report(connection, "first", canceled_at=NOON)
        start_report(connection, "retry", None, NOON, root_run_id="first")
    with database.read() as connection:
        records = [find_report(connection, id_) for id_ in ("request", "first", "retry")]
        assert find_report(connection, "unknown") is None
    state = records[0]
    assert state is not None
    assert records == [state] * 3
    assert (state.report_id, state.run_id, state.status) == ("first", "retry", "Running")


def test_pages_list_each_report_once(database: Database):
    for number in range(7):
        request = create(database, f"{number}", ReportSpec(store_ids=(str(number),)))
        if number % 2:
            with database.registry_transaction() as connection:
                mark_launched(connection, request, f"run-{number}")
    listed, before = [], None
    while True:
        with database.read() as connection:
            page = read_reports(connection, limit=2, before=before)
        if not page:
            break
        listed += [record.report_id for record in page]
        before = page[-1].requested_at, page[-1].report_id
    assert sorted(listed) == ["0", "2", "4", "6", "run-1", "run-3", "run-5"]


def test_drop_requests_deletes_request_and_key(database: Database):
    request = create(database, "1", key="k")
    with database.registry_transaction() as connection:
        mark_launched(connection, request, "run")
        drop_requests(connection, "run")
    with database.read() as connection:
        assert find_request(connection, "1") is None
    assert create(database, "2", DAY, key="k").is_new


def test_drop_old_requests_without_run_deletes_keys(database: Database):
    specs = {name: ReportSpec(store_ids=(name,)) for name in "abcde"}
    requests = {name: create(database, name, spec, key=name) for name, spec in specs.items()}
    with database.registry_transaction() as connection:
        mark_launched(connection, requests["a"], "run")
        mark_failed(connection, "b", "no such field")
        cancel_request(connection, "c")
        release_request(connection, "d")
    with database.registry_transaction() as connection:
        assert drop_old_requests(connection, NOON) == 0
        assert drop_old_requests(connection, NOON + timedelta(microseconds=1)) == 2
    with database.read() as connection:
        remaining = {name for name in specs if find_request(connection, name)}
    assert remaining == {"a", "d", "e"}
    # the key of a deleted request may be used again
    assert create(database, "b2", specs["a"], key="b").request_id == "a"
