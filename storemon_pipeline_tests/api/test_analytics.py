"""Histories, comparisons, downtime events and downtime by hour of the week."""

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
    """Store two reports older than the complete one."""
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
    """Store two reports of ranges with the same end."""
    database = Database(api_database.database_url)
    for report_id, hours in ((OF_A_DAY, 24), (OF_AN_HOUR, 1)):
        since = FIRST - timedelta(hours=hours)
        figures = {"NA": (HOUR, 0, 0)}
        kept(database, report_id, figures, as_of=FIRST, windows=(Window.RANGE,), since=since)
    database.close()


def get(api: Api, path: str, **query: Any) -> Any:
    response = api.http.get(path, params=query or None)
    assert response.status_code == 200, response.text
    return response.json()


def full_report(database: ApiDatabase) -> dict[str, dict[str, str]]:
    return {
        row["store_id"]: row
        for row in rows(database.reports_dir / database.complete / "report_full.csv")
    }


@pytest.mark.parametrize("store_id", ["NA", ODD_STORE])
def test_store_history_is_oldest_first(
    api: Api, api_database: ApiDatabase, reports: None, store_id: str
):
    body = get(api, f"/v1/stores/{store_id}/history", window="last_week")
    assert (body["store_id"], body["window"]) == (store_id, "last_week")
    assert [point["report_id"] for point in body["history"]] == [
        EARLIEST,
        EARLIER,
        api_database.complete,
    ]
    assert body["history"][0]["as_of"] == "2023-01-01T00:00:00Z"
    newest, full = body["history"][-1], full_report(api_database)[store_id]
    for figure in ("uptime", "downtime", "unobserved"):
        assert newest[f"{figure}_hours"] == float(full[f"{figure}_last_week"])
    assert newest["uptime_pct"] == float(full["uptime_pct_last_week"])


def test_fleet_history_combines_all_stores(api: Api, api_database: ApiDatabase, reports: None):
    body = get(api, "/v1/fleet/history")
    assert [point["uptime_pct"] for point in body["history"][:2]] == [66.67, 50.0]
    full = full_report(api_database).values()
    assert body["history"][-1]["uptime_hours"] == pytest.approx(
        sum(float(row["uptime_last_week"]) for row in full), abs=0.02
    )
    assert len(get(api, "/v1/fleet/history", limit=1)["history"]) == 1
    assert get(api, "/v1/fleet/history", window="last_calendar_month")["history"] == []


def test_comparison_lists_largest_decrease_first(api: Api, reports: None):
    body = get(api, f"/v1/reports/{EARLIEST}/compare/{EARLIER}", window="last_week")
    assert body["stores"] == [
        {"store_id": ODD_STORE, "uptime_pct_a": 100.0, "uptime_pct_b": 0.0, "change": -100.0},
        {"store_id": "NA", "uptime_pct_a": 50.0, "uptime_pct_b": 100.0, "change": 50.0},
        {"store_id": "gone", "uptime_pct_a": None, "uptime_pct_b": None, "change": None},
    ]
    assert (body["a"], body["b"], body["window"]) == (EARLIEST, EARLIER, "last_week")
    assert (body["as_of_a"], body["as_of_b"]) == ("2023-01-01T00:00:00Z", "2023-01-02T00:00:00Z")
    assert (body["start_a"], body["start_b"]) == (None, None)


def test_comparison_of_ranges_has_their_starts(api: Api, ranges: None):
    path = f"/v1/reports/{OF_A_DAY}/compare/{OF_AN_HOUR}"
    body = get(api, path, window="range")
    assert (body["start_a"], body["as_of_a"]) == ("2022-12-31T00:00:00Z", "2023-01-01T00:00:00Z")
    assert (body["start_b"], body["as_of_b"]) == ("2022-12-31T23:00:00Z", "2023-01-01T00:00:00Z")
    points = get(api, "/v1/fleet/history", window="range")["history"]
    assert [point["start"] for point in points] == [body["start_a"], body["start_b"]]


def test_comparison_is_available_as_csv(api: Api, reports: None):
    path = f"/v1/reports/{EARLIEST}/compare/{EARLIER}"
    response = api.http.get(f"{path}.csv")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/csv")
    assert "attachment" in response.headers["content-disposition"]
    assert list(csv.reader(io.StringIO(response.text))) == [
        ["store_id", "uptime_pct_a", "uptime_pct_b", "change"],
        [ODD_STORE, "100.00", "0.00", "-100.00"],
        ["NA", "50.00", "100.00", "50.00"],
        ["gone", "", "", ""],
    ]


def test_comparison_of_missing_window_lists_windows(
    api: Api, api_database: ApiDatabase, reports: None
):
    path = f"/v1/reports/{EARLIER}/compare/{api_database.complete}"
    body = problem(api.http.get(path, params={"window": "last_day"}), 409)
    assert f"{EARLIER} has no figures for last_day: it has last_week" in body["detail"]
    body = problem(api.http.get(path, params={"window": "fortnight"}), 422)
    assert "'last_calendar_week'" in body["detail"]


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
def test_unknown_report_or_store_is_404(api: Api, reports: None, path: str):
    problem(api.http.get(path), 404)


def expected_events(database: ApiDatabase) -> list[dict[str, str]]:
    return rows(database.reports_dir / database.complete / "downtime_events.csv")


