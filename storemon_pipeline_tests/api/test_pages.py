"""The pages over HTTP: content negotiation, form and login."""

import html
import re
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest

from storemon_pipeline.api.auth import SESSION_COOKIE
from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.ingest_runs import finish_ingest_run, start_ingest_run
from storemon_pipeline.storage.schema import ingest_run, polled_store
from storemon_pipeline_tests.helpers.api_process import (
    ODD_STORE,
    Api,
    ApiDatabase,
    StartApi,
    problem,
)

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
FULL, READ, ODD = "full-secret-000001", "read-secret-000002", "geheim-ü-0000003"


@pytest.fixture(scope="module")
def guarded(start_api: StartApi) -> Api:
    return start_api(api_tokens=f"{FULL},read:{READ},{ODD}")


def page(answer: httpx.Response, status: int = 200) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.text.startswith("<!doctype html>")
    return answer.text


def test_reports_page_links_each_report(api: Api, api_database: ApiDatabase):
    shown = page(api.http.get("/"))
    assert f'href="./reports/{api_database.complete}"' in shown
    assert "Complete" in shown


def test_report_page_embeds_report_html(api: Api, api_database: ApiDatabase):
    shown = page(api.http.get(f"/reports/{api_database.complete}"))
    written = (api_database.reports_dir / api_database.complete / "report.html").read_text()
    (heading,) = re.findall("<h1>.*</h1>", written)
    assert heading in shown
    assert f'href="../stores/{ODD_STORE.replace(":", "%3A")}"' in shown
    assert f'href="../v1/reports/{api_database.complete}/report_full.csv"' in shown


def test_report_page_without_report_html_links_files(api: Api, api_database: ApiDatabase):
    path = api_database.reports_dir / api_database.complete / "report.html"
    hidden = path.rename(path.with_suffix(".hidden"))
    try:
        shown = page(api.http.get(f"/reports/{api_database.complete}"))
        assert page(api.http.get("/fleet")).count("No report on all stores has completed yet") == 1
    finally:
        hidden.rename(path)
    assert "An earlier version made this report" in shown
    assert f"v1/reports/{api_database.complete}/report.csv" in shown


def test_fleet_page_shows_latest_report_and_data_quality(api: Api, api_database: ApiDatabase):
    shown = page(api.http.get("/fleet"))
    assert shown.count("<h1>") == 1
    assert api_database.complete in shown
    assert "The newest poll is " in shown
    assert 'id="worst-stores"' in shown


def test_fleet_page_shows_a_failing_ingest(api: Api, api_database: ApiDatabase):
    assert "Ingest failed" not in page(api.http.get("/fleet"))
    database, now = Database(api_database.database_url), datetime.now(UTC)
    with database.registry_transaction() as connection:
        start_ingest_run(connection, "bad", {}, now)
        finish_ingest_run(connection, "bad", now, error="menu_hours.csv has no column day")
    try:
        shown = page(api.http.get("/fleet"))
    finally:
        with database.registry_transaction() as connection:
            connection.execute(ingest_run.delete().where(ingest_run.c.run_id == "bad"))
        database.close()
    assert "The last ingest failed (since " in shown
    assert "menu_hours.csv has no column day" in shown


@pytest.fixture
def many_stores(api_database: ApiDatabase) -> Iterator[list[str]]:
    """Add more stores than one page lists."""
    stores = [f"many-{number:03}" for number in range(150)]
    database = Database(api_database.database_url)
    at = {name: datetime(2023, 1, 24, tzinfo=UTC) for name in ("first_poll_utc", "last_poll_utc")}
    with database.data_transaction() as connection:
        connection.execute(
            polled_store.insert(), [{"store_id": store_id} | at for store_id in stores]
        )
    yield stores
    with database.data_transaction() as connection:
        connection.execute(polled_store.delete().where(polled_store.c.store_id.in_(stores)))
    database.close()


def test_stores_page_with_many_stores_is_paginated(api: Api, many_stores: list[str]):
    first = page(api.http.get("/stores", params={"q": "many"}))
    (link,) = re.findall(r'href="\./(stores[^"]+)">Next page', first)
    second = page(api.http.get(f"/{html.unescape(link)}"))
    assert "Next page" not in second
    assert "150 stores with “many” in the ID" in second
    listed = [re.findall(r'class="store"[^>]*>([^<]+)</a>', html) for html in (first, second)]
    assert (len(listed[0]), listed[0] + listed[1]) == (100, many_stores)


