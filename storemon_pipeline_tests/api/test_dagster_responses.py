"""Whatever answers in Dagster's place, a report that was asked for is kept."""

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


class Impostor(BaseHTTPRequestHandler):
    """Gives the answers that a test has set to whatever it is asked."""

    answer: ClassVar[bytes | Mapping[str, Any]] = b""
    status: ClassVar[int] = 200
    asked: ClassVar[list[dict[str, str]]] = []

    def do_POST(self) -> None:
        query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["query"]
        self.asked.append(dict(self.headers))
        answer = self.answer
        if isinstance(answer, Mapping):  # what is told of a query of this name
            told = answer[query.split()[1].partition("(")[0]]
            answer = told if isinstance(told, bytes) else json.dumps({"data": told}).encode()
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Impostor) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture(scope="module")
def api(start_api: StartApi, port: int) -> Api:
    return start_api(dagster_url=f"http://127.0.0.1:{port}")


@pytest.fixture
def tell(monkeypatch: pytest.MonkeyPatch):
    """Sets what the impostor answers, with all of it or to the queries that are named."""

    def tell(answer: object = None, *, status: int = 200, **answers: object) -> None:
        whole = answer if isinstance(answer, str) else json.dumps(answer)
        monkeypatch.setattr(Impostor, "answer", answers or whole.encode())
        monkeypatch.setattr(Impostor, "status", status)

    return tell


def ask(api: Api) -> dict[str, Any]:
    """A report that equals no other: such a one would wait for the launch of the one before."""
    asked = api.http.post("/v1/reports", json={"rules": {"max_carry_hours": next(CARRY_HOURS)}})
    assert asked.status_code == 202, asked.text
    return asked.json()


def offered(place: ApiDatabase, request_id: str) -> bool:
    """Whether somebody may be launching the request's run still, as far as is on record."""
    engine = create_engine(place.database_url)
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
def test_an_answer_that_is_none_of_dagsters_is_dagster_being_away(
    api: Api, api_database: ApiDatabase, tell, answer
):
    tell(answer)
    asked = ask(api)
    assert asked["status"] == "Queued"
    # there was no job to launch a run of: nobody need wait for what may have come of it
    assert not offered(api_database, asked["id"])
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
def test_what_may_have_been_launched_is_left_for_the_sensor_to_look_at(
    api: Api, api_database: ApiDatabase, tell, launched
):
    tell(Jobs=JOBS, Launch=launched)
    asked = ask(api)
    assert (asked["status"], asked["run_id"]) == ("Queued", None)
    assert offered(api_database, asked["id"])
    problem(api.http.post("/ingest"), 503)


def launch(api: Api, tell, **answers: object) -> dict[str, Any]:
    """A report whose run the impostor says to have launched."""
    run = {"launchRun": {"__typename": "LaunchRunSuccess", "run": {"runId": str(uuid4())}}}
    tell(Jobs=JOBS, Launch=run, **answers)
    asked = ask(api)
    assert asked["id"] == asked["run_id"] == run["launchRun"]["run"]["runId"]
    return asked


def test_what_dagster_refuses_to_launch_is_failed_with_its_words(api: Api, tell):
    errors = [{"message": "no such field"}, {"message": "nor this"}]
    refused = {"launchRun": {"__typename": "RunConfigValidationInvalid", "errors": errors}}
    tell(Jobs=JOBS, Launch=refused, Waiting=waiting())
    asked = ask(api)
    assert (asked["status"], asked["error"]) == ("Failed", "no such field; nor this")
    told = problem(api.http.post("/ingest"), 503)
    assert "no such field; nor this" in told["detail"]


def test_a_report_whose_run_dagster_does_not_know_can_be_canceled(api: Api, tell):
    unknown = {"terminateRun": {"__typename": "RunNotFoundError", "message": "no such run"}}
    asked = launch(api, tell, Terminate=unknown)
    answer = api.http.delete(f"/v1/reports/{asked['id']}")
    assert (answer.status_code, answer.json()["status"]) == (202, "Canceled")
    assert api.http.delete(f"/v1/reports/{asked['id']}").status_code == 204
    problem(api.http.get(f"/v1/reports/{asked['id']}"), 404)


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"terminateRun": None},
        {"terminateRun": {"__typename": "TerminateRunFailure", "message": "it broke"}},
    ],
)
def test_a_report_that_cannot_be_canceled_now_stays_what_it_is(api: Api, tell, told):
    asked = launch(api, tell, Terminate=told)
    answer = api.http.delete(f"/v1/reports/{asked['id']}")
    assert "could not cancel" in problem(answer, 503)["detail"]
    assert int(answer.headers["retry-after"]) > 0
    assert api.http.get(f"/v1/reports/{asked['id']}").json()["status"] == "Queued"


