"""HTML pages: reports, the form for a new report, stores, the fleet.

Pages are not part of the public API, and not in the OpenAPI document.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import parse_qs, quote

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import ValidationError

from storemon_pipeline.api.auth import SESSION_COOKIE
from storemon_pipeline.api.dependencies import AppState, AppStateDep
from storemon_pipeline.api.file_responses import REPORT_MEDIA_TYPES
from storemon_pipeline.api.html_responses import page_response, relative_root
from storemon_pipeline.api.pagination import Page
from storemon_pipeline.api.problems import ErrorDetail, ProblemError
from storemon_pipeline.api.report_lookup import ReportId, get_report_or_404
from storemon_pipeline.api.report_submission import submit_report
from storemon_pipeline.api.routes.reports import REPORT_PAGINATOR, report_key
from storemon_pipeline.api.routes.stores import STORE_PAGINATOR, StoreIdInPath, get_store_or_404
from storemon_pipeline.api.threads import run_in_writer_thread
from storemon_pipeline.evaluation.data_quality import read_data_quality
from storemon_pipeline.evaluation.store_inputs import evaluate_store
from storemon_pipeline.pages.formatting import format_utc, window_label
from storemon_pipeline.pages.rendering import PageContext
from storemon_pipeline.pages.report_html import SILENT_AFTER
from storemon_pipeline.pages.report_pages import (
    NO_WINDOW_MESSAGE,
    ListedReport,
    ReportForm,
    data_notices,
    fleet_page,
    ingest_failed,
    progress_page,
    report_page,
    reports_page,
)
from storemon_pipeline.pages.store import StoreView, StoreWeek, store_page, stores_page
from storemon_pipeline.storage.alert_outbox import read_alerts
from storemon_pipeline.storage.ingest_runs import ingest_failures
from storemon_pipeline.storage.polled_stores import newest_poll
from storemon_pipeline.storage.report_history import read_fleet_metrics, read_store_metrics
from storemon_pipeline.storage.report_writer import ReportFile, is_valid_report_id
from storemon_pipeline.storage.reports import (
    COMPLETE,
    IN_PROGRESS,
    ReportRecord,
    latest_complete_report,
    read_reports,
)
from storemon_pipeline.storage.stores import StoreDetails, count_stores, get_target, search_stores
from storemon_pipeline.uptime.opening_hours import OpeningHours
from storemon_pipeline.uptime.past_reports import history_figures
from storemon_pipeline.uptime.report_request import ReportSpec, parse_instant, resolve_spec
from storemon_pipeline.uptime.windows import Window

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

REPORTS_PER_PAGE = 20
STORES_PER_PAGE = 100
ALERTS_PER_STORE = 5
_TREND = Window.WEEK.suffix


def _page_context(app_state: AppState, request: Request) -> PageContext:
    """Return the page context: relative root URL, and whether to show "Log out"."""
    show_logout = bool(app_state.settings.api_tokens) and SESSION_COOKIE in request.cookies
    return PageContext(relative_root(request.url.path), show_logout)


def _to_list_item(record: ReportRecord) -> ListedReport:
    spec = record.request or {}
    windows = [
        window_label(Window(name).suffix)
        for name in spec.get("windows", ())
        if name != Window.RANGE.value
    ]
    # once the request is resolved, as_of is the end of the range
    bounds = (spec.get("start"), record.as_of or spec.get("end"))
    if all(bounds):
        start, end = (
            format_utc(datetime.fromisoformat(str(parse_instant(str(bound))))) for bound in bounds
        )
        windows.append(f"range from {start} to {end}")
    return ListedReport(
        record.report_id,
        record.status,
        record.requested_at,
        record.as_of,
        record.stores,
        ", ".join(windows),
        has_run=record.run_id is not None,
    )


def _render_reports(
    app_state: AppState,
    request: Request,
    *,
    cursor: str | None = None,
    form: ReportForm | None = None,
    problem: ProblemError | None = None,
) -> HTMLResponse:
    before = REPORT_PAGINATOR.decode(cursor)
    with app_state.database.read() as connection:
        records = read_reports(connection, limit=REPORTS_PER_PAGE + 1, before=before)
    page = REPORT_PAGINATOR.page(records, REPORTS_PER_PAGE, report_key)
    text = reports_page(
        [_to_list_item(record) for record in page.items],
        older=_cursor_query(page, {}),
        form=form,
        problem=problem.problem.detail if problem else "",
        frame=_page_context(app_state, request),
    )
    return page_response(text, problem.status if problem else HTTPStatus.OK)


def _cursor_query(page: Page[Any], query: dict[str, str]) -> str:
    """Return the query string of the next page; empty on the last page."""
    return (page.next_link("", query) or "").removeprefix("?")


@router.get("/")
def reports(
    app_state: AppStateDep, request: Request, cursor: Annotated[str | None, Query()] = None
) -> HTMLResponse:
    """List all reports, newest first, with the form for a new one."""
    return _render_reports(app_state, request, cursor=cursor)


async def _form(request: Request) -> dict[str, list[str]]:
    return parse_qs((await request.body()).decode("utf-8", "replace"))


UrlencodedForm = Annotated[dict[str, list[str]], Depends(_form)]


@router.post("/")
@run_in_writer_thread
def submit_report_form(app_state: AppStateDep, request: Request, data: UrlencodedForm) -> Response:
    """Create a report from the form, for browsers without JavaScript."""
    fields = {name: "".join(data.get(name, ())).strip() for name in ("start", "end", "store_ids")}
    form = ReportForm(data.get("windows", ()), fields["start"], fields["end"], fields["store_ids"])
    values: dict[str, object] = {name: fields[name] for name in ("start", "end") if fields[name]}
    if store_ids := fields["store_ids"].replace(",", " ").split():
        values["store_ids"] = store_ids
    try:
        spec = ReportSpec.model_validate(values | {"windows": form.windows})
        record = submit_report(app_state, spec, http_request_id=request.state.id)
    except ValidationError as error:
        detail = "; ".join(part["msg"].removeprefix("Value error, ") for part in error.errors())
        if not (form.windows or form.start or form.end):
            detail = NO_WINDOW_MESSAGE
        parts = [
            ErrorDetail(where=".".join(map(str, ("body", *part["loc"]))), message=part["msg"])
            for part in error.errors()
        ]
        problem = ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=parts)
    except ProblemError as error:
        problem = error
    else:
        return RedirectResponse(f"./reports/{quote(record.report_id)}", HTTPStatus.SEE_OTHER)
    messages = {
        part.where.removeprefix("body."): part.message for part in problem.problem.errors or ()
    }
    return _render_reports(app_state, request, form=replace(form, errors=messages), problem=problem)


def _read_report_html(app_state: AppState, record: ReportRecord | None) -> str | None:
    """Return the HTML page of a report; None if it has none."""
    if record is None or record.status != COMPLETE or not is_valid_report_id(str(record.run_id)):
        return None
    path = app_state.settings.reports_path / str(record.run_id) / ReportFile.PAGE
    return str(path.read_text("utf-8")) if path.is_file() else None


@router.get("/reports/{report_id}")
def report(app_state: AppStateDep, request: Request, report_id: ReportId) -> HTMLResponse:
    """Show a report; until it is Complete, its progress."""
    record = get_report_or_404(app_state, report_id)
    frame = _page_context(app_state, request)
    html = _read_report_html(app_state, record)
    files = {}
    if record.status == COMPLETE:
        home = f"{frame.root}v1/reports/{quote(record.report_id)}"
        # reports of earlier versions have no page
        names = [name for name in REPORT_MEDIA_TYPES if name != ReportFile.PAGE or html is not None]
        files = {name: f"{home}/{name}" for name in names}
    if html is not None:
        return page_response(report_page(html, files=files, frame=frame))
    text = progress_page(
        _to_list_item(record),
        in_progress=record.status in IN_PROGRESS,
        error=record.error,
        files=files,
        frame=frame,
    )
    return page_response(text)


@router.get("/fleet")
def fleet(app_state: AppStateDep, request: Request) -> HTMLResponse:
    """Show the latest report of all stores, and the state of the data."""
    now = datetime.now(UTC)
    with app_state.database.read() as connection:
        record = latest_complete_report(connection)
        newest = newest_poll(app_state.database.polls, connection, now)
        quality = read_data_quality(connection)
        history = history_figures(read_fleet_metrics(connection, _TREND))
        stores = count_stores(connection)
        silent = 0 if newest is None else count_stores(connection, newest - SILENT_AFTER)
        failures = ingest_failures(connection)
    notices = data_notices(
        now=now, newest_poll=newest, stores=stores, silent=silent, quality=quality
    )
    if failures is not None:
        notices.insert(0, ingest_failed(failures.runs, failures.since, failures.error))
    text = fleet_page(
        _read_report_html(app_state, record),
        None if record is None else record.report_id,
        notices,
        history,
        frame=_page_context(app_state, request),
    )
    return page_response(text)


@router.get("/stores")
def stores(
    app_state: AppStateDep,
    request: Request,
    q: Annotated[str, Query(max_length=200)] = "",
    cursor: Annotated[str | None, Query()] = None,
) -> Response:
    """Search stores by a part of their id; redirect to a store on an exact match."""
    text, after = q.strip(), STORE_PAGINATOR.decode(cursor)
    with app_state.database.read() as connection:
        result = search_stores(connection, text, STORES_PER_PAGE + 1, after=after)
    if after is None and text in (store_id for store_id, _ in result.stores):
        return RedirectResponse(f"./stores/{quote(text, safe='')}", HTTPStatus.SEE_OTHER)
    page = STORE_PAGINATOR.page(result.stores, STORES_PER_PAGE, lambda store: store[0])
    html = stores_page(
        list(page.items),
        total=result.total,
        next_query=_cursor_query(page, {"q": text}),
        query=text,
        frame=_page_context(app_state, request),
    )
    return page_response(html)


def _load_store_week(app_state: AppState, store: StoreDetails) -> tuple[StoreWeek, OpeningHours]:
    """Return the last week of a store, and its opening hours."""
    now = datetime.now(UTC)
    with app_state.database.read() as connection:
        newest = newest_poll(app_state.database.polls, connection, now)
        target = get_target(connection, store.store_id)
    if newest is None or store.first_poll_utc > newest:
        msg = f"all polls of store {store.store_id} are in the future: check its clock"
        raise ProblemError(HTTPStatus.NOT_FOUND, msg, type_slug="unknown-store")
    resolved = resolve_spec(ReportSpec(), newest_poll=newest, now=now)
    time, results, hours = evaluate_store(
        app_state.database,
        store,
        resolved,
        app_state.settings.target_pct if target is None else target,
        app_state.settings.no_data_after,
    )
    return StoreWeek(resolved, time, results), hours


@router.get("/stores/{store_id}")
def store(app_state: AppStateDep, request: Request, store_id: StoreIdInPath) -> HTMLResponse:
    """Show a store: its last week, outages and history."""
    details = get_store_or_404(app_state, store_id)
    week, hours = _load_store_week(app_state, details)
    with app_state.database.read() as connection:
        history = history_figures(read_store_metrics(connection, store_id, _TREND))
        alerts = read_alerts(connection, limit=ALERTS_PER_STORE, store_id=store_id)
    facts = StoreView(
        details.store_id,
        details.timezone,
        details.timezone_known,
        details.polls,
        details.first_poll_utc,
        details.last_poll_utc,
        hours,
        alerts,
    )
    return page_response(store_page(facts, week, history, frame=_page_context(app_state, request)))
