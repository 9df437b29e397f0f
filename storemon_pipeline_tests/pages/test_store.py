"""The page of a store: current status and error budget."""

import itertools
from datetime import UTC, datetime, timedelta

import pandas as pd

from storemon_pipeline.pages.rendering import PageContext
from storemon_pipeline.pages.store import StoreView, StoreWeek, store_page
from storemon_pipeline.uptime.evaluate import observe_tables, store_results
from storemon_pipeline.uptime.opening_hours import OpeningHours, open_hours
from storemon_pipeline.uptime.report_request import ReportSpec, resolve_spec
from storemon_pipeline_tests.helpers.pages import NO_HISTORY, hours_of, text_of

AS_OF = datetime(2023, 1, 25, 18, tzinfo=UTC)
NOTHING = hours_of()
ALWAYS_OPEN = OpeningHours(
    *(table.assign(store_id=pd.Series(dtype="str")) for table in (NOTHING.weekly, NOTHING.special))
)


def page_of(
    *down: tuple[datetime, datetime],
    target_pct: float = 99.0,
    now: str | None = None,
    first_poll: datetime = AS_OF - timedelta(days=37),
) -> str:
    """Return the page text of a store that is always open, and down at these times.

    `now` is its status at as_of itself, where it differs from the status before.
    """
    request = resolve_spec(ReportSpec(), newest_poll=AS_OF, now=AS_OF)
    start, end = request.span
    stores = pd.DataFrame(
        {
            "store_id": pd.Series(["s"], dtype="str"),
            "timezone": ["UTC"],
            "first_poll_utc": pd.Series([first_poll]).astype("datetime64[us, UTC]"),
            "last_poll_utc": pd.Series([end]).astype("datetime64[us, UTC]"),
            "target_pct": [target_pct],
        }
    )
    edges = [start, *itertools.chain.from_iterable(down), end]
    pieces = [
        (since, until, "inactive" if number % 2 else "active")
        for number, (since, until) in enumerate(itertools.pairwise(edges))
        if since < until
    ]
    status = pd.DataFrame(pieces, columns=["start_utc", "end_utc", "status"])
    status = status.astype(dict.fromkeys(("start_utc", "end_utc"), "datetime64[us, UTC]"))
    status.insert(0, "store_id", "s")
    opened = open_hours(stores, ALWAYS_OPEN, pd.Timestamp(start), pd.Timestamp(end), request.rules)
    current = pd.DataFrame(
        {
            "store_id": ["s"],
            "status": [now or ("down" if pieces[-1][2] == "inactive" else "up")],
            "poll_utc": pd.Series([end]).astype("datetime64[us, UTC]"),
        }
    )
    week = StoreWeek(
        request,
        observe_tables(stores, opened, status, request),
        store_results(stores, opened, status, current, request),
    )
    facts = StoreView("s", "UTC", True, 99, first_poll, end, ALWAYS_OPEN, alerts=())  # noqa: FBT003
    return text_of(store_page(facts, week, NO_HISTORY, frame=PageContext("./")))


def test_store_down_all_week_is_down_since_before():
    week = timedelta(days=7)
    text = page_of((AS_OF - week, AS_OF))
    assert "Down since before Wed 18 Jan 18:00 local time, for over 7 d of open time" in text


def test_store_down_shows_the_start_of_the_outage():
    text = page_of((AS_OF - timedelta(hours=30), AS_OF))
    assert "Down since Tue 24 Jan 12:00 local time, for 1 d 6 h of open time" in text


def test_store_with_down_poll_at_as_of_is_down():
    text = page_of(now="down")
    assert "Down since Wed 25 Jan 18:00 local time, for under 1 min of open time" in text


def test_store_with_up_poll_at_as_of_has_recovered():
    text = page_of((AS_OF - timedelta(hours=1), AS_OF), now="up")
    assert "Up since Wed 25 Jan 18:00 local time, as of" in text
    # the last outage is over
    assert "Ongoing" not in text


def test_store_closing_at_as_of_is_closed():
    text = page_of((AS_OF - timedelta(hours=1), AS_OF), now="closed")
    assert "Closed since Wed 25 Jan 18:00 local time, as of" in text
    assert "Ongoing" not in text


def test_store_without_a_recent_poll_has_no_data():
    text = page_of((AS_OF - timedelta(hours=9), AS_OF), now="no data")
    assert (
        "No data open, but the latest poll in open time is too old to determine the status" in text
    )
    assert "Ongoing" in text


def test_store_first_polled_in_the_week_says_so():
    text = page_of(first_poll=AS_OF - timedelta(minutes=30))
    assert "First polled 25 Jan 2023 17:30 UTC" in text
    assert "First polled" not in page_of()


def test_small_error_budget_is_shown_in_seconds():
    # 0.01 % of a week is a minute and half a second
    seconds = timedelta(seconds=1)
    start = AS_OF - timedelta(hours=30)
    text = page_of((start, start + 12 * seconds), target_pct=99.99)
    assert "Met 48 s of 1 min error budget left" in text
    over = page_of((start, start + 75 * seconds), target_pct=99.99)
    assert "Missed over budget by 15 s (error budget 1 min)" in over
    never = page_of((start, start + 12 * seconds), target_pct=100)
    assert "Missed 12 s down; no error budget" in never
