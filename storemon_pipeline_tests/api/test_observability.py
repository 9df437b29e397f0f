"""Observability of the API: log, metrics, readiness."""

import ast
import json
import subprocess
import sys
import time
from uuid import UUID

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from storemon_pipeline.storage.reports import STATUSES
from storemon_pipeline_tests.helpers.api_process import SECONDS, Api, ApiDatabase, StartApi, problem
from storemon_pipeline_tests.helpers.runner import PROJECT

TOKEN = "full-secret-000001"
PASSWORD = "secret-of-dagster"


@pytest.fixture(scope="module")
def api(start_api: StartApi) -> Api:
    api = start_api(api_tokens=TOKEN, dagster_url=f"http://me:{PASSWORD}@127.0.0.1:9")
    api.http.headers["Authorization"] = f"Bearer {TOKEN}"
    return api


def requests_in_log(api: Api, request_id: str) -> list[dict]:
    """Return the log lines of a request; they may be written after the response arrives."""
    deadline = time.monotonic() + SECONDS
    while True:
        # the last line may be incomplete
        whole = api.log.read_text().rpartition("\n")[0].splitlines()
        lines = [
            line
            for line in map(json.loads, whole)
            if line["event"] == "request" and line["request_id"] == request_id
        ]
        if lines or time.monotonic() > deadline:
            return lines
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/reports", 200),
        ("HEAD", "/v1/reports", 200),
        ("POST", "/v1/reports", 202),
        ("GET", "/v1/reports/unknown", 404),
        ("GET", "/nowhere", 404),
        ("PUT", "/v1/reports", 405),
        ("GET", "/v1/reports?limit=0", 422),
        ("GET", "/readyz", 503),
    ],
)
def test_each_request_has_one_log_line_with_its_id(api: Api, method: str, path: str, status: int):
    request_id = (
        f"{method}:{status}.{path.strip('/').replace('/', '-').replace('?', '_').replace('=', '_')}"
    )
    response = api.http.request(method, path, headers={"X-Request-ID": request_id})
    assert (response.status_code, response.headers["x-request-id"]) == (status, request_id)
    (line,) = requests_in_log(api, request_id)
    assert line == line | {
        "method": method,
        "path": path.partition("?")[0],
        "status": status,
        "client": "127.0.0.1",
        "level": "info",
        "error": None,
    }
    assert line["milliseconds"] >= 0
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize(
    "given", [None, b"", b"a b", b"x" * 129, b'{"a":1}', "ü".encode(), b"a\tb", b"<script>"]
)
def test_invalid_request_id_is_replaced(api: Api, given: bytes | None):
    headers = {} if given is None else {"X-Request-ID": given}
    response = api.http.get("/v1/reports", headers=headers)
    assert response.status_code == 200
    body = response.headers["x-request-id"]
    assert UUID(body)
    assert len(requests_in_log(api, body)) == 1


def test_rejected_request_is_logged(api: Api):
    response = httpx.get(f"{api.url}/v1/reports", headers={"X-Request-ID": "refused"})
    assert (response.status_code, response.headers["x-request-id"]) == (401, "refused")
    assert [line["status"] for line in requests_in_log(api, "refused")] == [401]


def test_log_lines_are_json_without_secrets(api: Api, api_database: ApiDatabase):
    for path in (
        "/v1/reports",
        "/v1/stores/s1/status",
        "/readyz",
        f"/get_report/{api_database.complete}",
    ):
        api.http.get(path)
    api.http.get("/v1/reports", headers={"Authorization": "Bearer wrong-secret"})
    api.http.post("/ingest")
    api.http.post("/v1/reports", content=b"{")
    requests_in_log(api, api.http.get("/healthz").headers["x-request-id"])
    assert len(api.lines()) > 10  # parses each line
    assert all({"event", "level", "timestamp"} <= line.keys() for line in api.lines())
    assert "secret" not in api.log.read_text()


def metrics(api: Api) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    response = api.http.get("/metrics").raise_for_status()
    assert response.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def test_requests_and_their_latencies_are_counted_by_route(api: Api, api_database: ApiDatabase):
    before = metrics(api)
    for path in (api_database.complete, api_database.complete, "unknown"):
        response = api.http.get(f"/v1/reports/{path}")
        requests_in_log(
            api, response.headers["x-request-id"]
        )  # the request is counted before it is logged
    after = metrics(api)

    def more(name: str, **labels: str) -> float:
        key = name, tuple(sorted(labels.items()))
        return after[key] - before.get(key, 0)

    route = "/v1/reports/{report_id}"
    assert more("storemon_http_requests_total", method="GET", route=route, status="200") == 2
    assert more("storemon_http_requests_total", method="GET", route=route, status="404") == 1
    assert more("storemon_http_request_seconds_count", route=route) == 3
    assert more("storemon_http_request_seconds_bucket", route=route, le="+Inf") == 3
    assert more("storemon_http_request_seconds_sum", route=route) > 0


def test_unknown_paths_and_methods_share_labels(api: Api):
    for path in ("/nowhere", "/wp-login.php", "/v1/reports/a/b/c"):
        api.http.get(path)
        httpx.get(api.url + path)
    for method in ("PROPFIND", "MKCOL", "TRACE"):
        response = api.http.request(method, "/v1/reports")
        requests_in_log(api, response.headers["x-request-id"])
    labels = [dict(labels) for name, labels in metrics(api) if name.startswith("storemon_http")]
    assert not [label for label in labels if "nowhere" in label["route"] or "wp-" in label["route"]]
    known = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"}
    methods = {label["method"] for label in labels if "method" in label}
    assert "other" in methods
    assert methods <= known


def test_database_metrics_match_tables(api: Api):
    body = metrics(api)
    assert body["storemon_database_up", ()] == 1
    assert body["storemon_newest_poll_age_seconds", ()] > 0
    assert body["storemon_ingest_failures", ()] == 0
    assert time.time() - body["storemon_ingest_last_success_timestamp_seconds", ()] < 3600
    reports = {status: body["storemon_reports", (("status", status),)] for status in STATUSES}
    assert reports["Complete"] == 1
    before = reports["Queued"]
    submitted = api.http.post("/v1/reports", json={"windows": ["hour"], "store_ids": ["NA"]}).json()
    assert metrics(api)["storemon_reports", (("status", "Queued"),)] == before + 1
    api.http.delete(f"/v1/reports/{submitted['id']}")
    assert metrics(api)["storemon_reports", (("status", "Queued"),)] == before


def test_readyz_names_unavailable_dependency(api: Api):
    body = problem(api.http.get("/readyz"), 503)
    (part,) = body["errors"]
    assert part["where"] == "dagster"
    assert "unavailable" in part["message"]
    assert PASSWORD not in json.dumps(body)
    assert api.http.get("/healthz").json() == {"status": "ok"}


def test_api_loads_without_dagster():
    look = (
        "import sys, storemon_pipeline.api.__main__\n"
        "print(*[name for name in sys.modules if name.partition('.')[0].startswith('dagster')"
        " or name.startswith('storemon_pipeline.defs')])"
    )
    seen = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert seen.stdout.strip() == ""


def test_api_does_not_import_dagster_code():
    imported = set()
    for path in (PROJECT / "storemon_pipeline" / "api").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0
                imported |= {f"{node.module}.{alias.name}" for alias in node.names}
    assert imported
    for name in imported:
        assert name.partition(".")[0] not in ("dagster", "dagster_graphql", "dagster_webserver")
        assert not name.startswith(("storemon_pipeline.defs", "storemon_pipeline.definitions"))
