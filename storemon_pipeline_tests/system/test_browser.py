"""What a person sees who opens Dagster's UI and the API's own page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from storemon_pipeline_tests.helpers.browser import chromium
from storemon_pipeline_tests.helpers.deployment import ByCommand, System, wait_for

PAGE_SECONDS = 90


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    expect.set_options(timeout=PAGE_SECONDS * 1000)
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(PAGE_SECONDS * 1000)
        yield page


def shown(page: Page, entry: str) -> Locator:
    """What an entry of the asset's metadata shows when it is clicked on."""
    row = page.get_by_role("row").filter(has=page.get_by_role("cell", name=entry, exact=True))
    row.get_by_text("[Show Markdown]").click()
    return page.get_by_role("dialog")


def test_a_report_that_is_materialized_in_dagsters_ui_shows_its_preview_and_its_plot(
    system: System, by_command: ByCommand, page: Page
) -> None:
    def listed() -> set[str]:
        reports = system.api.get("/v1/reports?limit=100").json()["reports"]
        return {report["id"] for report in reports}

    # what is materialized alone goes on from the newest run: one of all stores
    system.until(system.ask(rules={"max_carry_hours": 24})["id"], "Complete")
    before = listed()
    page.goto(f"{system.ui_url}/assets/uptime_report")
    page.get_by_role("button", name="Materialize").first.click()
    (run_id,) = wait_for("the run to be a report in the API", lambda: listed() - before)
    system.until(run_id, "Complete")
    assert system.run(run_id)["tags"].get("storemon/request_id") is None

    # the page comes to show this run and no earlier one
    expect(page.get_by_text(f"{run_id}/report.csv")).to_be_visible()
    store_ids = [row["store_id"] for row in system.figures(run_id)]
    preview = shown(page, "preview")
    expect(preview.get_by_role("table")).to_contain_text(store_ids[0])
    page.keyboard.press("Escape")
    expect(preview).to_have_count(0)
    plot = shown(page, "plot").get_by_role("img").and_(page.locator("img"))
    expect(plot).to_be_visible()
    assert plot.evaluate("image => image.complete && image.naturalWidth") > 100


def test_a_request_is_sent_from_the_api_s_own_page(
    system: System, by_command: ByCommand, page: Page
) -> None:
    elsewhere = []
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((str(system.api.base_url), "data:"))
            else elsewhere.append(request.url)
        ),
    )
    page.goto(f"{system.api.base_url}/docs")
    operation = page.locator("#operations-reports-every_v1_reports_get")
    operation.locator(".opblock-summary").click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    answer = operation.locator(".live-responses-table")
    expect(answer.locator(".response-col_status").last).to_contain_text("200")
    expect(answer).to_contain_text(by_command.run_id)
    assert not elsewhere, "the page works without the internet"
