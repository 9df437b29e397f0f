"""What people look at in a browser: reports, the form that asks for one, stores, the fleet.

Pages are no part of the API that programs rely on, so its document does not have them.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated
from urllib.parse import parse_qs, quote, urlencode

import pandas as pd
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import ValidationError

from storemon_pipeline.api.auth import SESSION_COOKIE
from storemon_pipeline.api.dependencies import AppState, AppStateDep
from storemon_pipeline.api.errors import ErrorDetail, ProblemError
from storemon_pipeline.api.file_responses import REPORT_MEDIA_TYPES
from storemon_pipeline.api.html_responses import page_response, relative_root
from storemon_pipeline.api.report_submission import submit_report
from storemon_pipeline.api.routes.reports import ReportId, get_report_or_404
from storemon_pipeline.api.routes.stores import StoreIdInPath, get_store_or_404
from storemon_pipeline.api.threads import run_in_writer_thread
from storemon_pipeline.evaluation.data_quality import read_data_quality
from storemon_pipeline.evaluation.store_inputs import read_store_inputs
from storemon_pipeline.pages.formatting import format_utc, window_label
from storemon_pipeline.pages.rendering import PageContext
from storemon_pipeline.pages.report import SILENT_AFTER
from storemon_pipeline.pages.reports import (
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
from storemon_pipeline.pages.store import AlertView, StoreView, StoreWeek, store_page, stores_page
from storemon_pipeline.storage.alert_outbox import read_alerts
from storemon_pipeline.storage.ingest_runs import ingest_failures
from storemon_pipeline.storage.polls import newest_poll
from storemon_pipeline.storage.report_history import fleet_history, store_history
from storemon_pipeline.storage.report_writer import PAGE, is_valid_report_id
from storemon_pipeline.storage.reports import (
    COMPLETE,
    IN_PROGRESS,
    ReportRecord,
    latest_complete_report,
    read_reports,
)
from storemon_pipeline.storage.stores import StoreDetails, count_stores, get_target, search_stores
from storemon_pipeline.uptime.current_status import current_status
from storemon_pipeline.uptime.fleet import store_results
from storemon_pipeline.uptime.metrics import observe_open_time
from storemon_pipeline.uptime.opening_hours import OpeningHours, open_hours
from storemon_pipeline.uptime.outage_alerts import DOWN
from storemon_pipeline.uptime.report_request import ReportSpec, StoreId, parse_instant, resolve_spec
from storemon_pipeline.uptime.status_intervals import status_intervals
from storemon_pipeline.uptime.windows import Window

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

REPORTS_PER_PAGE = 20
STORES_PER_PAGE = 100
ALERTS_PER_STORE = 5
_TREND = Window.WEEK.suffix


def _page_context(services: AppState, request: Request) -> PageContext:
    """What is around each page: the way to the API's root, and whether there is a way out."""
    leaves = bool(services.settings.api_tokens) and SESSION_COOKIE in request.cookies
    return PageContext(relative_root(request.url.path), leaves)


# Reports


def _to_list_item(state: ReportRecord) -> ListedReport:
    asked = state.request or {}
    windows = [
        window_label(Window(name).suffix)
        for name in asked.get("windows", ())
        if name != Window.RANGE.value
    ]
    # where a run has settled what was asked for, its as_of is the end
    ends = (asked.get("start"), state.as_of or asked.get("end"))
    if all(ends):
        start, end = (
            format_utc(datetime.fromisoformat(str(parse_instant(str(at))))) for at in ends
        )
        windows.append(f"range from {start} to {end}")
    return ListedReport(
        state.report_id,
        state.status,
        state.requested_at,
        state.as_of,
        state.stores,
        ", ".join(windows),
        has_run=state.run_id is not None,
    )