def test_the_daemons_that_are_silent_are_named(api: Api, tell):
    daemons = [
        {"daemonType": "SENSOR", "required": True, "healthy": False},
        {"daemonType": "BACKFILL", "required": False, "healthy": False},
        {"daemonType": "SCHEDULER", "required": True, "healthy": True},
    ]
    tell(Daemons={"instance": {"daemonHealth": {"allDaemonStatuses": daemons}}})
    told = problem(api.http.get("/readyz"), 503)
    assert [each["where"] for each in told["errors"]] == ["daemon"]
    assert "SENSOR" in told["detail"]
    assert "BACKFILL" not in told["detail"]
    daemons[0]["healthy"] = True
    tell(Daemons={"instance": {"daemonHealth": {"allDaemonStatuses": daemons}}})
    assert api.http.get("/readyz").json() == {"status": "ok"}


def test_the_password_of_dagsters_webserver_is_used_and_never_shown(
    start_api: StartApi, port: int, tell
):
    api = start_api(dagster_url=f"http://me:so%2Dsecret@127.0.0.1:{port}/")
    asked = launch(api, tell)
    basic = b64encode(b"me:so-secret").decode()
    assert Impostor.asked[-1]["Authorization"] == f"Basic {basic}"
    assert asked["links"]["run"] == f"http://127.0.0.1:{port}/runs/{asked['id']}"
    tell("", status=404)
    told = [problem(api.http.get("/readyz"), 503), problem(api.http.post("/ingest"), 503)]
    ask(api)
    for shown in (json.dumps([asked, *told]), api.log.read_text()):
        assert "secret" not in shown


def test_links_lead_to_where_people_reach_dagster(start_api: StartApi, port: int, tell):
    api = start_api(
        dagster_url=f"http://127.0.0.1:{port}", ui_url="https://me:secret@ui.example/dagster/"
    )
    asked = launch(api, tell)
    assert asked["links"]["run"] == f"https://ui.example/dagster/runs/{asked['id']}"


def test_a_store_called_na_has_figures(api: Api):
    assert api.http.get("/v1/stores/NA").json()["latest"]["figures"]["timezone"]


LAUNCHED_INGEST = {"launchRun": {"__typename": "LaunchRunSuccess", "run": {"runId": "new-run"}}}


def waiting(*, queued: str = "", starting: str = "") -> dict[str, Any]:
    """What Dagster tells of the runs that have not begun."""
    return {
        name: {"results": [{"runId": each}] if each else []}
        for name, each in (("queued", queued), ("starting", starting))
    }


@pytest.mark.parametrize("name", ["queued", "starting"])
def test_ingest_that_waits_is_given_to_the_next(api: Api, tell, name: str):
    tell(Jobs=JOBS, Waiting=waiting(**{name: "first-run"}), Launch=b"refuses to launch")
    told = api.http.post("/ingest").raise_for_status().json()
    assert set(told) == {"run_id", "message"}
    assert told["run_id"] == "first-run"


def test_ingest_is_started_where_none_waits(api: Api, tell):
    tell(Jobs=JOBS, Waiting=waiting(), Launch=LAUNCHED_INGEST)
    assert api.http.post("/ingest").json()["run_id"] == "new-run"


def test_ingests_at_once_look_and_launch_one_by_one(api: Api, monkeypatch: pytest.MonkeyPatch):
    launches: list[int] = []

    class Queue(dict):
        """Tells of a run that waits as soon as one was launched."""

        def __getitem__(self, query: str) -> Any:
            if query == "Launch":
                launches.append(1)
                return LAUNCHED_INGEST
            return JOBS if query == "Jobs" else waiting(queued="new-run" if launches else "")

    monkeypatch.setattr(Impostor, "answer", Queue())
    monkeypatch.setattr(Impostor, "status", 200)
    with ThreadPoolExecutor(40) as threads:
        told = list(threads.map(lambda _: api.http.post("/ingest"), range(40)))
    assert {each.json()["run_id"] for each in told} == {"new-run"}
    assert len(launches) == 1
