"""While the database is away requests are told so, and once it is back they are answered: no restart."""

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


def administer(place: ApiDatabase, *statements: str) -> None:
    """Run statements as the server's administrator, who is not kept out of the database."""
    url = make_url(place.database_url)
    engine = create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement.format(name=url.database)))
    engine.dispose()


def set_away(place: ApiDatabase, *, away: bool) -> None:
    administer(
        place,
        f"ALTER DATABASE {{name}} ALLOW_CONNECTIONS {'false' if away else 'true'}",
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{name}'",
    )


def is_away(answer: httpx.Response) -> None:
    told = problem(answer, 503)
    assert told["type"].endswith("database-unavailable")
    assert "database" in told["detail"]
    assert int(answer.headers["retry-after"]) > 0


def test_the_api_lives_on_without_its_database_and_finds_it_again(
    api: Api, api_database: ApiDatabase
):
    assert api.http.get("/v1/stores/s1/status").status_code == 200
    set_away(api_database, away=True)
    try:
        for path in PATHS:
            is_away(api.http.get(path))
        is_away(api.http.post("/v1/reports"))
        is_away(api.http.post("/trigger_report"))
        is_away(api.http.delete("/v1/reports/some-id"))
        assert api.http.get("/healthz").status_code == 200
        assert "database" in [
            each["where"] for each in problem(api.http.get("/readyz"), 503)["errors"]
        ]
        metrics = api.http.get("/metrics")
        assert metrics.status_code == 200
        assert "storemon_database_up 0.0" in metrics.text
    finally:
        set_away(api_database, away=False)
    assert api.http.get(f"/v1/reports/{api_database.complete}").json()["status"] == "Complete"
    assert api.http.post("/v1/reports").status_code == 202
    assert api.http.get("/v1/stores/s1/status").status_code == 200
    assert "storemon_database_up 1.0" in api.http.get("/metrics").text


def test_an_api_that_began_without_its_database_finds_it(
    start_api: StartApi, api_database: ApiDatabase
):
    set_away(api_database, away=True)
    try:
        late = start_api()
        is_away(late.http.get("/v1/reports"))
    finally:
        set_away(api_database, away=False)
    assert late.http.get("/v1/reports").status_code == 200


def test_a_connection_that_is_cut_in_the_middle_of_a_question_is_no_bug(
    api: Api, api_database: ApiDatabase
):
    engine = create_engine(api_database.database_url)
    answers: list[httpx.Response] = []

    def waits() -> list[int]:
        query = "SELECT pid FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted AND datname = current_database()"
        with engine.connect() as looking:
            return list(looking.execute(text(query)).scalars())

    with engine.begin() as holding:
        holding.execute(text("LOCK TABLE report IN ACCESS EXCLUSIVE MODE"))
        asking = threading.Thread(target=lambda: answers.append(api.http.get("/v1/reports")))
        asking.start()
        give_up_at = time.monotonic() + SECONDS
        while not (pids := waits()):
            assert time.monotonic() < give_up_at
            time.sleep(0.02)
        for pid in pids:
            holding.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        asking.join(SECONDS)
    engine.dispose()
    is_away(answers[0])


def test_where_no_connection_is_free_it_is_the_database_that_is_away(api_database: ApiDatabase):
    app = build_app(Settings(database_url=api_database.database_url))
    database: Database = app.state.app_state.database
    database._engine.dispose()
    database._engine = create_engine(
        api_database.database_url, pool_size=1, max_overflow=0, pool_timeout=0.1
    )
    with TestClient(app, base_url="http://127.0.0.1") as client, database.read():
        is_away(client.get("/v1/reports"))
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


def test_a_database_of_a_newer_version_is_told_of(start_api: StartApi, newer: str):
    api = start_api(database_url=newer)
    told = problem(api.http.get("/v1/reports"), 503)
    assert "9999" in told["detail"]
    assert "install the newer version" in told["detail"]
    assert "9999" in problem(api.http.get("/readyz"), 503)["detail"]
    assert "storemon_database_up 0.0" in api.http.get("/metrics").text