@pytest.mark.parametrize("store_id", [ODD_STORE, "NA"])
def test_store_search_by_full_id_opens_the_store(api: Api, store_id: str):
    found = api.http.get("/stores", params={"q": store_id})
    assert found.status_code == 303
    shown = page(api.http.get(f"/stores/{found.headers['location'].removeprefix('./stores/')}"))
    assert f"<h1>{store_id}</h1>" in shown
    assert "SLO target 99 %" in shown


def test_store_search_matches_part_of_an_id(api: Api):
    all_stores = page(api.http.get("/stores"))
    matching = page(api.http.get("/stores", params={"q": "1.A_B"}))
    assert f">{ODD_STORE}</a>" in matching
    assert ">NA</a>" not in matching
    assert ">NA</a>" in all_stores
    # wildcards have no special meaning
    for query in ("%", "1.a%C", "x", "\0", "\u20ac"):
        assert "No matching store." in page(api.http.get("/stores", params={"q": query}))


@pytest.mark.parametrize(
    "path", ["/reports/unknown", "/stores/unknown", "/nowhere", "/v1/reports/unknown"]
)
def test_not_found_is_a_page_or_a_problem_document(api, path):
    shown = page(api.http.get(path, headers=BROWSER), 404)
    document = problem(api.http.get(path), 404)
    assert document["title"] in shown
    root = "../" * (path.count("/") - 1) or "./"
    assert f'<a class="brand" href="{root}">' in shown


def test_file_of_a_queued_report_is_an_error_page(api: Api):
    waiting = api.http.post("/v1/reports", json={"windows": ["month"]}).json()["id"]
    shown = page(api.http.get(f"/v1/reports/{waiting}/report.csv", headers=BROWSER), 409)
    assert "is Queued" in shown
    progress = page(api.http.get(f"/reports/{waiting}"))
    assert f'data-follow="../v1/reports/{waiting}"' in progress
    assert ">Waiting to start.</p>" in progress
    assert '<noscript><meta http-equiv="refresh"' in progress


def test_form_without_script_creates_a_report(api: Api):
    form = {
        "windows": ["hour", "last_calendar_week"],
        "start": "2023-01-20T00:00",
        "end": "2023-01-21T00:00",
        "store_ids": f"NA, {ODD_STORE}\r\nNA",
    }
    response = api.http.post("/", data=form)
    assert response.status_code == 303
    report_id = response.headers["location"].removeprefix("./reports/")
    request = api.http.get(f"/v1/reports/{report_id}").json()["request"]
    assert request["windows"] == ["hour", "last_calendar_week"]
    assert request["start"] == "2023-01-20T00:00:00Z"
    assert set(request["store_ids"]) == {"NA", ODD_STORE}
    shown = page(api.http.get("/"))
    assert report_id in shown
    range_label = "range from 20 Jan 2023 00:00 UTC to 21 Jan 2023 00:00 UTC"
    assert f"last hour, last calendar week, {range_label}" in shown


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({}, "Select at least one window, or enter a range."),
        ({"windows": "day", "start": "2023-01-20T00:00"}, "start and end must be set together"),
        ({"windows": "day", "store_ids": "never-was"}, "never polled: never-was"),
        ({"windows": "fortnight"}, "Input should be"),
    ],
)
def test_invalid_form_keeps_its_values(api: Api, form, message):
    shown = page(api.http.post("/", data=form), 422)
    assert message in shown
    for name, value in form.items():
        if name != "windows":
            assert value in shown


def test_invalid_range_shows_the_error_at_its_field(api: Api):
    form = {"windows": "day", "start": "2023-01-20T00:00", "end": "2199-01-21T00:00"}
    shown = page(api.http.post("/", data=form), 422)
    (message,) = re.findall(r'data-problem="end">([^<]+)</p>', shown)
    assert message.startswith("end: 2199-01-21T00:00:00Z is in the future; the current time is 20")
    assert 'data-problem="start" hidden></p>' in shown


