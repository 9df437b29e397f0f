"""What waits, for a lock, for Dagster or for the first ingest, delays nothing else."""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import httpx
import pytest
from sqlalchemy import insert

from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.schema import polled_store
from storemon_pipeline_tests.helpers.api_process import Api, StartApi, problem

NOON = datetime(2023, 1, 25, 12, tzinfo=UTC)
SOON = 5.0
"""Seconds: far below the time for which what hangs is waited for, far above what an answer takes."""


@pytest.fixture(scope="module")
def hanging() -> Iterator[str]:
    """The address of a server that takes connections and requests, and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=200) as server, ExitStack() as open_ones:

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                open_ones.enter_context(connection)

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def timed_get(api: Api, path: str) -> tuple[int, float]:
    began = time.monotonic()
    status = httpx.get(f"{api.url}{path}", timeout=60).status_code
    return status, time.monotonic() - began


def test_a_webserver_that_hangs_delays_no_reads(start_api: StartApi, hanging: str):
    api = start_api(dagster_url=hanging)
    api.http.get("/v1/reports")  # the database is open
    began, done = time.monotonic(), []
    hours = count(1)

    def post(number: int) -> int:
        # every third one equals another, and waits for its launch
        body = {"rules": {"max_carry_hours": 7 if number % 3 == 0 else next(hours) + 100}}
        answer = api.http.post("/v1/reports", json=body)
        done.append(time.monotonic() - began)
        return answer.status_code

    with ThreadPoolExecutor(45) as pool:
        posts = [pool.submit(post, number) for number in range(45)]
        while len(done) < 20:  # the others wait by now
            time.sleep(0.02)
            assert time.monotonic() - began < 30
        for path, status in (("/healthz", 200), ("/v1/reports", 200), ("/", 200), ("/readyz", 503)):
            answered, took = timed_get(api, path)
            assert answered == status, path
            assert took < SOON, path
        assert {each.result() for each in posts} == {202}


@pytest.fixture
def sqlite_place(tmp_path: Path) -> Iterator[tuple[Database, str]]:
    url = f"sqlite:///{tmp_path}/storemon.db"
    database = Database(url)
    yield database, url
    database.close()


def test_posts_are_answered_while_an_ingest_writes(
    start_api: StartApi, sqlite_place: tuple[Database, str]
):
    database, url = sqlite_place
    with database.data_transaction() as connection:
        connection.execute(
            insert(polled_store).values(store_id="s1", first_poll_utc=NOON, last_poll_utc=NOON)
        )
    api = start_api(database_url=url)
    with database.data_transaction() as ingest, ThreadPoolExecutor(20) as pool:
        ingest.exec_driver_sql("DELETE FROM store_status")
        began = time.monotonic()
        bodies = [{"rules": {"max_carry_hours": hours}} for hours in range(1, 21)]
        posts = [pool.submit(api.http.post, "/v1/reports", json=body) for body in bodies]
        assert {each.result().status_code for each in posts} == {202}
        assert len(api.http.get("/v1/reports?limit=50").json()["reports"]) == 20
        assert time.monotonic() - began < 2 * SOON


@pytest.fixture(scope="module")
def fresh(start_api: StartApi, tmp_path_factory: pytest.TempPathFactory) -> Api:
    """An API before the first ingest."""
    return start_api(database_url=f"sqlite:///{tmp_path_factory.mktemp('fresh')}/storemon.db")


@pytest.mark.parametrize(
    "path", ["/v1/reports", "/trigger_report", "/trigger_single_store_report/s1"]
)
def test_before_the_first_ingest_a_report_is_refused(fresh: Api, path: str):
    answer = fresh.http.post(path)
    told = problem(answer, 503)
    assert told["type"].endswith("no-polls-yet")
    assert "first ingest is still to finish" in told["detail"]
    assert int(answer.headers["retry-after"]) > 0
    assert fresh.http.get("/v1/reports").json()["reports"] == []


def test_ready_is_not_before_the_first_ingest(fresh: Api, api: Api):
    told = problem(fresh.http.get("/readyz"), 503)
    assert [each["where"] for each in told["errors"]] == ["polls", "dagster"]
    told = problem(api.http.get("/readyz"), 503)
    assert [each["where"] for each in told["errors"]] == ["dagster"]
