"""Unexpected responses of Dagster's webserver: no accepted request is lost."""

import json
import threading
from base64 import b64encode
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, text

from storemon_pipeline_tests.helpers.api_process import Api, ApiDatabase, StartApi, problem

JOBS = {
    "repositoriesOrError": {
        "nodes": [
            {
                "name": "__repository__",
                "location": {"name": "here"},
                "jobs": [{"name": "report_job"}, {"name": "ingest_job"}],
            }
        ]
    }
}
CARRY_HOURS = count(1)


class FakeWebserver(BaseHTTPRequestHandler):
    """Sends the responses that a test has set."""

    answer: ClassVar[bytes | Mapping[str, Any]] = b""
    status: ClassVar[int] = 200
    requests: ClassVar[list[dict[str, str]]] = []

    def do_POST(self) -> None:
        query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["query"]
        self.requests.append(dict(self.headers))
        answer = self.answer
        if isinstance(answer, Mapping):  # responses by query name
            body = answer[query.split()[1].partition("(")[0]]
            answer = body if isinstance(body, bytes) else json.dumps({"data": body}).encode()
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Do not log."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), FakeWebserver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture(scope="module")
def api(start_api: StartApi, port: int) -> Api:
    return start_api(dagster_url=f"http://127.0.0.1:{port}")


@pytest.fixture
def respond(monkeypatch: pytest.MonkeyPatch):
    """Set the response to all queries, or to queries by name."""

    def respond(answer: object = None, *, status: int = 200, **answers: object) -> None:
        whole = answer if isinstance(answer, str) else json.dumps(answer)
        monkeypatch.setattr(FakeWebserver, "answer", answers or whole.encode())
        monkeypatch.setattr(FakeWebserver, "status", status)

    return respond


def create(api: Api) -> dict[str, Any]:
    """Create a report that equals no other; an equal one would wait for its launch."""
    response = api.http.post("/v1/reports", json={"rules": {"max_carry_hours": next(CARRY_HOURS)}})
    assert response.status_code == 202, response.text
    return response.json()


def launch_attempted(database: ApiDatabase, request_id: str) -> bool:
    """Return whether a launch attempt of the request was recorded."""
    engine = create_engine(database.database_url)
    query = text("SELECT launch_attempted_at FROM report_request WHERE request_id = :id")
    with engine.connect() as connection:
        launch_attempted_at = connection.execute(query, {"id": request_id}).scalar_one()
    engine.dispose()
    return launch_attempted_at is not None


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "<html>",
        "[]",
        '"x"',
        "null",
        "{}",
        {"data": None},
        {"errors": ["odd"]},
        {"data": {}},
        {"data": {"repositoriesOrError": None, "instance": None}},
        {"data": {"repositoriesOrError": [], "instance": []}},
        {"data": {"repositoriesOrError": {"nodes": None}, "instance": {"daemonHealth": None}}},
        {"data": {"repositoriesOrError": {"nodes": [{}]}, "instance": {"daemonHealth": {}}}},
        {
            "data": {
                "repositoriesOrError": {"nodes": [{"jobs": [{"name": {}}]}]},
                "instance": {"daemonHealth": {"allDaemonStatuses": [None]}},
            }
        },
        {
            "data": {
                "repositoriesOrError": {"message": "it broke"},
                "instance": {"daemonHealth": {"allDaemonStatuses": [{"required": True}]}},
            }
        },
    ],
)
def test_unexpected_response_means_dagster_unavailable(
    api: Api, api_database: ApiDatabase, respond, answer
):
    respond(answer)
    report = create(api)
    assert report["status"] == "Queued"
    # without a job, nothing can have been launched
    assert not launch_attempted(api_database, report["id"])
    assert "dagster" in problem(api.http.get("/readyz"), 503)["detail"]
    problem(api.http.post("/ingest"), 503)


@pytest.mark.parametrize(
    "launched",
    [
        b"",
        b"{}",
        {},
        {"launchRun": None},
        {"launchRun": {}},
        {"launchRun": {"__typename": "LaunchRunSuccess"}},
        {"launchRun": {"__typename": "LaunchRunSuccess", "run": {"runId": 7}}},
        {"launchRun": {"__typename": "RunConfigValidationInvalid"}},
        {"launchRun": {"__typename": "PythonError", "message": "it broke"}},
    ],
)
def test_unclear_launch_is_left_to_the_sensor(
    api: Api, api_database: ApiDatabase, respond, launched
):
    respond(Jobs=JOBS, Launch=launched)
    report = create(api)
    assert (report["status"], report["run_id"]) == ("Queued", None)
    assert launch_attempted(api_database, report["id"])
    problem(api.http.post("/ingest"), 503)


def launch(api: Api, respond, **answers: object) -> dict[str, Any]:
    """Create a report that the fake webserver confirms to have launched."""
    run = {"launchRun": {"__typename": "LaunchRunSuccess", "run": {"runId": str(uuid4())}}}
    respond(Jobs=JOBS, Launch=run, **answers)
    report = create(api)
    assert report["id"] == report["run_id"] == run["launchRun"]["run"]["runId"]
    return report


def test_rejected_launch_fails_report_with_dagster_message(api: Api, respond):
    errors = [{"message": "no such field"}, {"message": "nor this"}]
    rejected = {"launchRun": {"__typename": "RunConfigValidationInvalid", "errors": errors}}
    respond(Jobs=JOBS, Launch=rejected, Waiting=waiting())
    report = create(api)
    assert (report["status"], report["error"]) == ("Failed", "no such field; nor this")
    body = problem(api.http.post("/ingest"), 503)
    assert "no such field; nor this" in body["detail"]