def _render_reports(
    services: AppState,
    request: Request,
    *,
    before: str | None = None,
    asked: ReportForm | None = None,
    problem: ProblemError | None = None,
) -> HTMLResponse:
    place = None
    if before is not None:
        instant, _, report_id = before.partition("~")
        try:
            place = datetime.fromisoformat(str(parse_instant(instant))), report_id
        except ValueError as error:
            msg = f"before={before} is no place in the list: follow the page's own link"
            raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, msg) from error
    with services.database.read() as connection:
        states = read_reports(connection, limit=REPORTS_PER_PAGE + 1, before=place)
    shown, older = states[:REPORTS_PER_PAGE], ""
    if len(states) > REPORTS_PER_PAGE:
        last = shown[-1]
        older = urlencode({"before": f"{last.requested_at.isoformat()}~{last.report_id}"})
    text = reports_page(
        [_to_list_item(state) for state in shown],
        older=older,
        form=asked,
        problem=problem.problem.detail if problem else "",
        frame=_page_context(services, request),
    )
    return page_response(text, problem.status if problem else HTTPStatus.OK)


@router.get("/")
def reports(
    services: AppStateDep, request: Request, before: Annotated[str | None, Query()] = None
) -> HTMLResponse:
    """All reports, newest first, and the form that asks for one."""
    return _render_reports(services, request, before=before)


async def _form(request: Request) -> dict[str, list[str]]:
    return parse_qs((await request.body()).decode("utf-8", "replace"))


UrlencodedForm = Annotated[dict[str, list[str]], Depends(_form)]


@router.post("/")
@run_in_writer_thread
def submit_report_form(services: AppStateDep, request: Request, form: UrlencodedForm) -> Response:
    """Ask for a report by the form, where the page's script does not."""
    fields = {name: "".join(form.get(name, ())).strip() for name in ("start", "end", "store_ids")}
    asked = ReportForm(form.get("windows", ()), fields["start"], fields["end"], fields["store_ids"])
    given: dict[str, object] = {name: fields[name] for name in ("start", "end") if fields[name]}
    if store_ids := fields["store_ids"].replace(",", " ").split():
        given["store_ids"] = store_ids
    try:
        report = ReportSpec.model_validate(given | {"windows": asked.windows})
        state = submit_report(services, report, http_request_id=request.state.id)
    except ValidationError as error:
        detail = "; ".join(each["msg"].removeprefix("Value error, ") for each in error.errors())
        if not (asked.windows or asked.start or asked.end):
            detail = NO_WINDOW_MESSAGE
        parts = [
            ErrorDetail(where=".".join(map(str, ("body", *each["loc"]))), message=each["msg"])
            for each in error.errors()
        ]
        problem = ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=parts)
    except ProblemError as error:
        problem = error
    else:
        return RedirectResponse(f"./reports/{quote(state.report_id)}", HTTPStatus.SEE_OTHER)
    wrong = {
        each.where.removeprefix("body."): each.message for each in problem.problem.errors or ()
    }
    return _render_reports(services, request, asked=replace(asked, errors=wrong), problem=problem)


def _read_report_html(services: AppState, state: ReportRecord | None) -> str | None:
    """The page that a report's run has written; None where there is none."""
    if state is None or state.status != COMPLETE or not is_valid_report_id(str(state.run_id)):
        return None
    path = services.settings.reports_path / str(state.run_id) / PAGE
    return str(path.read_text("utf-8")) if path.is_file() else None


@router.get("/reports/{report_id}")
def report(services: AppStateDep, request: Request, report_id: ReportId) -> HTMLResponse:
    """A report's own page; until it is there, how far it is."""
    state = get_report_or_404(services, report_id)
    frame = _page_context(services, request)
    written = _read_report_html(services, state)
    files = {}
    if state.status == COMPLETE:
        home = f"{frame.root}v1/reports/{quote(state.report_id)}"
        # older ones have no page
        names = [name for name in REPORT_MEDIA_TYPES if name != PAGE or written is not None]
        files = {name: f"{home}/{name}" for name in names}
    if written is not None:
        return page_response(report_page(written, files=files, frame=frame))
    text = progress_page(
        _to_list_item(state),
        in_progress=state.status in IN_PROGRESS,
        error=state.error,
        files=files,
        frame=frame,
    )
    return page_response(text)


