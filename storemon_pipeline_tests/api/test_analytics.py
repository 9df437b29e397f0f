"""Histories, comparisons, outages and hours of the week over the API."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from storemon_pipeline.storage.database import Database
from storemon_pipeline.uptime.windows import Window
from storemon_pipeline_tests.helpers.api_process import ODD_STORE, Api, ApiDatabase, problem
from storemon_pipeline_tests.helpers.report_history import HOUR, kept
from storemon_pipeline_tests.helpers.runner import rows

FIRST = datetime(2023, 1, 1, tzinfo=UTC)
OF_A_DAY, OF_AN_HOUR = "22222222-cccc", "33333333-dddd"
EARLIER, EARLIEST = "11111111-aaaa", "00000000-bbbb"


@pytest.fixture(scope="module")
def reports(api_database: ApiDatabase, api: Api) -> None:
    """Two reports from before the one that a run has made."""
    database = Database(api_database.database_url)
    kept(database, EARLIEST, {"NA": (HOUR, HOUR, 0), ODD_STORE: (HOUR, 0, 0)}, as_of=FIRST)
    kept(
        database,
        EARLIER,
        {"NA": (HOUR, 0, 0), "gone": (0, 0, HOUR), ODD_STORE: (0, HOUR, 0)},
        as_of=FIRST + timedelta(days=1),
    )
    database.close()


@pytest.fixture(scope="module")
def ranges(api_database: ApiDatabase, api: Api) -> None:
    """Two reports of ranges that end together."""
    database = Database(api_database.database_url)
    for report_id, hours in ((OF_A_DAY, 24), (OF_AN_HOUR, 1)):
        since = FIRST - timedelta(hours=hours)
        figures = {"NA": (HOUR, 0, 0)}
        kept(database, report_id, figures, as_of=FIRST, windows=(Window.RANGE,), since=since)
    database.close()


def get(api: Api, path: str, **query: Any) -> Any:
    answer = api.http.get(path, params=query or None)
    assert answer.status_code == 200, answer.text
    return answer.json()


def full_report(place: ApiDatabase) -> dict[str, dict[str, str]]:
    return {
        row["store_id"]: row for row in rows(place.reports_dir / place.complete / "report_full.csv")
    }


@pytest.mark.parametrize("store_id", ["NA", ODD_STORE])
def test_a_store_has_its_history_oldest_first(
    api: Api, api_database: ApiDatabase, reports: None, store_id: str
):
    told = get(api, f"/v1/stores/{store_id}/history", window="last_week")
    assert (told["store_id"], told["window"]) == (store_id, "last_week")
    assert [point["report_id"] for point in told["history"]] == [
        EARLIEST,
        EARLIER,
        api_database.complete,
    ]
    assert told["history"][0]["as_of"] == "2023-01-01T00:00:00Z"
    newest, full = told["history"][-1], full_report(api_database)[store_id]
    for figure in ("uptime", "downtime", "unobserved"):
        assert newest[f"{figure}_hours"] == float(full[f"{figure}_last_week"])
    assert newest["uptime_pct"] == float(full["uptime_pct_last_week"])


def test_the_fleet_has_its_history(api: Api, api_database: ApiDatabase, reports: None):
    told = get(api, "/v1/fleet/history")
    assert [point["uptime_pct"] for point in told["history"][:2]] == [66.67, 50.0]
    full = full_report(api_database).values()
    assert told["history"][-1]["uptime_hours"] == pytest.approx(
        sum(float(row["uptime_last_week"]) for row in full), abs=0.02
    )
    assert len(get(api, "/v1/fleet/history", limit=1)["history"]) == 1
    assert get(api, "/v1/fleet/history", window="last_calendar_month")["history"] == []


def test_reports_are_compared_the_worst_first(api: Api, reports: None):
    told = get(api, f"/v1/reports/{EARLIEST}/compare/{EARLIER}", window="last_week")
    assert told["stores"] == [
        {"store_id": ODD_STORE, "uptime_pct_a": 100.0, "uptime_pct_b": 0.0, "change": -100.0},
        {"store_id": "NA", "uptime_pct_a": 50.0, "uptime_pct_b": 100.0, "change": 50.0},
        {"store_id": "gone", "uptime_pct_a": None, "uptime_pct_b": None, "change": None},
    ]
    assert (told["a"], told["b"], told["window"]) == (EARLIEST, EARLIER, "last_week")
    assert (told["as_of_a"], told["as_of_b"]) == ("2023-01-01T00:00:00Z", "2023-01-02T00:00:00Z")
    assert (told["start_a"], told["start_b"]) == (None, None)


def test_two_ranges_are_compared_with_their_beginnings(api: Api, ranges: None):
    path = f"/v1/reports/{OF_A_DAY}/compare/{OF_AN_HOUR}"
    told = get(api, path, window="range")
    assert (told["start_a"], told["as_of_a"]) == ("2022-12-31T00:00:00Z", "2023-01-01T00:00:00Z")
    assert (told["start_b"], told["as_of_b"]) == ("2022-12-31T23:00:00Z", "2023-01-01T00:00:00Z")
    points = get(api, "/v1/fleet/history", window="range")["history"]
    assert [point["start"] for point in points] == [told["start_a"], told["start_b"]]


def test_a_comparison_is_csv_where_it_is_asked_for(api: Api, reports: None):
    path = f"/v1/reports/{EARLIEST}/compare/{EARLIER}"
    by_name = api.http.get(f"{path}.csv")
    by_header = api.http.get(path, headers={"Accept": "text/csv"})
    for answer in (by_name, by_header):
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/csv")
        assert "attachment" in answer.headers["content-disposition"]
    assert by_name.text == by_header.text
    rather_json = {"Accept": "text/csv;q=0.1, application/json"}
    assert api.http.get(path, headers=rather_json).json()["a"] == EARLIEST
    assert list(csv.reader(io.StringIO(by_name.text))) == [
        ["store_id", "uptime_pct_a", "uptime_pct_b", "change"],
        [ODD_STORE, "100.00", "0.00", "-100.00"],
        ["NA", "50.00", "100.00", "50.00"],
        ["gone", "", "", ""],
    ]


def test_a_window_that_a_report_does_not_have_is_told_with_those_it_has(
    api: Api, api_database: ApiDatabase, reports: None
):
    path = f"/v1/reports/{EARLIER}/compare/{api_database.complete}"
    told = problem(api.http.get(path, params={"window": "last_day"}), 409)
    assert f"{EARLIER} has no figures of last_day: it has last_week" in told["detail"]
    told = problem(api.http.get(path, params={"window": "fortnight"}), 422)
    assert "'last_calendar_week'" in told["detail"]


@pytest.mark.parametrize(
    "path",
    [
        f"/v1/reports/{EARLIER}/compare/unknown",
        f"/v1/reports/unknown/compare/{EARLIER}.csv",
        "/v1/reports/unknown/events",
        "/v1/stores/unknown/history",
        "/v1/stores/unknown/downtime_by_hour",
        f"/v1/reports/{EARLIER}/events",
    ],
)
def test_what_is_not_there_is_a_problem(api: Api, reports: None, path: str):
    problem(api.http.get(path), 404)


def expected_events(place: ApiDatabase) -> list[dict[str, str]]:
    return rows(place.reports_dir / place.complete / "downtime_events.csv")


def test_events_are_paged(api: Api, api_database: ApiDatabase):
    written = expected_events(api_database)
    assert len(written) > 3
    pages, path = [], f"/v1/reports/{api_database.complete}/events?limit=3"
    while path:
        told = get(api, path)
        assert told["total"] == len(written)
        assert len(told["events"]) <= 3
        pages += told["events"]
        path = told["next"]
    assert [
        {name: str(event[name]) for name in ("store_id", "start_utc", "start_local", "end_local")}
        for event in pages
    ] == [
        {name: event[name] for name in ("store_id", "start_utc", "start_local", "end_local")}
        for event in written
    ]
    assert [event["minutes"] for event in pages] == [float(event["minutes"]) for event in written]
    assert [event["ongoing"] for event in pages] == [
        event["ongoing"] == "true" for event in written
    ]


def test_events_are_found_by_store_length_and_time(api: Api, api_database: ApiDatabase):
    written = expected_events(api_database)
    path = f"/v1/reports/{api_database.complete}/events"

    def found(**query: Any) -> list[tuple[str, str]]:
        return [(e["store_id"], e["start_utc"]) for e in get(api, path, **query)["events"]]

    def those(*fit: dict[str, str]) -> list[tuple[str, str]]:
        return [(event["store_id"], event["start_utc"]) for event in fit]

    store = written[-1]["store_id"]
    assert found(store_id=store) == those(*(e for e in written if e["store_id"] == store))
    assert found(store_id="never-polled") == []
    longest = max(float(event["minutes"]) for event in written)
    assert found(min_minutes=longest) == those(
        *(e for e in written if float(e["minutes"]) >= longest)
    )
    one = written[0]
    # half-open: what ends at the start, or begins at the end, is not within
    assert found(start=one["end_utc"]) == those(
        *(e for e in written if e["end_utc"] > one["end_utc"])
    )
    assert found(end=one["start_utc"]) == those(
        *(e for e in written if e["start_utc"] < one["start_utc"])
    )
    assert found(store_id=one["store_id"], start=one["start_utc"], end=one["end_utc"]) == those(one)
    ongoing = [e for e in written if e["ongoing"] == "true"]
    assert ongoing
    assert found(ongoing=True) == those(*ongoing)
    assert found(ongoing=False) == those(*(e for e in written if e not in ongoing))
    assert found(ongoing=True, store_id="never-polled") == []


def test_events_of_a_time_that_ends_before_it_begins_are_refused(
    api: Api, api_database: ApiDatabase
):
    path = f"/v1/reports/{api_database.complete}/events"
    asked = {"start": "2023-01-24T12:00:00Z", "end": "2023-01-24T12:00:00Z"}
    told = problem(api.http.get(path, params=asked), 422)
    assert "start (2023-01-24T12:00:00+00:00) must be before end" in told["detail"]


def test_a_filter_goes_with_the_link_to_the_next_page(api: Api, api_database: ApiDatabase):
    store = expected_events(api_database)[0]["store_id"]
    path = f"/v1/reports/{api_database.complete}/events"
    asked = {"store_id": store, "min_minutes": 0.5, "start": "2023-01-01T00:00:00+05:00"}
    asked |= {"ongoing": "false"}
    every = get(api, path, **asked)
    first = get(api, path, **asked, limit=1)
    second = get(api, first["next"])
    assert first["events"] + second["events"] == every["events"][:2]
    assert every["total"] == second["total"]


def test_a_store_tells_at_which_hours_it_is_down(api: Api, api_database: ApiDatabase):
    written = rows(api_database.reports_dir / api_database.complete / "downtime_by_hour.csv")
    for store_id in {row["store_id"] for row in written}:
        told = get(api, f"/v1/stores/{store_id}/downtime_by_hour")
        assert told["report_id"] == api_database.complete
        assert told["timezone"] == full_report(api_database)[store_id]["timezone"]
        assert [tuple(hour.values()) for hour in told["hours"]] == [
            tuple(float(value) for name, value in row.items() if name != "store_id")
            for row in written
            if row["store_id"] == store_id
        ]


def test_the_fleet_tells_at_which_hours_stores_are_down(api: Api, api_database: ApiDatabase):
    written = rows(api_database.reports_dir / api_database.complete / "downtime_by_hour.csv")
    told = get(api, "/v1/fleet/downtime_by_hour")
    assert told["report_id"] == api_database.complete
    for hour in told["hours"]:
        of_hour = [
            row
            for row in written
            if (int(row["day_of_week"]), int(row["hour"])) == (hour["day_of_week"], hour["hour"])
        ]
        opened = sum(float(row["open_minutes"]) for row in of_hour)
        down = sum(float(row["downtime_minutes"]) for row in of_hour)
        assert hour["open_minutes"] == pytest.approx(opened)
        assert hour["downtime_minutes"] == pytest.approx(down)
        assert hour["downtime_pct"] == pytest.approx(100 * down / opened, abs=0.01)
    assert sum(hour["open_minutes"] for hour in told["hours"]) == pytest.approx(
        sum(float(row["open_minutes"]) for row in written)
    )


def test_the_newest_figures_of_a_store_have_its_service_levels(api: Api, api_database: ApiDatabase):
    for store_id, row in full_report(api_database).items():
        figures = get(api, f"/v1/stores/{store_id}")["latest"]["figures"]
        assert list(figures) == [name for name in row if name != "store_id"]
        assert figures["target_pct"] == 99.0
        met = {"true": True, "false": False, "": None}[row["met_last_week"]]
        assert figures["met_last_week"] is met
        assert figures["outages_last_week"] == float(row["outages_last_week"])
