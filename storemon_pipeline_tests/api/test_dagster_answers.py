"""Whatever answers in Dagster's place, a report that was asked for is kept."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from storemon_pipeline_tests.api.conftest import Start
from storemon_pipeline_tests.api.serving import Api, problem


class Impostor(BaseHTTPRequestHandler):
    """Gives the answer that a test has set to whatever it is asked."""

    answer = b""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def api(start: Start) -> Iterator[Api]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Impostor) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield start(dagster_url=f"http://127.0.0.1:{server.server_port}")
        server.shutdown()


@pytest.mark.parametrize(
    "answer", ["", "<html>", "[]", '"x"', "null", "{}", {"data": None}, {"errors": ["odd"]}]
)
def test_an_answer_that_is_none_of_dagsters_is_dagster_being_away(
    api: Api, answer, monkeypatch: pytest.MonkeyPatch
):
    text = answer if isinstance(answer, str) else json.dumps(answer)
    monkeypatch.setattr(Impostor, "answer", text.encode())
    # another one each time: an equal one would wait for the launch of the one before
    asked = api.http.post("/v1/reports", json={"rules": {"max_carry_hours": 1 + len(text)}})
    assert (asked.status_code, asked.json()["status"]) == (202, "Queued")
    assert "dagster" in problem(api.http.get("/readyz"), 503)["detail"]
    problem(api.http.post("/ingest"), 503)


def test_a_store_called_na_has_figures(api: Api):
    assert api.http.get("/v1/stores/NA").json()["latest"]["figures"]["timezone"]