@router.get("/fleet")
def fleet(services: AppStateDep, request: Request) -> HTMLResponse:
    """All stores: the newest report of all of them, and how the data is by now."""
    now = datetime.now(UTC)
    with services.database.read() as connection:
        state = latest_complete_report(connection)
        newest = newest_poll(connection, now)
        quality = read_data_quality(connection)
        history = fleet_history(connection, _TREND)
        stores = count_stores(connection)
        silent = 0 if newest is None else count_stores(connection, newest - SILENT_AFTER)
        failures = ingest_failures(connection)
    notices = data_notices(
        now=now, newest_poll=newest, stores=stores, silent=silent, quality=quality
    )
    if failures is not None:
        notices.insert(0, ingest_failed(failures.runs, failures.since, failures.error))
    text = fleet_page(
        _read_report_html(services, state),
        None if state is None else state.report_id,
        notices,
        history,
        frame=_page_context(services, request),
    )
    return page_response(text)


# Stores


@router.get("/stores")
def stores(
    services: AppStateDep,
    request: Request,
    q: Annotated[str, Query(max_length=200)] = "",
    after: Annotated[StoreId | None, Query()] = None,
) -> Response:
    """Find stores by a part of their id; one whose id it is, is shown at once."""
    asked, further = q.strip(), ""
    with services.database.read() as connection:
        found = search_stores(connection, asked, STORES_PER_PAGE + 1, after=after)
    if after is None and asked in (store_id for store_id, _ in found.stores):
        return RedirectResponse(f"./stores/{quote(asked, safe='')}", HTTPStatus.SEE_OTHER)
    shown = found.stores[:STORES_PER_PAGE]
    if len(found.stores) > STORES_PER_PAGE:
        further = urlencode({"q": asked, "after": shown[-1][0]})
    text = stores_page(
        shown,
        total=found.total,
        next_query=further,
        query=asked,
        frame=_page_context(services, request),
    )
    return page_response(text)


def _load_store_week(services: AppState, store: StoreDetails) -> tuple[StoreWeek, OpeningHours]:
    """The last week of the data, for one store, and the opening hours that it follows."""
    now = datetime.now(UTC)
    with services.database.read() as connection:
        newest = newest_poll(connection, now)
        target = get_target(connection, store.store_id)
    if newest is None or store.first_poll_utc > newest:
        msg = f"store {store.store_id} was polled in the future only: look at its clock"
        raise ProblemError(HTTPStatus.NOT_FOUND, msg, type_slug="unknown-store")
    asked = resolve_spec(ReportSpec(), newest_poll=newest, now=now)
    start, end = map(pd.Timestamp, asked.span)
    known = read_store_inputs(services.database, store, start, end, asked.rules)
    stores = known.stores.assign(
        target_pct=services.settings.target_pct if target is None else target
    )
    opened = open_hours(stores, known.hours, start, end, asked.rules)
    intervals = status_intervals(stores, known.polls, opened, known.hours, start, end, asked.rules)
    current = current_status(
        stores, known.polls, known.hours, end, asked.rules, services.settings.no_data_after
    )
    results = store_results(stores, opened, intervals, current, asked)
    time = observe_open_time(stores, opened, intervals, asked)
    return StoreWeek(asked, time, results), known.hours


@router.get("/stores/{store_id}")
def store(services: AppStateDep, request: Request, store_id: StoreIdInPath) -> HTMLResponse:
    """A store: its last week, its outages, whether it gets better."""
    record = get_store_or_404(services, store_id)
    week, hours = _load_store_week(services, record)
    with services.database.read() as connection:
        history = store_history(connection, store_id, _TREND)
        alerts = read_alerts(connection, limit=ALERTS_PER_STORE, store_id=store_id)
    facts = StoreView(
        record.store_id,
        record.timezone,
        record.timezone_known,
        record.polls,
        record.first_poll_utc,
        record.last_poll_utc,
        hours,
        [
            AlertView(
                each.kind == DOWN,
                each.down_since,
                each.created_at,
                each.sent_at,
                each.attempts,
                each.last_error,
            )
            for each in alerts
        ],
    )
    return page_response(store_page(facts, week, history, frame=_page_context(services, request)))
