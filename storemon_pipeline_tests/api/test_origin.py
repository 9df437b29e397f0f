"""Which hosts the API answers for, and what another site's page may not do."""

import pytest

from storemon_pipeline.api.origin import allowed_hosts
from storemon_pipeline.settings import Settings
from storemon_pipeline_tests.helpers.api_process import Api, ApiDatabase, StartApi, problem

EVIL = "https://evil.example"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example"])
@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/reports"), ("POST", "/ingest")])
def test_host_unknown_is_refused(api: Api, host: str, method: str, path: str):
    answer = api.http.request(method, path, headers={"Host": host})
    assert "STOREMON_ALLOWED_HOSTS" in problem(answer, 421)["detail"]


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
def test_other_site_acting_is_refused(api: Api, headers, method: str, path: str):
    told = problem(api.http.request(method, path, headers=headers), 403)
    assert told["type"].endswith("cross-origin")


@pytest.mark.parametrize("site", ["same-origin", "none", None])
def test_own_page_and_programs_may_act(api: Api, site: str | None):
    headers = {} if site is None else {"Sec-Fetch-Site": site, "Origin": api.url}
    assert api.http.post("/v1/reports", headers=headers).status_code == 202


def test_origin_own_without_fetch_metadata_may_act(api: Api):
    assert api.http.post("/v1/reports", headers={"Origin": api.url}).status_code == 202


def test_link_from_another_site_leads_to_a_page(api: Api):
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Accept": "text/html"}
    assert api.http.get("/", headers=headers).status_code == 200


def test_every_answer_is_unframed_and_unsniffed(api: Api, api_database: ApiDatabase):
    report = f"/v1/reports/{api_database.complete}"
    for path in ("/", "/docs", "/openapi.json", "/metrics", "/nowhere", "/healthz", report):
        answers = [api.http.get(path), api.http.get(path, headers={"Host": "evil.example"})]
        answers.append(api.http.get(f"{report}/report.csv"))
        for answer in answers:
            assert answer.headers.get_list("x-content-type-options") == ["nosniff"], path
            assert answer.headers.get_list("x-frame-options") == ["DENY"], path
            policies = answer.headers.get_list("content-security-policy")
            assert len(policies) == 1, path
            assert "frame-ancestors 'none'" in policies[0], path


def test_forwarded_headers_count_from_trusted_proxy_only(api: Api, start_api: StartApi):
    def logged(told: Api, request_id: str) -> str:
        headers = {"X-Forwarded-For": "203.0.113.9", "X-Request-ID": request_id}
        told.http.get("/v1/stores", headers=headers)
        client: str = told.line_of(request_id)["client"]
        return client

    assert logged(api, "untrusted") == "127.0.0.1"
    assert logged(start_api(trusted_proxies="127.0.0.0/8"), "trusted") == "203.0.113.9"
