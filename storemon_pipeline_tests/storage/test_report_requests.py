"""What was asked for over REST is kept once, launched once, and claimed by one run."""

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
    release_request,
    waiting_requests,
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


def keep(
    database: Database, request_id: str, asked: ReportSpec = ALL, *, most=100, **more
) -> StoredRequest:
    with database.registry_transaction(lock="requests") as connection:
        return create_or_get_request(connection, asked, request_id, NOON, max_queued=most, **more)


def claimed(database: Database, request_id: str, run_id: str, root: str | None = None) -> bool:
    with database.registry_transaction() as connection:
        return claim_request(connection, request_id, run_id, root)


def test_what_is_asked_for_first_is_new_and_what_equals_it_in_progress_is_not(database: Database):
    assert keep(database, "1").is_new
    assert keep(database, "2", DAY).is_new
    again = keep(database, "3")
    assert (again.request_id, again.is_new) == ("1", False)
    assert claimed(database, "1", "run")
    assert keep(database, "4").request_id == "1"


def test_after_its_report_is_complete_an_equal_request_is_new(database: Database):
    keep(database, "1", key="k")
    assert claimed(database, "1", "run")
    with database.registry_transaction() as connection:
        start_report(connection, "run", None, NOON)
        complete_report(connection, "run", stores=1, finished_at=NOON)
    assert keep(database, "2").is_new
    # by its key it is the one that it was
    assert keep(database, "3", key="k").request_id == "1"


def test_a_key_is_of_one_request(database: Database):
    keep(database, "1", key="k")
    assert keep(database, "2", key="k").request_id == "1"
    with pytest.raises(IdempotencyKeyReusedError, match="'k'"):
        keep(database, "3", DAY, key="k")
    assert keep(database, "4", key="other").request_id == "1"
    assert keep(database, "5", DAY).is_new


def test_no_more_are_queued_than_may_be(database: Database):
    keep(database, "1", most=1)
    with pytest.raises(TooManyQueuedError, match="1 reports"):
        keep(database, "2", DAY, most=1)
    assert keep(database, "3", most=1).request_id == "1"


def test_of_many_that_ask_for_the_same_at_once_one_is_new(database: Database):
    with ThreadPoolExecutor(16) as pool:
        kept = list(pool.map(lambda each: keep(database, str(each), key=f"k{each}"), range(32)))
    assert sum(each.is_new for each in kept) == 1
    assert len({each.request_id for each in kept}) == 1


def test_what_somebody_is_launching_is_left_to_him_for_a_while(database: Database):
    keep(database, "1")
    with database.read() as connection:
        assert waiting_requests(connection, NOON) == []
        (request,) = waiting_requests(connection, NOON + timedelta(seconds=1))
    assert request.spec == ALL
    with database.registry_transaction() as connection:
        release_request(connection, "1")
    with database.read() as connection:
        assert len(waiting_requests(connection, NOON)) == 1


def test_the_first_run_claims_and_its_retries_may_but_no_other(database: Database):
    keep(database, "1")
    assert claimed(database, "1", "first")
    assert not claimed(database, "1", "second")
    assert claimed(database, "1", "first")
    assert claimed(database, "1", "retry", "first")
    assert not claimed(database, "1", "retry", "second")
    assert not claimed(database, "never asked for", "first")


def test_what_was_canceled_or_refused_is_not_claimed(database: Database):
    keep(database, "1")
    keep(database, "2", DAY)
    with database.registry_transaction() as connection:
        assert cancel_request(connection, "1")
        assert not cancel_request(connection, "1")
        mark_failed(connection, "2", "no such window")
    assert not claimed(database, "1", "run")
    assert not claimed(database, "2", "run")
    with database.read() as connection:
        told = {each.report_id: each for each in read_reports(connection, limit=9)}
    assert told["1"].status == "Canceled"
    assert (told["2"].status, told["2"].error) == ("Failed", "no such window")


def test_a_report_is_found_by_its_request_its_run_and_the_run_that_retried_it(database: Database):
    kept = keep(database, "request")
    with database.registry_transaction() as connection:
        mark_launched(connection, kept, "first")
        cancel_report(connection, "first", canceled_at=NOON)
        start_report(connection, "retry", None, NOON, root_run_id="first")
    with database.read() as connection:
        found = [find_report(connection, each) for each in ("request", "first", "retry")]
        assert find_report(connection, "nobody") is None
    state = found[0]
    assert found == [state] * 3
    assert (state.report_id, state.run_id, state.status) == ("first", "retry", "Running")


def test_no_report_is_listed_twice_or_lost_between_pages(database: Database):
    for number in range(7):
        kept = keep(database, f"{number}", ReportSpec(store_ids=(str(number),)))
        if number % 2:
            with database.registry_transaction() as connection:
                mark_launched(connection, kept, f"run-{number}")
    seen, before = [], None
    while True:
        with database.read() as connection:
            page = read_reports(connection, limit=2, before=before)
        if not page:
            break
        seen += [each.report_id for each in page]
        before = page[-1].requested_at, page[-1].report_id
    assert sorted(seen) == ["0", "2", "4", "6", "run-1", "run-3", "run-5"]


def test_requests_go_with_their_report(database: Database):
    kept = keep(database, "1", key="k")
    with database.registry_transaction() as connection:
        mark_launched(connection, kept, "run")
        drop_requests(connection, "run")
    with database.read() as connection:
        assert find_request(connection, "1") is None
    assert keep(database, "2", DAY, key="k").is_new


def test_old_requests_that_never_had_a_run_and_never_will_go_with_their_keys(database: Database):
    asked = {name: ReportSpec(store_ids=(name,)) for name in "abcde"}
    kept = {name: keep(database, name, each, key=name) for name, each in asked.items()}
    with database.registry_transaction() as connection:
        mark_launched(connection, kept["a"], "run")
        mark_failed(connection, "b", "no such field")
        cancel_request(connection, "c")
        release_request(connection, "d")
    with database.registry_transaction() as connection:
        assert drop_old_requests(connection, NOON) == 0
        assert drop_old_requests(connection, NOON + timedelta(microseconds=1)) == 2
    with database.read() as connection:
        left = {name for name in asked if find_request(connection, name)}
    assert left == {"a", "d", "e"}
    # a key that went with its request may come again
    assert keep(database, "b2", asked["a"], key="b").request_id == "a"
