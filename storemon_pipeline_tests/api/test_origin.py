"""Protection against unknown hosts and cross-site requests."""

import pytest

from storemon_pipeline.api.origin import allowed_hosts
from storemon_pipeline.settings import Settings
from storemon_pipeline_tests.helpers.api_process import Api, ApiDatabase, StartApi, problem

EVIL = "https://evil.example"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example"])
@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/reports"), ("POST", "/ingest")])
def test_unknown_host_is_rejected(api: Api, host: str, method: str, path: str):
    response = api.http.request(method, path, headers={"Host": host})
    assert "STOREMON_ALLOWED_HOSTS" in problem(response, 421)["detail"]


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]:8000", "192.0.2.7"]
)
def test_host_loopback_or_address_is_served(api: Api, host: str):
    assert api.http.get("/v1/reports", headers={"Host": host}).status_code == 200


def test_hosts_allowed_are_those_of_the_settings():
    settings = Settings(
        api_host="storemon.internal",
        api_url="https://Storemon.example:8443/x",
        allowed_hosts="api, Behind.example",
    )
    assert allowed_hosts(settings) == {
        "localhost",
        "storemon.internal",
        "storemon.example",
        "api",
        "behind.example",
    }


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": EVIL},
        {"Origin": "null"},
        {"Origin": EVIL, "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:3000"},
        {"Origin": "http://127.0.0.1:1"},
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v1/reports"), ("POST", "/ingest"), ("POST", "/"), ("DELETE", "/v1/reports/x")],
)
def test_cross_site_write_is_rejected(api: Api, headers, method: str, path: str):
    body = problem(api.http.request(method, path, headers=headers), 403)
    assert body["type"].endswith("cross-origin")


@pytest.mark.parametrize("site", ["same-origin", "none", None])
def test_same_site_and_program_writes_are_accepted(api: Api, site: str | None):
    headers = {} if site is None else {"Sec-Fetch-Site": site, "Origin": api.url}
    assert api.http.post("/v1/reports", headers=headers).status_code == 202


def test_same_origin_without_fetch_metadata_is_accepted(api: Api):
    assert api.http.post("/v1/reports", headers={"Origin": api.url}).status_code == 202


def test_cross_site_link_opens_a_page(api: Api):
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Accept": "text/html"}
    assert api.http.get("/", headers=headers).status_code == 200


def test_responses_have_security_headers(api: Api, api_database: ApiDatabase):
    report = f"/v1/reports/{api_database.complete}"
    for path in ("/", "/docs", "/openapi.json", "/metrics", "/nowhere", "/healthz", report):
        responses = [api.http.get(path), api.http.get(path, headers={"Host": "evil.example"})]
        responses.append(api.http.get(f"{report}/report.csv"))
        for response in responses:
            assert response.headers.get_list("x-content-type-options") == ["nosniff"], path
            assert response.headers.get_list("x-frame-options") == ["DENY"], path
            policies = response.headers.get_list("content-security-policy")
            assert len(policies) == 1, path
            assert "frame-ancestors 'none'" in policies[0], path


def test_forwarded_headers_require_trusted_proxy(api: Api, start_api: StartApi):
    def logged(body: Api, request_id: str) -> str:
        headers = {"X-Forwarded-For": "203.0.113.9", "X-Request-ID": request_id}
        body.http.get("/v1/stores", headers=headers)
        client: str = body.line_of(request_id)["client"]
        return client

    assert logged(api, "untrusted") == "127.0.0.1"
    assert logged(start_api(trusted_proxies="127.0.0.0/8"), "trusted") == "203.0.113.9"
