"""The pages in a browser: mouse, keyboard, dark scheme, phone, print and accessibility."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from storemon_pipeline_tests.helpers.api_process import ODD_STORE, Api, ApiDatabase, StartApi
from storemon_pipeline_tests.helpers.browser import chromium

SECONDS = 30
DAY = timedelta(days=1)
TOKEN = "full-secret-000001"
CONTEXTS = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "phone": {"viewport": {"width": 375, "height": 700}, "color_scheme": "light"},
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=SECONDS * 1000)
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, api: Api) -> Iterator[Page]:
    """Open a page; fail the test on a script error or a request to another site."""
    errors: list[str] = []
    with browser.new_context(viewport={"width": 1200, "height": 900}) as context:
        page = context.new_page()
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((f"{api.url}/", "data:", "file:"))
                else errors.append(request.url)
            ),
        )
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on(
            "console",
            lambda message: errors.append(message.text) if message.type == "error" else None,
        )
        yield page
    assert not errors


def outages(api: Api, database: ApiDatabase, store_id: str) -> list[dict[str, str]]:
    text = api.http.get(f"/v1/reports/{database.complete}/downtime_events.csv").text
    return [row for row in csv.DictReader(io.StringIO(text)) if row["store_id"] == store_id]


def by_local_day(start: datetime, end: datetime) -> Iterator[tuple[str, float, float]]:
    """Split a local interval into days: the day, its first and its last hour."""
    while start < end:
        midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
        until = min(end, midnight + DAY)
        hours = [(instant - midnight) / timedelta(hours=1) for instant in (start, until)]
        yield f"{start:%a %-d %b}", hours[0], hours[1]
        start = until


@pytest.mark.parametrize("store_id", ["s1", "s2"])
def test_timeline_bars_match_the_downtime_events(
    page: Page, api: Api, api_database: ApiDatabase, store_id: str
):
    page.goto(f"{api.url}/stores/{store_id}")
    boxes = page.locator("svg.timeline path:has(title)").evaluate_all(
        """bars => bars.map(bar => {
            const box = bar.getBoundingClientRect();
            return [bar.querySelector("title").textContent, box.left, box.right, box.top];
        })"""
    )
    left = min(box[1] for box in boxes)
    an_hour = (max(box[2] for box in boxes) - left) / 24
    bars = sorted(
        (label.split(": ")[1].rpartition(" ")[0][:10].strip(), start, end)
        for label, start, end, _ in boxes
        if label.startswith("down")
    )
    expected = sorted(
        (day, left + start * an_hour, left + end * an_hour)
        for row in outages(api, api_database, store_id)
        for day, start, end in by_local_day(
            *(datetime.fromisoformat(row[name]) for name in ("start_local", "end_local"))
        )
    )
    assert len(bars) == len(expected) > 0
    for (bar_day, *bar), (day, *position) in zip(bars, expected, strict=True):
        assert day.startswith(bar_day) or bar_day.startswith(day)
        assert bar == pytest.approx(position, abs=1.5)
    # each day has its own row
    rows = [box[3] for box in boxes if box[0].startswith("down")]
    assert len({round(row) for row in rows}) == len({day for day, *_ in expected})


def test_store_page_shows_the_ongoing_outage(page: Page, api: Api, api_database: ApiDatabase):
    page.goto(f"{api.url}/stores/s2")
    (*_, newest) = outages(api, api_database, "s2")
    assert newest["ongoing"] == "true"
    expect(page.locator(".lead")).to_contain_text("Down since")
    since = f"{datetime.fromisoformat(newest['start_local']):%a %-d %b %H:%M}"
    first = page.locator("#events tbody tr").first
    expect(first).to_contain_text(since)
    expect(first).to_contain_text("Ongoing")
    expect(page.locator("svg.heat-map path:has(title)").first).to_be_visible()


def test_store_tables_fit_on_a_phone(browser: Browser, api: Api):
    with browser.new_context(**CONTEXTS["phone"]) as context:
        page = context.new_page()
        page.goto(f"{api.url}/stores/s2")
        for table in page.get_by_role("table").all():
            box = table.locator("..")
            assert box.evaluate("box => box.scrollWidth <= box.clientWidth"), box.inner_text()
        expect(page.locator("#events thead th:visible")).to_have_text(
            ["From (local)", "To", "Duration"]
        )


def test_store_search_works_by_keyboard(page: Page, api: Api):
    page.goto(f"{api.url}/fleet")
    page.get_by_role("searchbox", name="Store", exact=True).focus()
    page.keyboard.type(ODD_STORE)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(ODD_STORE)


def test_table_sorts_and_filters_by_keyboard(page: Page, api: Api, api_database: ApiDatabase):
    page.goto(f"{api.url}/reports/{api_database.complete}")
    table = page.locator("#worst-stores")
    heading = table.get_by_role("columnheader", name="Down, h", exact=True)

    def values() -> list[float]:
        cells = table.locator("tbody tr:visible td:nth-of-type(4)")
        return [float(text) for text in cells.all_text_contents()]

    heading.get_by_role("button").focus()
    page.keyboard.press("Enter")
    expect(heading).to_have_attribute("aria-sort", "ascending")
    assert values() == sorted(values())
    assert len(set(values())) > 1
    page.keyboard.press("Space")
    expect(heading).to_have_attribute("aria-sort", "descending")
    assert values() == sorted(values(), reverse=True)

    page.get_by_role("searchbox", name="Search the worst stores").focus()
    page.keyboard.type("S2")
    expect(table.locator("tbody tr:visible")).to_have_count(1)
    expect(page.get_by_role("status").filter(has_text="1 of")).to_be_visible()
    expect(table.locator("tbody tr:visible")).to_contain_text("s2")
    table.get_by_role("link", name="s2").press("Enter")
    expect(page).to_have_url(f"{api.url}/stores/s2")


def test_form_creates_a_report_and_shows_progress(page: Page, api: Api):
    page.goto(f"{api.url}/")
    page.get_by_label("last calendar week").check()
    page.get_by_label("last hour").uncheck()
    page.get_by_label("Stores", exact=True).fill("NA, s1")
    page.get_by_role("button", name="Create report").press("Enter")
    progress = page.locator("#progress")
    # Dagster is not running
    expect(progress.get_by_role("status")).to_have_text("Waiting to start.")
    href = progress.get_by_role("link").get_attribute("href")
    report = api.http.get(f"/v1/{href}").json()
    assert report["status"] == "Queued"
    assert report["request"]["windows"] == ["day", "week", "last_calendar_week"]
    assert set(report["request"]["store_ids"]) == {"NA", "s1"}

    # the report's own page follows the status
    page.goto(f"{api.url}/{href}")
    expect(page.locator(".badge")).to_have_text("Queued")
    expect(page.get_by_role("status")).to_have_text("Waiting to start.")
    assert api.http.delete(f"/v1/{href}").status_code == 202
    expect(page.locator(".badge")).to_have_text("Canceled")


def test_progress_page_shows_a_started_report(page: Page, api: Api):
    waiting = api.http.post("/v1/reports", json={"windows": ["yesterday"]}).json()
    page.goto(f"{api.url}/reports/{waiting['id']}")
    expect(page.get_by_role("status")).to_have_text("Waiting to start.")
    running = {"status": "Running", "run_id": "a-run", "progress": {"done": 1, "steps": 3}}
    page.route("**/v1/reports/*", lambda route: route.fulfill(json=waiting | running))
    expect(page.get_by_role("status")).to_have_text("Running: 1 of 3 steps")
    expect(page.locator(".badge")).to_have_text("Running")


def test_form_shows_why_a_request_is_rejected(browser: Browser, api: Api):
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{api.url}/")
        page.get_by_label("Stores", exact=True).fill("never-was")
        page.get_by_role("button", name="Create report").click()
        alert = page.get_by_role("alert")
        expect(alert).to_have_text("never polled: never-was")
        page.get_by_label("Custom range, from (UTC)").fill("2023-01-20T00:00")
        page.get_by_role("button", name="Create report").click()
        expect(alert).to_have_text(
            "start and end must be set together: set both, for a range, or neither"
        )
        page.get_by_label("Custom range, from (UTC)").fill("")
        for box in page.get_by_role("checkbox").all():
            box.uncheck()
        page.get_by_role("button", name="Create report").click()
        expect(alert).to_have_text("Select at least one window, or enter a range.")


def test_worst_stores_without_match_link_to_all_stores(
    page: Page, api: Api, api_database: ApiDatabase
):
    page.goto(f"{api.url}/reports/{api_database.complete}")
    page.get_by_role("searchbox", name="Search the worst stores").fill("1.A_B & co")
    expect(page.locator("#worst-stores tbody tr:visible")).to_have_count(0)
    page.get_by_role("link", name="Search all stores for “1.A_B & co”").click()
    expect(page).to_have_url(f"{api.url}/stores?q=1.A_B%20%26%20co")


def test_form_works_without_a_script(browser: Browser, api: Api):
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{api.url}/")
        page.get_by_label("last month").check()
        page.get_by_role("button", name="Create report").click()
        expect(page).to_have_url(re.compile(r"/reports/[\w-]+$"))
        expect(page.locator(".badge")).to_have_text("Queued")


def test_report_html_opens_as_a_file(page: Page, api_database: ApiDatabase):
    page.goto((api_database.reports_dir / api_database.complete / "report.html").as_uri())
    expect(page.get_by_role("heading", level=1)).to_contain_text("Uptime as of")
    expect(page.locator("figure.chart svg")).to_have_count(3)
    # no navigation
    expect(page.get_by_role("link").filter(has_not_text="Skip")).to_have_count(0)
    page.locator("#worst-stores").get_by_role("button", name="Store").click()
    expect(page.locator("#worst-stores th[aria-sort]")).to_have_count(1)


def test_login_and_logout_in_a_browser(browser: Browser, start_api: StartApi):
    guarded = start_api(api_tokens=TOKEN)
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{guarded.url}/stores/s1")
        page.get_by_label("Token").fill("wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_have_text("Unknown token.")
        page.get_by_label("Token").fill(TOKEN)
        page.keyboard.press("Enter")
        expect(page).to_have_url(f"{guarded.url}/stores/s1")
        expect(page.get_by_role("heading", level=1)).to_have_text("s1")
        assert page.evaluate("document.cookie") == ""
        page.goto(f"{guarded.url}/")
        page.get_by_role("button", name="Create report").click()
        expect(page.locator("#progress")).to_be_visible()
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_label("Token")).to_be_visible()
        assert page.goto(f"{guarded.url}/fleet").status == 401


LONG = "5687213702184472527"
PHONE_HEADINGS = {
    "/": {"Requested", "Status", "As of"},
    "/fleet": {"Store", "Since (local)", "Duration", "last week, % up", "Down, h", "SLO"},
}


def with_long_ids(page: Page, url: str) -> None:
    """Open a page and replace each store ID by a long one."""
    page.goto(url)
    page.locator(".store").evaluate_all(
        "(names, id) => names.forEach((name) => { name.textContent = id; })", LONG
    )


@pytest.mark.parametrize("path", PHONE_HEADINGS)
def test_table_headings_fit_on_a_phone(browser: Browser, api: Api, path: str):
    with browser.new_context(**CONTEXTS["phone"]) as context:
        page = context.new_page()
        with_long_ids(page, f"{api.url}{path}")
        headings = page.locator("thead th:visible")
        assert {" ".join(text.split()) for text in headings.all_inner_texts()} == PHONE_HEADINGS[
            path
        ]
        edges = page.locator("th:visible, td:visible").evaluate_all(
            "cells => cells.map(cell => cell.getBoundingClientRect().right)"
        )
        assert max(edges) <= 375


def test_worst_stores_fit_on_desktop_and_paper(browser: Browser, api: Api):
    fits = "[...document.querySelectorAll('.scroll')].every(e => e.scrollWidth <= e.clientWidth)"
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        page = context.new_page()
        with_long_ids(page, f"{api.url}/fleet")
        assert page.locator("#worst-stores thead th:visible").count() == 12
        assert page.evaluate(fits)
        # a sheet of A4 within its margins
        page.set_viewport_size({"width": 703, "height": 1032})
        page.emulate_media(media="print")
        assert page.evaluate(fits)
        # a sticky row would not repeat on the next sheet
        expect(page.locator("#worst-stores thead th").first).to_have_css("position", "static")
        expect(page.locator("#worst-stores thead button").first).to_have_css("display", "contents")


@pytest.mark.parametrize("context_name", CONTEXTS)
def test_pages_have_no_serious_accessibility_violation(
    browser: Browser, api: Api, api_database: ApiDatabase, context_name: str
):
    waiting = api.http.post("/v1/reports", json={"windows": ["today"]}).json()["id"]
    paths = [
        "/",
        f"/reports/{api_database.complete}",
        f"/reports/{waiting}",
        "/reports/unknown",
        "/fleet",
        "/stores",
        "/stores/s2",
    ]
    with browser.new_context(**CONTEXTS[context_name]) as context:
        page = context.new_page()
        for path in paths:
            page.goto(f"{api.url}{path}")
            results = Axe().run(page).response["violations"]
            serious = [
                violation for violation in results if violation["impact"] in ("serious", "critical")
            ]
            violations = [
                (violation["id"], [node["html"] for node in violation["nodes"]][:3])
                for violation in serious
            ]
            assert not violations, path
            # wide tables scroll inside the page
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
