"""Requests that wait for a lock, Dagster or the first ingest do not delay others."""

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
"""Seconds: far below the timeout of a hanging Dagster, far above a normal response time."""


@pytest.fixture(scope="module")
def hanging() -> Iterator[str]:
    """Return the URL of a server that accepts requests and never responds."""
    with socket.create_server(("127.0.0.1", 0), backlog=200) as server, ExitStack() as connections:

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                connections.enter_context(connection)

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def timed_get(api: Api, path: str) -> tuple[int, float]:
    began = time.monotonic()
    status = httpx.get(f"{api.url}{path}", timeout=60).status_code
    return status, time.monotonic() - began


def test_hanging_dagster_does_not_delay_reads(start_api: StartApi, hanging: str):
    api = start_api(dagster_url=hanging)
    api.http.get("/v1/reports")  # opens the database
    began, done = time.monotonic(), []
    hours = count(1)

    def post(number: int) -> int:
        # every third request equals another, and waits for its launch
        body = {"rules": {"max_carry_hours": 7 if number % 3 == 0 else next(hours) + 100}}
        response = api.http.post("/v1/reports", json=body)
        done.append(time.monotonic() - began)
        return response.status_code

    with ThreadPoolExecutor(45) as pool:
        posts = [pool.submit(post, number) for number in range(45)]
        while len(done) < 20:  # the others are waiting now
            time.sleep(0.02)
            assert time.monotonic() - began < 30
        for path, status in (("/healthz", 200), ("/v1/reports", 200), ("/", 200), ("/readyz", 503)):
            answered, took = timed_get(api, path)
            assert answered == status, path
            assert took < SOON, path
        assert {future.result() for future in posts} == {202}


@pytest.fixture
def sqlite_database(tmp_path: Path) -> Iterator[tuple[Database, str]]:
    url = f"sqlite:///{tmp_path}/storemon.db"
    database = Database(url)
    yield database, url
    database.close()


def test_reports_are_accepted_during_ingest(
    start_api: StartApi, sqlite_database: tuple[Database, str]
):
    database, url = sqlite_database
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
        assert {future.result().status_code for future in posts} == {202}
        assert len(api.http.get("/v1/reports?limit=50").json()["reports"]) == 20
        assert time.monotonic() - began < 2 * SOON


@pytest.fixture(scope="module")
def fresh(start_api: StartApi, tmp_path_factory: pytest.TempPathFactory) -> Api:
    """Start an API before the first ingest."""
    return start_api(database_url=f"sqlite:///{tmp_path_factory.mktemp('fresh')}/storemon.db")


@pytest.mark.parametrize(
    "path", ["/v1/reports", "/trigger_report", "/trigger_single_store_report/s1"]
)
def test_report_before_first_ingest_is_503(fresh: Api, path: str):
    response = fresh.http.post(path)
    body = problem(response, 503)
    assert body["type"].endswith("no-polls-yet")
    assert "first ingest has not finished" in body["detail"]
    assert int(response.headers["retry-after"]) > 0
    assert fresh.http.get("/v1/reports").json()["reports"] == []


def test_readyz_before_first_ingest_is_503(fresh: Api, api: Api):
    body = problem(fresh.http.get("/readyz"), 503)
    assert [error["where"] for error in body["errors"]] == ["polls", "dagster"]
    body = problem(api.http.get("/readyz"), 503)
    assert [error["where"] for error in body["errors"]] == ["dagster"]