def test_report_with_unknown_run_can_be_canceled(api: Api, respond):
    unknown = {"terminateRun": {"__typename": "RunNotFoundError", "message": "no such run"}}
    report = launch(api, respond, Terminate=unknown)
    answer = api.http.delete(f"/v1/reports/{report['id']}")
    assert (answer.status_code, answer.json()["status"]) == (202, "Canceled")
    assert api.http.delete(f"/v1/reports/{report['id']}").status_code == 204
    problem(api.http.get(f"/v1/reports/{report['id']}"), 404)


@pytest.mark.parametrize(
    "response",
    [
        {},
        {"terminateRun": None},
        {"terminateRun": {"__typename": "TerminateRunFailure", "message": "it broke"}},
    ],
)
def test_failed_cancellation_keeps_status(api: Api, respond, response):
    report = launch(api, respond, Terminate=response)
    answer = api.http.delete(f"/v1/reports/{report['id']}")
    assert "could not cancel" in problem(answer, 503)["detail"]
    assert int(answer.headers["retry-after"]) > 0
    assert api.http.get(f"/v1/reports/{report['id']}").json()["status"] == "Queued"


def test_unhealthy_daemons_are_listed(api: Api, respond):
    daemons = [
        {"daemonType": "SENSOR", "required": True, "healthy": False},
        {"daemonType": "BACKFILL", "required": False, "healthy": False},
        {"daemonType": "SCHEDULER", "required": True, "healthy": True},
    ]
    respond(Daemons={"instance": {"daemonHealth": {"allDaemonStatuses": daemons}}})
    body = problem(api.http.get("/readyz"), 503)
    assert [error["where"] for error in body["errors"]] == ["daemon"]
    assert "SENSOR" in body["detail"]
    assert "BACKFILL" not in body["detail"]
    daemons[0]["healthy"] = True
    respond(Daemons={"instance": {"daemonHealth": {"allDaemonStatuses": daemons}}})
    assert api.http.get("/readyz").json() == {"status": "ok"}


def test_dagster_password_is_used_and_not_disclosed(start_api: StartApi, port: int, respond):
    api = start_api(dagster_url=f"http://me:so%2Dsecret@127.0.0.1:{port}/")
    report = launch(api, respond)
    basic = b64encode(b"me:so-secret").decode()
    assert FakeWebserver.requests[-1]["Authorization"] == f"Basic {basic}"
    assert report["links"]["run"] == f"http://127.0.0.1:{port}/runs/{report['id']}"
    respond("", status=404)
    bodies = [problem(api.http.get("/readyz"), 503), problem(api.http.post("/ingest"), 503)]
    create(api)
    for shown in (json.dumps([report, *bodies]), api.log.read_text()):
        assert "secret" not in shown


def test_run_link_uses_public_dagster_url(start_api: StartApi, port: int, respond):
    api = start_api(
        dagster_url=f"http://127.0.0.1:{port}", ui_url="https://me:secret@ui.example/dagster/"
    )
    report = launch(api, respond)
    assert report["links"]["run"] == f"https://ui.example/dagster/runs/{report['id']}"


def test_store_named_na_has_figures(api: Api):
    assert api.http.get("/v1/stores/NA").json()["latest"]["figures"]["timezone"]


LAUNCHED_INGEST = {"launchRun": {"__typename": "LaunchRunSuccess", "run": {"runId": "new-run"}}}


def waiting(*, queued: str = "", starting: str = "") -> dict[str, Any]:
    """Return Dagster's response with runs that have not started."""
    return {
        name: {"results": [{"runId": run_id}] if run_id else []}
        for name, run_id in (("queued", queued), ("starting", starting))
    }


@pytest.mark.parametrize("name", ["queued", "starting"])
def test_queued_ingest_is_returned(api: Api, respond, name: str):
    respond(Jobs=JOBS, Waiting=waiting(**{name: "first-run"}), Launch=b"cannot launch")
    body = api.http.post("/ingest").raise_for_status().json()
    assert set(body) == {"run_id", "message"}
    assert body["run_id"] == "first-run"


def test_ingest_is_launched_if_none_is_queued(api: Api, respond):
    respond(Jobs=JOBS, Waiting=waiting(), Launch=LAUNCHED_INGEST)
    assert api.http.post("/ingest").json()["run_id"] == "new-run"


def test_concurrent_ingests_launch_one_run(api: Api, monkeypatch: pytest.MonkeyPatch):
    launches: list[int] = []

    class Queue(dict):
        """Responses that include a queued run once one was launched."""

        def __getitem__(self, query: str) -> Any:
            if query == "Launch":
                launches.append(1)
                return LAUNCHED_INGEST
            return JOBS if query == "Jobs" else waiting(queued="new-run" if launches else "")

    monkeypatch.setattr(FakeWebserver, "answer", Queue())
    monkeypatch.setattr(FakeWebserver, "status", 200)
    with ThreadPoolExecutor(40) as threads:
        responses = list(threads.map(lambda _: api.http.post("/ingest"), range(40)))
    assert {response.json()["run_id"] for response in responses} == {"new-run"}
    assert len(launches) == 1
