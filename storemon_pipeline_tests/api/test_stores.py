"""List of stores; opening hours, time zone and alerts of a store in the API and on its page."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import insert

from storemon_pipeline.storage.alert_outbox import (
    claim_next_alert,
    insert_alerts,
    mark_failed,
    mark_sent,
)
from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.poll_store import upsert_polls
from storemon_pipeline.storage.schema import service_level, special_hours, store_timezone
from storemon_pipeline.uptime.outage_alerts import Alert
from storemon_pipeline_tests.helpers.api_process import ODD_STORE, Api, ApiDatabase, problem

NOTICED = datetime(2023, 1, 25, 0, 31, tzinfo=UTC)
DOWN_SINCE = datetime(2023, 1, 24, 23, 30, tzinfo=UTC)
INVALID_ZONE = "has-a-zone-of-nowhere"
# weekly openings, and special dates
EVENINGS = [
    {"day_of_week": day, "start_time_local": "18:00:00", "end_time_local": "02:00:00"}
    for day in range(7)
]
SPECIAL = [
    {"date": "2022-12-25", "openings": []},
    {"date": "2023-01-20", "openings": []},
    {
        "date": "2023-02-14",
        "openings": [
            {"start_time_local": "10:00:00", "end_time_local": "14:00:00"},
            {"start_time_local": "17:00:00.5", "end_time_local": "01:00:00"},
        ],
    },
]


def rows_of(store_id: str) -> list[dict[str, str]]:
    return [
        {"store_id": store_id, "date": special["date"], **opening}
        for special in SPECIAL
        for opening in special["openings"] or [{"start_time_local": "", "end_time_local": ""}]
    ]


@pytest.fixture(scope="module", autouse=True)
def store_data(api_database: ApiDatabase) -> None:
    """Store special hours, a target and alerts of s1, and a store with an invalid time zone."""
    database = Database(api_database.database_url)
    poll = pd.DataFrame(
        {
            "store_id": [INVALID_ZONE],
            "timestamp_utc": [NOTICED - timedelta(days=1)],
            "status": "active",
        }
    ).astype({"timestamp_utc": "datetime64[us, UTC]"})
    with database.data_transaction() as connection:
        upsert_polls(database.polls, connection, poll)
        connection.execute(
            insert(store_timezone).values(store_id=INVALID_ZONE, timezone_str="No/Where")
        )
        connection.execute(insert(special_hours), rows_of("s1"))
        connection.execute(insert(service_level).values(store_id="s1", target_pct=100.0))
    with database.registry_transaction(lock="alerts") as connection:
        insert_alerts(
            connection,
            [
                Alert("first", "s1", "down", DOWN_SINCE, NOTICED, {}),
                Alert("second", ODD_STORE, "down", DOWN_SINCE, NOTICED, {}),
                Alert("third", "s1", "recovered", DOWN_SINCE, NOTICED, {}),
            ],
            NOTICED,
        )
        sent, failed = claim_next_alert(connection, NOTICED), claim_next_alert(connection, NOTICED)
        assert sent is not None
        assert failed is not None
        mark_sent(connection, sent, NOTICED + timedelta(seconds=2))
        mark_failed(connection, failed, "503 <b>Unavailable</b>")
    database.close()


def get(api: Api, path: str, **query: Any) -> Any:
    response = api.http.get(path, params=query or None)
    assert response.status_code == 200, response.text
    return response.json()


def page_of(api: Api, store_id: str) -> str:
    """Return the text of a store's page, with normalized spaces and dashes."""
    response = api.http.get(f"/stores/{store_id}")
    assert response.status_code == 200, response.text
    body = re.sub(r"<(style|script|title)>.*?</\1>", "", response.text, flags=re.DOTALL)
    text = re.sub(r"[\N{EN DASH}\N{MINUS SIGN}]", "-", re.sub(r"<[^>]+>", " ", body))
    return re.sub(r"\s+", " ", text)


def all_pages(api: Api, path: str, key: str) -> list[dict[str, Any]]:
    found = []
    while path:
        body = get(api, path)
        found += body[key]
        path = body["next"]
    return found


def test_pages_list_each_store_once(api: Api):
    whole = get(api, "/v1/stores")
    ids = ["NA", INVALID_ZONE, "s1", "s2", ODD_STORE]
    assert [store["store_id"] for store in whole["stores"]] == ids
    assert (whole["total"], whole["next"]) == (5, None)
    for limit in (1, 2, 4):
        assert all_pages(api, f"/v1/stores?limit={limit}", "stores") == whole["stores"]
    assert whole["stores"][0]["last_poll_utc"] == "2023-01-24T12:00:00Z"


def test_store_search_matches_html_page(api: Api):
    found = get(api, "/v1/stores", q="A", limit=2)
    # all contain it, none starts with it
    assert (found["total"], [store["store_id"] for store in found["stores"]]) == (
        3,
        ["NA", INVALID_ZONE],
    )
    assert [store["store_id"] for store in all_pages(api, "/v1/stores?q=A&limit=1", "stores")] == [
        "NA",
        INVALID_ZONE,
        ODD_STORE,
    ]
    assert get(api, "/v1/stores", q="never-polled") == {"total": 0, "stores": [], "next": None}
    shown = api.http.get("/stores", params={"q": "A"}).text
    assert re.findall(r'class="store"[^>]*>([^<]+)<', shown) == ["NA", INVALID_ZONE, ODD_STORE]


