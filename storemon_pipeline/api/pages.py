"""What people look at in a browser: reports, the form that asks for one, stores, the fleet.

Pages are no part of the API that programs rely on, so its document does not have them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated
from urllib.parse import parse_qs, quote, urlencode

import pandas as pd
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import ValidationError

from storemon_pipeline.api.asking import ask_for_report
from storemon_pipeline.api.files import FILES
from storemon_pipeline.api.problems import ProblemError, page_response, way_to_root
from storemon_pipeline.api.reports import ReportId, found
from storemon_pipeline.api.services import Given, Services
from storemon_pipeline.api.stores import StoreIdInPath, known_store
from storemon_pipeline.api.surroundings import SESSION, Tokens, session_of
from storemon_pipeline.api.threads import in_writers_thread
from storemon_pipeline.pages.fleet import SILENT_AFTER
from storemon_pipeline.pages.layout import Frame, in_words, utc_text
from storemon_pipeline.pages.notes import login_page
from storemon_pipeline.pages.reports import (
    NOTHING_ASKED,
    AskedForm,
    ListedReport,
    data_now,
    fleet_page,
    ingest_failed,
    progress_page,
    reports_page,
    shown_page,
)
from storemon_pipeline.pages.store import StoreFacts, StoreWeek, ToldAlert, store_page, stores_page
from storemon_pipeline.storage.alerts import list_alerts
from storemon_pipeline.storage.history import fleet_history, store_history
from storemon_pipeline.storage.ingest_runs import ingest_failures
from storemon_pipeline.storage.ingested import bad_rows_by_file
from storemon_pipeline.storage.polls import newest_poll
from storemon_pipeline.storage.registry import (
    COMPLETE,
    IN_PROGRESS,
    ReportState,
    list_reports,
    newest_complete_report,
)
from storemon_pipeline.storage.report_files import PAGE
from storemon_pipeline.storage.retention import is_report_id
from storemon_pipeline.storage.stores import (
    StoreRecord,
    count_stores,
    read_store,
    search_stores,
    target_of,
)
from storemon_pipeline.uptime.alerts import DOWN
from storemon_pipeline.uptime.fleet import store_results
from storemon_pipeline.uptime.open_hours import OpeningHours, open_hours
from storemon_pipeline.uptime.report import observe
from storemon_pipeline.uptime.request import AskedReport, StoreId, parse_instant, resolve
from storemon_pipeline.uptime.status import status_intervals
from storemon_pipeline.uptime.windows import Window

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

_LISTED = 20
_FOUND = 100
_ALERTS = 5
_TREND = Window.WEEK.column


def _frame(services: Services, request: Request) -> Frame:
    """What is around each page: the way to the API's root, and whether there is a way out."""
    leaves = bool(services.settings.api_tokens) and SESSION in request.cookies
    return Frame(way_to_root(request.url.path), leaves)


# Reports


def _listed(state: ReportState) -> ListedReport:
    asked = state.request or {}
    windows = [
        in_words(Window(name).column)
        for name in asked.get("windows", ())
        if name != Window.RANGE.value
    ]
    # where a run has settled what was asked for, its as_of is the end
    ends = (asked.get("start"), state.as_of or asked.get("end"))
    if all(ends):
        start, end = (utc_text(datetime.fromisoformat(str(parse_instant(str(at))))) for at in ends)
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