def test_events_are_paginated(api: Api, api_database: ApiDatabase):
    expected = expected_events(api_database)
    assert len(expected) > 3
    pages, path = [], f"/v1/reports/{api_database.complete}/events?limit=3"
    while path:
        body = get(api, path)
        assert body["total"] == len(expected)
        assert len(body["events"]) <= 3
        pages += body["events"]
        path = body["next"]
    assert [
        {name: str(event[name]) for name in ("store_id", "start_utc", "start_local", "end_local")}
        for event in pages
    ] == [
        {name: event[name] for name in ("store_id", "start_utc", "start_local", "end_local")}
        for event in expected
    ]
    assert [event["minutes"] for event in pages] == [float(event["minutes"]) for event in expected]
    assert [event["ongoing"] for event in pages] == [
        event["ongoing"] == "true" for event in expected
    ]


def test_events_are_filtered_by_store_length_and_time(api: Api, api_database: ApiDatabase):
    expected = expected_events(api_database)
    path = f"/v1/reports/{api_database.complete}/events"

    def found(**query: Any) -> list[tuple[str, str]]:
        return [(e["store_id"], e["start_utc"]) for e in get(api, path, **query)["events"]]

    def keys(*matching: dict[str, str]) -> list[tuple[str, str]]:
        return [(event["store_id"], event["start_utc"]) for event in matching]

    store = expected[-1]["store_id"]
    assert found(store_id=store) == keys(*(e for e in expected if e["store_id"] == store))
    assert found(store_id="never-polled") == []
    longest = max(float(event["minutes"]) for event in expected)
    assert found(min_minutes=longest) == keys(
        *(e for e in expected if float(e["minutes"]) >= longest)
    )
    one = expected[0]
    # half-open: events that end at the start, or start at the end, are excluded
    assert found(start=one["end_utc"]) == keys(
        *(e for e in expected if e["end_utc"] > one["end_utc"])
    )
    assert found(end=one["start_utc"]) == keys(
        *(e for e in expected if e["start_utc"] < one["start_utc"])
    )
    assert found(store_id=one["store_id"], start=one["start_utc"], end=one["end_utc"]) == keys(one)
    ongoing = [e for e in expected if e["ongoing"] == "true"]
    assert ongoing
    assert found(ongoing=True) == keys(*ongoing)
    assert found(ongoing=False) == keys(*(e for e in expected if e not in ongoing))
    assert found(ongoing=True, store_id="never-polled") == []


def test_events_with_end_before_start_are_rejected(api: Api, api_database: ApiDatabase):
    path = f"/v1/reports/{api_database.complete}/events"
    query = {"start": "2023-01-24T12:00:00Z", "end": "2023-01-24T12:00:00Z"}
    body = problem(api.http.get(path, params=query), 422)
    assert "start (2023-01-24T12:00:00+00:00) must be before end" in body["detail"]


def test_events_next_link_keeps_filters(api: Api, api_database: ApiDatabase):
    store = expected_events(api_database)[0]["store_id"]
    path = f"/v1/reports/{api_database.complete}/events"
    query = {"store_id": store, "min_minutes": 0.5, "start": "2023-01-01T00:00:00+05:00"}
    query |= {"ongoing": "false"}
    every = get(api, path, **query)
    first = get(api, path, **query, limit=1)
    second = get(api, first["next"])
    assert first["events"] + second["events"] == every["events"][:2]
    assert every["total"] == second["total"]


def test_store_downtime_by_hour_matches_file(api: Api, api_database: ApiDatabase):
    expected = rows(api_database.reports_dir / api_database.complete / "downtime_by_hour.csv")
    for store_id in {row["store_id"] for row in expected}:
        body = get(api, f"/v1/stores/{store_id}/downtime_by_hour")
        assert body["report_id"] == api_database.complete
        assert body["timezone"] == full_report(api_database)[store_id]["timezone"]
        assert [tuple(hour.values()) for hour in body["hours"]] == [
            tuple(float(value) for name, value in row.items() if name != "store_id")
            for row in expected
            if row["store_id"] == store_id
        ]


def test_fleet_downtime_by_hour_sums_stores(api: Api, api_database: ApiDatabase):
    expected = rows(api_database.reports_dir / api_database.complete / "downtime_by_hour.csv")
    body = get(api, "/v1/fleet/downtime_by_hour")
    assert body["report_id"] == api_database.complete
    for hour in body["hours"]:
        of_hour = [
            row
            for row in expected
            if (int(row["day_of_week"]), int(row["hour"])) == (hour["day_of_week"], hour["hour"])
        ]
        open_minutes = sum(float(row["open_minutes"]) for row in of_hour)
        down = sum(float(row["downtime_minutes"]) for row in of_hour)
        assert hour["open_minutes"] == pytest.approx(open_minutes)
        assert hour["downtime_minutes"] == pytest.approx(down)
        assert hour["downtime_pct"] == pytest.approx(100 * down / open_minutes, abs=0.01)
    assert sum(hour["open_minutes"] for hour in body["hours"]) == pytest.approx(
        sum(float(row["open_minutes"]) for row in expected)
    )


def test_latest_figures_of_a_store_include_slo(api: Api, api_database: ApiDatabase):
    for store_id, row in full_report(api_database).items():
        figures = get(api, f"/v1/stores/{store_id}")["latest"]["figures"]
        assert list(figures) == [name for name in row if name != "store_id"]
        assert figures["target_pct"] == 99.0
        met = {"true": True, "false": False, "": None}[row["met_last_week"]]
        assert figures["met_last_week"] is met
        assert figures["outages_last_week"] == float(row["outages_last_week"])