def test_reports_page_with_many_reports_is_paginated(api: Api):
    for hours in range(1, 25):
        carry = {"rules": {"max_carry_hours": hours}}
        assert api.http.post("/v1/reports", json=carry).status_code == 202
    seen, path = [], "/"
    while path:
        shown = page(api.http.get(path))
        seen += re.findall(r'<a href="\./reports/([^"]+)">', shown)
        more = re.findall(r'href="\./(\?cursor=[^"]+)"', shown)
        path = "/" + more[0] if more else ""
    reports = api.http.get("/v1/reports?limit=100").json()["reports"]
    assert seen == [report["id"] for report in reports]
    page(api.http.get("/?cursor=yesterday", headers=BROWSER), 422)


def test_openapi_document_omits_pages(api: Api):
    paths = api.http.get("/openapi.json").json()["paths"]
    assert not {"/", "/fleet", "/stores", "/login", "/reports/{report_id}"} & paths.keys()


def logged_in(api: Api, token: str, leads_to: str = "/") -> httpx.Response:
    return httpx.post(f"{api.url}/login", data={"token": token, "next": leads_to})


def test_browser_without_a_token_gets_the_login_page(guarded: Api):
    answer = guarded.http.get("/stores/NA?x=1", headers=BROWSER)
    shown = page(answer, 401)
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert 'action="../login"' in shown
    assert 'name="next" value="/stores/NA?x=1"' in shown
    problem(guarded.http.get("/stores/NA"), 401)
    page(guarded.http.get("/login"))


@pytest.mark.parametrize("token", [FULL, READ, ODD])
def test_login_with_valid_token_sets_a_cookie(guarded: Api, token: str):
    answer = logged_in(guarded, token, "/stores/NA")
    assert answer.status_code == 303
    assert answer.headers["location"] == "./stores/NA"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert token not in cookie
    cookie_header = {"Cookie": f"{SESSION_COOKIE}={answer.cookies[SESSION_COOKIE]}"}
    for path in ("/", "/v1/reports", "/docs"):
        assert guarded.http.get(path, headers=cookie_header).status_code == 200
    assert "Log out" in page(guarded.http.get("/", headers=cookie_header))


@pytest.mark.parametrize("token", ["", "wrong-secret", FULL + "x", FULL.upper()])
def test_login_with_invalid_token_fails(guarded: Api, token: str):
    answer = logged_in(guarded, token)
    assert "Unknown token." in page(answer, 401)
    assert "set-cookie" not in answer.headers
    assert "secret" not in answer.text
    for value in (token.encode().hex(), token, "zz", ""):
        problem(
            guarded.http.get("/v1/reports", headers={"Cookie": f"{SESSION_COOKIE}={value}"}), 401
        )


def test_invalid_header_overrides_a_valid_cookie(guarded: Api):
    cookie = f"{SESSION_COOKIE}={FULL.encode().hex()}"
    headers = {"Cookie": cookie, "Authorization": "Bearer wrong-secret"}
    problem(guarded.http.get("/v1/reports", headers=headers), 401)


def test_form_with_read_token_is_forbidden(guarded: Api):
    cookie_header = {"Cookie": f"{SESSION_COOKIE}={READ.encode().hex()}"} | BROWSER
    assert "read-only" in page(
        guarded.http.post("/", data={"windows": "day"}, headers=cookie_header), 403
    )
    cookie_header["Cookie"] = f"{SESSION_COOKIE}={FULL.encode().hex()}"
    assert guarded.http.post("/", data={"windows": "day"}, headers=cookie_header).status_code == 303


@pytest.mark.parametrize(
    "leads_to", ["https://example.org/", "//example.org", "/\\example.org", "javascript:alert(1)"]
)
def test_login_never_redirects_to_another_site(guarded: Api, leads_to: str):
    location = httpx.URL(f"{guarded.url}/login").join(
        logged_in(guarded, FULL, leads_to).headers["location"]
    )
    assert f"{location.scheme}://{location.netloc.decode()}" == guarded.url


def test_logout_deletes_the_cookie(guarded: Api):
    answer = httpx.post(f"{guarded.url}/login", data={"leave": "yes"})
    assert answer.headers["location"] == "./login"
    assert re.search(rf'{SESSION_COOKIE}=""; .*Max-Age=0', answer.headers["set-cookie"])


def test_login_without_tokens_redirects_to_reports(api: Api):
    assert api.http.get("/login").headers["location"] == "./"


def test_login_keeps_the_token_out_of_the_log(guarded: Api):
    logged_in(guarded, FULL)
    assert "secret" not in guarded.log.read_text()
    assert FULL.encode().hex() not in guarded.log.read_text()