def _reports(
    services: Services,
    request: Request,
    *,
    before: str | None = None,
    asked: AskedForm | None = None,
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
        states = list_reports(connection, limit=_LISTED + 1, before=place)
    shown, older = states[:_LISTED], ""
    if len(states) > _LISTED:
        last = shown[-1]
        older = urlencode({"before": f"{last.requested_at.isoformat()}~{last.report_id}"})
    text = reports_page(
        [_listed(state) for state in shown],
        older=older,
        asked=asked,
        problem=problem.problem.detail if problem else "",
        frame=_frame(services, request),
    )
    return page_response(text, problem.status if problem else HTTPStatus.OK)


@router.get("/")
def reports(
    services: Given, request: Request, before: Annotated[str | None, Query()] = None
) -> HTMLResponse:
    """All reports, newest first, and the form that asks for one."""
    return _reports(services, request, before=before)


async def _form(request: Request) -> dict[str, list[str]]:
    return parse_qs((await request.body()).decode("utf-8", "replace"))


Form = Annotated[dict[str, list[str]], Depends(_form)]


@router.post("/")
@in_writers_thread
def ask(services: Given, request: Request, form: Form) -> Response:
    """Ask for a report by the form, where the page's script does not."""
    fields = {name: "".join(form.get(name, ())).strip() for name in ("start", "end", "store_ids")}
    asked = AskedForm(form.get("windows", ()), **fields)
    given: dict[str, object] = {name: fields[name] for name in ("start", "end") if fields[name]}
    if store_ids := fields["store_ids"].replace(",", " ").split():
        given["store_ids"] = store_ids
    try:
        report = AskedReport.model_validate(given | {"windows": asked.windows})
        state = ask_for_report(services, report, http_request_id=request.state.id)
    except ValidationError as error:
        detail = "; ".join(each["msg"].removeprefix("Value error, ") for each in error.errors())
        if not (asked.windows or asked.start or asked.end):
            detail = NOTHING_ASKED
        problem = ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, detail)
    except ProblemError as error:
        problem = error
    else:
        return RedirectResponse(f"./reports/{quote(state.report_id)}", HTTPStatus.SEE_OTHER)
    return _reports(services, request, asked=asked, problem=problem)


def _written(services: Services, state: ReportState | None) -> str | None:
    """The page that a report's run has written; None where there is none."""
    if state is None or state.status != COMPLETE or not is_report_id(str(state.run_id)):
        return None
    path = services.settings.reports_path / str(state.run_id) / PAGE
    return str(path.read_text("utf-8")) if path.is_file() else None


@router.get("/reports/{report_id}")
def report(services: Given, request: Request, report_id: ReportId) -> HTMLResponse:
    """A report's own page; until it is there, how far it is."""
    state = found(services, report_id)
    frame = _frame(services, request)
    written = _written(services, state)
    files = {}
    if state.status == COMPLETE:
        home = f"{frame.root}v1/reports/{quote(state.report_id)}"
        # older ones have no page
        names = [name for name in FILES if name != PAGE or written is not None]
        files = {name: f"{home}/{name}" for name in names}
    if written is not None:
        return page_response(shown_page(written, files=files, frame=frame))
    text = progress_page(
        _listed(state),
        goes_on=state.status in IN_PROGRESS,
        error=state.error,
        files=files,
        frame=frame,
    )
    return page_response(text)


@router.get("/fleet")
def fleet(services: Given, request: Request) -> HTMLResponse:
    """All stores: the newest report of all of them, and how the data is by now."""
    now = datetime.now(UTC)
    with services.database.read() as connection:
        state = newest_complete_report(connection)
        newest = newest_poll(connection, now)
        bad_rows = bad_rows_by_file(connection)
        history = fleet_history(connection, _TREND)
        stores = count_stores(connection)
        silent = 0 if newest is None else count_stores(connection, newest - SILENT_AFTER)
        failures = ingest_failures(connection)
    notices = data_now(now=now, newest_poll=newest, stores=stores, silent=silent, bad_rows=bad_rows)
    if failures is not None:
        notices.insert(0, ingest_failed(failures.runs, failures.since, failures.error))
    text = fleet_page(
        _written(services, state),
        None if state is None else state.report_id,
        notices,
        history,
        frame=_frame(services, request),
    )
    return page_response(text)


# Stores


