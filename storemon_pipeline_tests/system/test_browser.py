"""Dagster's UI and the API's documentation page in a browser."""

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


def metadata_dialog(page: Page, entry: str) -> Locator:
    """Open an entry of the asset's metadata, and return its dialog."""
    row = page.get_by_role("row").filter(has=page.get_by_role("cell", name=entry, exact=True))
    row.get_by_text("[Show Markdown]").click()
    return page.get_by_role("dialog")


def test_report_materialized_in_ui_shows_preview_and_plot(
    system: System, by_command: ByCommand, page: Page
) -> None:
    def report_ids() -> set[str]:
        reports = system.api.get("/v1/reports?limit=100").json()["reports"]
        return {report["id"] for report in reports}

    # an asset materialized alone takes its inputs from the newest run: make that one of all stores
    system.until(system.submit(rules={"max_carry_hours": 24})["id"], "Complete")
    before = report_ids()
    page.goto(f"{system.ui_url}/assets/uptime_report")
    page.get_by_role("button", name="Materialize").first.click()
    (run_id,) = wait_for("the run to be a report in the API", lambda: report_ids() - before)
    system.until(run_id, "Complete")
    assert system.run(run_id)["tags"].get("storemon/request_id") is None

    # the page updates to this run
    expect(page.get_by_text(f"{run_id}/report.csv")).to_be_visible()
    store_ids = [row["store_id"] for row in system.report_rows(run_id)]
    preview = metadata_dialog(page, "preview")
    expect(preview.get_by_role("table")).to_contain_text(store_ids[0])
    page.keyboard.press("Escape")
    expect(preview).to_have_count(0)
    plot = metadata_dialog(page, "plot").get_by_role("img").and_(page.locator("img"))
    expect(plot).to_be_visible()
    assert plot.evaluate("image => image.complete && image.naturalWidth") > 100


def test_docs_page_try_it_out_sends_the_request(
    system: System, by_command: ByCommand, page: Page
) -> None:
    external_urls = []
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((str(system.api.base_url), "data:"))
            else external_urls.append(request.url)
        ),
    )
    page.goto(f"{system.api.base_url}/docs")
    operation = page.locator("#operations-reports-list_reports")
    operation.locator(".opblock-summary").click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    answer = operation.locator(".live-responses-table")
    expect(answer.locator(".response-col_status").last).to_contain_text("200")
    expect(answer).to_contain_text(by_command.run_id)
    assert not external_urls, "the page needs no internet access"
