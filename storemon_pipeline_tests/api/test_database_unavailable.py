"""While the database is unavailable, requests get 503; afterwards they succeed without a restart."""

import threading
import time
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, make_url, text

from storemon_pipeline.api.app import build_app
from storemon_pipeline.settings import Settings
from storemon_pipeline.storage.database import Database
from storemon_pipeline_tests.helpers.api_process import SECONDS, Api, ApiDatabase, StartApi, problem

PATHS = [
    "/v1/reports",
    "/v1/reports/some-id",
    "/v1/reports/some-id/report.csv",
    "/v1/stores",
    "/v1/stores/s1",
    "/v1/stores/s1/status",
    "/v1/alerts",
    "/get_report/some-id",
    "/store_summary/s1",
    "/reports",
]


def administer(database: ApiDatabase, *statements: str) -> None:
    """Run statements as administrator, in another database of the server."""
    url = make_url(database.database_url)
    engine = create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement.format(name=url.database)))
    engine.dispose()


def set_unavailable(database: ApiDatabase, *, unavailable: bool) -> None:
    administer(
        database,
        f"ALTER DATABASE {{name}} ALLOW_CONNECTIONS {'false' if unavailable else 'true'}",
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{name}'",
    )


def assert_unavailable(response: httpx.Response) -> None:
    body = problem(response, 503)
    assert body["type"].endswith("database-unavailable")
    assert "database" in body["detail"]
    assert int(response.headers["retry-after"]) > 0


def test_api_recovers_after_database_outage(api: Api, api_database: ApiDatabase):
    assert api.http.get("/v1/stores/s1/status").status_code == 200
    set_unavailable(api_database, unavailable=True)
    try:
        for path in PATHS:
            assert_unavailable(api.http.get(path))
        assert_unavailable(api.http.post("/v1/reports"))
        assert_unavailable(api.http.post("/trigger_report"))
        assert_unavailable(api.http.delete("/v1/reports/some-id"))
        assert api.http.get("/healthz").status_code == 200
        assert "database" in [
            error["where"] for error in problem(api.http.get("/readyz"), 503)["errors"]
        ]
        metrics = api.http.get("/metrics")
        assert metrics.status_code == 200
        assert "storemon_database_up 0.0" in metrics.text
    finally:
        set_unavailable(api_database, unavailable=False)
    assert api.http.get(f"/v1/reports/{api_database.complete}").json()["status"] == "Complete"
    assert api.http.post("/v1/reports").status_code == 202
    assert api.http.get("/v1/stores/s1/status").status_code == 200
    assert "storemon_database_up 1.0" in api.http.get("/metrics").text


def test_api_started_without_database_recovers(start_api: StartApi, api_database: ApiDatabase):
    set_unavailable(api_database, unavailable=True)
    try:
        late = start_api()
        assert_unavailable(late.http.get("/v1/reports"))
    finally:
        set_unavailable(api_database, unavailable=False)
    assert late.http.get("/v1/reports").status_code == 200


def test_connection_lost_during_query_is_503(api: Api, api_database: ApiDatabase):
    engine = create_engine(api_database.database_url)
    responses: list[httpx.Response] = []

    def waits() -> list[int]:
        query = "SELECT pid FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted AND datname = current_database()"
        with engine.connect() as observer:
            return list(observer.execute(text(query)).scalars())

    with engine.begin() as blocker:
        blocker.execute(text("LOCK TABLE report IN ACCESS EXCLUSIVE MODE"))
        requesting = threading.Thread(target=lambda: responses.append(api.http.get("/v1/reports")))
        requesting.start()
        deadline = time.monotonic() + SECONDS
        while not (pids := waits()):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        for pid in pids:
            blocker.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        requesting.join(SECONDS)
    engine.dispose()
    assert_unavailable(responses[0])


def test_exhausted_connection_pool_is_503(api_database: ApiDatabase):
    app = build_app(Settings(database_url=api_database.database_url))
    database: Database = app.state.app_state.database
    database._engine.dispose()
    database._engine = create_engine(
        api_database.database_url, pool_size=1, max_overflow=0, pool_timeout=0.1
    )
    with TestClient(app, base_url="http://127.0.0.1") as client, database.read():
        assert_unavailable(client.get("/v1/reports"))
        assert client.get("/readyz").status_code == 503
        assert client.get("/metrics").status_code == 200


@pytest.fixture
def newer(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/newer.db"
    database = Database(url)
    with database.data_transaction() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    return url


def test_newer_database_schema_is_503(start_api: StartApi, newer: str):
    api = start_api(database_url=newer)
    body = problem(api.http.get("/v1/reports"), 503)
    assert "9999" in body["detail"]
    assert "install the newer version" in body["detail"]
    assert "9999" in problem(api.http.get("/readyz"), 503)["detail"]
    assert "storemon_database_up 0.0" in api.http.get("/metrics").text