@router.get("/stores")
def stores(
    services: Given,
    request: Request,
    q: Annotated[str, Query(max_length=200)] = "",
    after: Annotated[StoreId | None, Query()] = None,
) -> Response:
    """Find stores by a part of their id; one whose id it is, is shown at once."""
    asked, further = q.strip(), ""
    with services.database.read() as connection:
        found = search_stores(connection, asked, _FOUND + 1, after=after)
    if after is None and asked in (store_id for store_id, _ in found.stores):
        return RedirectResponse(f"./stores/{quote(asked, safe='')}", HTTPStatus.SEE_OTHER)
    shown = found.stores[:_FOUND]
    if len(found.stores) > _FOUND:
        further = urlencode({"q": asked, "after": shown[-1][0]})
    text = stores_page(
        shown, found=found.number, further=further, asked=asked, frame=_frame(services, request)
    )
    return page_response(text)


def _week(services: Services, store: StoreRecord) -> tuple[StoreWeek, OpeningHours]:
    """The last week of the data, for one store, and the opening hours that it follows."""
    now = datetime.now(UTC)
    with services.database.read() as connection:
        newest = newest_poll(connection, now)
        target = target_of(connection, store.store_id)
    if newest is None or store.first_poll_utc > newest:
        msg = f"store {store.store_id} was polled in the future only: look at its clock"
        raise ProblemError(HTTPStatus.NOT_FOUND, msg, kind="unknown-store")
    asked = resolve(AskedReport(), newest_poll=newest, now=now)
    start, end = map(pd.Timestamp, asked.span)
    known = read_store(services.database, store, start, end, asked.rules)
    stores = known.stores.assign(
        target_pct=services.settings.target_pct if target is None else target
    )
    opened = open_hours(stores, known.hours, start, end, asked.rules)
    intervals = status_intervals(stores, known.polls, opened, known.hours, start, end, asked.rules)
    results = store_results(stores, opened, intervals, asked)
    time = observe(stores, opened, intervals, asked)
    return StoreWeek(asked, time, results), known.hours


@router.get("/stores/{store_id}")
def store(services: Given, request: Request, store_id: StoreIdInPath) -> HTMLResponse:
    """A store: its last week, its outages, whether it gets better."""
    record = known_store(services, store_id)
    week, hours = _week(services, record)
    with services.database.read() as connection:
        history = store_history(connection, store_id, _TREND)
        alerts = list_alerts(connection, limit=_ALERTS, store_id=store_id)
    facts = StoreFacts(
        record.store_id,
        record.timezone,
        record.timezone_known,
        record.polls,
        record.first_poll_utc,
        record.last_poll_utc,
        hours,
        [
            ToldAlert(
                each.kind == DOWN,
                each.down_since,
                each.noticed_at,
                each.sent_at,
                each.attempts,
                each.last_error,
            )
            for each in alerts
        ],
    )
    return page_response(store_page(facts, week, history, frame=_frame(services, request)))


# The way in


@router.get("/login")
def login(services: Given) -> Response:
    """The form that takes a token."""
    if not services.settings.api_tokens:
        return RedirectResponse("./", HTTPStatus.SEE_OTHER)
    return page_response(login_page(way="./", leads_to="/"))


@router.post("/login")
def let_in(services: Given, request: Request, form: Form) -> Response:
    """Keep a token that is known as a cookie; or forget it, where the form says so."""
    if "leave" in form:
        gone = RedirectResponse("./login", HTTPStatus.SEE_OTHER)
        gone.delete_cookie(SESSION)
        return gone
    token = "".join(form.get("token", ())).strip().encode()
    leads_to = "".join(form.get("next", ()))
    if Tokens(services.settings.api_tokens).scope_of(token) is None:
        text = login_page(way="./", leads_to=leads_to, problem="This token is not known.")
        return page_response(text, HTTPStatus.UNAUTHORIZED)
    # behind the dot and the slash it is a path of this API, whatever it begins with
    answer = RedirectResponse(f"./{leads_to.lstrip('/')}", HTTPStatus.SEE_OTHER)
    answer.set_cookie(
        SESSION,
        session_of(token),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer
