"""Authentication by bearer tokens."""

import os
import subprocess
import sys

import httpx
import pytest

from storemon_pipeline_tests.helpers.api_process import SECONDS, Api, StartApi, problem
from storemon_pipeline_tests.helpers.ports import free_port
from storemon_pipeline_tests.helpers.runner import PROJECT

FULL, READ, ODD = "full-secret-000001", "read-secret-000002", "geheim-ü-0000003"
PATHS = ["/docs", "/openapi.json", "/metrics", "/readyz", "/v1/reports", "/nowhere", "/healthz/"]


@pytest.fixture(scope="module")
def guarded(start_api: StartApi) -> Api:
    return start_api(api_tokens=f"{FULL}, read:{READ},{ODD}")


def bearer(token: str) -> dict[str, bytes]:
    return {"Authorization": f"Bearer {token}".encode()}


def test_healthz_needs_no_token(guarded: Api):
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
def test_other_paths_without_valid_token_are_401(guarded, path, authorization):
    headers = {} if authorization is None else {"Authorization": authorization}
    response = guarded.http.get(path, headers=headers)
    problem(response, 401)
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert "secret" not in response.text


def test_read_only_token_cannot_write(guarded: Api):
    assert guarded.http.get("/v1/reports", headers=bearer(READ)).status_code == 200
    for method, path in [
        ("POST", "/v1/reports"),
        ("POST", "/trigger_report"),
        ("POST", "/ingest"),
        ("DELETE", "/v1/reports/some-id"),
        ("PUT", "/nowhere"),
    ]:
        body = problem(guarded.http.request(method, path, headers=bearer(READ)), 403)
        assert "read-only" in body["detail"]
        assert READ not in str(body)


@pytest.mark.parametrize("token", [FULL, ODD])
def test_full_token_can_write(guarded: Api, token: str):
    assert guarded.http.post("/v1/reports", headers=bearer(token)).status_code == 202
    assert guarded.http.get("/docs", headers=bearer(token)).status_code == 200
    problem(guarded.http.delete("/v1/reports/some-id", headers=bearer(token)), 404)


def test_log_contains_no_token(guarded: Api):
    guarded.http.get("/v1/reports", headers=bearer(FULL))
    guarded.http.get("/v1/reports", headers=bearer("wrong-secret"))
    assert guarded.lines()
    assert "secret" not in guarded.log.read_text()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_public_address_without_tokens_is_rejected(host: str, tmp_path):
    env = os.environ | {"STOREMON_API_HOST": host, "STOREMON_API_PORT": str(free_port())}
    process = subprocess.run(
        [sys.executable, "-m", "storemon_pipeline.api"],
        cwd=PROJECT,
        env=env,
        timeout=SECONDS,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode != 0
    assert f"STOREMON_API_HOST is {host}" in process.stderr
    assert "STOREMON_API_TOKENS" in process.stderr


def test_public_address_with_tokens_is_served(start_api: StartApi):
    reachable = start_api(api_host="0.0.0.0", api_tokens=FULL)
    assert httpx.get(f"{reachable.url}/v1/reports").status_code == 401
    assert reachable.http.get("/v1/reports", headers=bearer(FULL)).status_code == 200
