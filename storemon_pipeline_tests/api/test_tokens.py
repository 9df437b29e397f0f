"""Who may in: all from this machine where there are no tokens; else who has one."""

import os
import subprocess
import sys

import httpx
import pytest

from storemon_pipeline_tests.helpers.api_process import SECONDS, Api, StartApi, free_port, problem
from storemon_pipeline_tests.helpers.runner import PROJECT

FULL, READ, ODD = "full-secret-000001", "read-secret-000002", "geheim-ü-0000003"
PATHS = ["/docs", "/openapi.json", "/metrics", "/readyz", "/v1/reports", "/nowhere", "/healthz/"]


@pytest.fixture(scope="module")
def guarded(start_api: StartApi) -> Api:
    return start_api(api_tokens=f"{FULL}, read:{READ},{ODD}")


def bearing(token: str) -> dict[str, bytes]:
    return {"Authorization": f"Bearer {token}".encode()}


def test_who_is_alive_is_told_without_a_token(guarded: Api):
    assert guarded.http.get("/healthz").json() == {"status": "ok"}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer wrong-secret",
        f"Basic {FULL}",
        FULL,
        f"Bearer {FULL}x",
    ],
)
def test_nothing_else_is_told_without_a_token_that_is_known(guarded, path, authorization):
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = guarded.http.get(path, headers=headers)
    problem(answer, 401)
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert "secret" not in answer.text


def test_a_token_that_may_only_read_changes_nothing(guarded: Api):
    assert guarded.http.get("/v1/reports", headers=bearing(READ)).status_code == 200
    for method, path in [
        ("POST", "/v1/reports"),
        ("POST", "/trigger_report"),
        ("POST", "/ingest"),
        ("DELETE", "/v1/reports/some-id"),
        ("PUT", "/nowhere"),
    ]:
        told = problem(guarded.http.request(method, path, headers=bearing(READ)), 403)
        assert "may only read" in told["detail"]
        assert READ not in str(told)


@pytest.mark.parametrize("token", [FULL, ODD])
def test_a_full_token_may_do_all(guarded: Api, token: str):
    assert guarded.http.post("/v1/reports", headers=bearing(token)).status_code == 202
    assert guarded.http.get("/docs", headers=bearing(token)).status_code == 200
    problem(guarded.http.delete("/v1/reports/some-id", headers=bearing(token)), 404)


def test_the_log_has_no_token(guarded: Api):
    guarded.http.get("/v1/reports", headers=bearing(FULL))
    guarded.http.get("/v1/reports", headers=bearing("wrong-secret"))
    assert guarded.lines()
    assert "secret" not in guarded.log.read_text()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_an_address_that_others_can_reach_is_refused_without_tokens(host: str, tmp_path):
    env = os.environ | {"STOREMON_API_HOST": host, "STOREMON_API_PORT": str(free_port())}
    ended = subprocess.run(
        [sys.executable, "-m", "storemon_pipeline.api"],
        cwd=PROJECT,
        env=env,
        timeout=SECONDS,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode != 0
    assert f"STOREMON_API_HOST is {host}" in ended.stderr
    assert "STOREMON_API_TOKENS" in ended.stderr


def test_with_tokens_another_address_is_served(start_api: StartApi):
    reachable = start_api(api_host="0.0.0.0", api_tokens=FULL)
    assert httpx.get(f"{reachable.url}/v1/reports").status_code == 401
    assert reachable.http.get("/v1/reports", headers=bearing(FULL)).status_code == 200