@pytest.mark.parametrize("query", [{"q": "%"}, {"q": "\0"}, {"cursor": "ImEgYiI"}, {"limit": 0}])
def test_invalid_search_is_rejected(api: Api, query: dict[str, Any]):
    problem(api.http.get("/v1/stores", params=query), 422)


def test_store_has_opening_hours_as_ingested(api: Api):
    body = get(api, "/v1/stores/s1")
    assert (body["opening_hours"], body["special_hours"]) == (EVENINGS, SPECIAL)
    assert get(api, "/v1/stores/NA")["opening_hours"] == []


def test_store_page_shows_effective_opening_hours(api: Api):
    shown = page_of(api, "s1")
    assert "Mon 18:00-02:00 (Tue) Tue 18:00-02:00 (Wed)" in shown
    assert "Sun 18:00-02:00 (Mon)" in shown
    # special dates of the displayed week and later
    special = "Fri 20 Jan 2023 closed Tue 14 Feb 2023 10:00-14:00, 17:00:00.5-01:00 (Wed)"
    assert f"Special dates {special}" in shown
    assert "25 Dec 2022" not in shown
    assert "Opening hours not provided: assumed always open" in page_of(api, "NA")


@pytest.mark.parametrize(
    ("store_id", "known"), [("s1", True), ("NA", False), (INVALID_ZONE, False), (ODD_STORE, False)]
)
def test_default_timezone_is_marked_as_assumed(api: Api, store_id: str, known: bool):
    body = get(api, f"/v1/stores/{store_id}")
    assert body["timezone_known"] is known
    assert (body["timezone"] == "America/Chicago") is not known
    assumed = "America/Chicago (assumed)"
    assert (assumed in page_of(api, store_id)) is not known


def test_counts_are_integers_and_other_figures_floats(api: Api):
    figures = get(api, "/v1/stores/s1")["latest"]["figures"]
    for name, value in figures.items():
        if name.startswith("outages_"):
            assert type(value) is int, name
        elif not isinstance(value, str | bool | None):
            assert type(value) is float, name


def test_store_page_shows_slo_of_every_window(api: Api):
    figures = get(api, "/v1/stores/s2")["latest"]["figures"]
    shown = page_of(api, "s2")
    rows = shown.partition("MTBF Longest outage")[2].partition("Downtime, %")[0]
    # last hour: 60 minutes of downtime, 36 seconds of error budget
    assert figures["downtime_last_hour"] == 60.0
    assert "Last hour Missed 36 s -59 min 1 - 0 min 1 h Last day Missed 5.4 min" in rows
    assert rows.split("Last week Missed ")[1].startswith("35 min -")
    assert f"{figures['outages_last_week']} in total" in shown


def test_store_with_100_percent_target_has_no_budget(api: Api):
    # SLO target of 100 %
    assert "19.8 h down; no error budget" in page_of(api, "s1")


ALERT = {
    "alert_id": "third",
    "kind": "recovered",
    "store_id": "s1",
    "down_since": "2023-01-24T23:30:00Z",
    "as_of": "2023-01-25T00:31:00Z",
    "noticed_at": "2023-01-25T00:31:00Z",
    "sent_at": None,
    "attempts": 0,
    "last_error": None,
}


def test_alerts_are_newest_first_with_delivery_state(api: Api):
    body = get(api, "/v1/alerts")
    assert body["next"] is None
    assert [alert["alert_id"] for alert in body["alerts"]] == ["third", "second", "first"]
    assert body["alerts"][0] == ALERT
    failed, sent = body["alerts"][1:]
    assert (failed["attempts"], failed["last_error"]) == (1, "503 <b>Unavailable</b>")
    assert (sent["attempts"], sent["sent_at"]) == (1, "2023-01-25T00:31:02Z")
    assert all_pages(api, "/v1/alerts?limit=1", "alerts") == body["alerts"]


def test_alerts_are_filtered_by_store(api: Api):
    body = get(api, "/v1/alerts", store_id="s1", limit=1)
    assert [alert["alert_id"] for alert in body["alerts"]] == ["third"]
    assert "store_id=s1" in body["next"]
    assert [alert["alert_id"] for alert in get(api, body["next"])["alerts"]] == ["first"]
    assert get(api, "/v1/alerts", store_id="NA") == {"alerts": [], "next": None}
    problem(api.http.get("/v1/alerts", params={"store_id": "a b"}), 422)
    problem(api.http.get("/v1/alerts", params={"cursor": "MA"}), 422)


def test_store_page_shows_latest_alerts(api: Api):
    # s1 is in Los Angeles; the other store uses the default time zone
    detected = "local time, detected 25 Jan 2023 00:31 UTC"
    shown = page_of(api, "s1")
    assert f"Recovered down since Tue 24 Jan 15:30 {detected}, not sent yet" in shown
    assert f"Down since Tue 24 Jan 15:30 {detected}, sent 25 Jan 2023 00:31 UTC" in shown
    shown = page_of(api, ODD_STORE)
    assert (
        f"since Tue 24 Jan 17:30 {detected}, not delivered after 1 attempt: 503 &lt;b&gt;" in shown
    )
    assert "Latest alerts" not in page_of(api, "s2")


def test_store_timestamps_are_iso_8601_with_z(api: Api):
    body = api.http.get(f"/v1/stores/{ODD_STORE}").json()
    assert body["data_available_from"] == "2023-01-24T11:00:00Z"
    assert body["data_available_until"] == "2023-01-24T12:00:00Z"
