"""What the README says of alerts is so: what is sent, how it is verified, when it is sent again."""

import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from storemon_pipeline.clients.webhook import signature
from storemon_pipeline.defs.resources import StoremonResource
from storemon_pipeline.defs.sensors.outage_alerts import detect_alerts, detect_ingest_alert
from storemon_pipeline.settings import Settings
from storemon_pipeline.storage.alert_outbox import FIRST_DELAY, MAX_DELAY, retry_delay
from storemon_pipeline.storage.ingest_runs import finish_ingest_run, start_ingest_run
from storemon_pipeline.storage.polls import upsert_polls
from storemon_pipeline.uptime.messages import MAX_MESSAGE
from storemon_pipeline_tests.helpers.documentation import README, RULES, blocks, section
from storemon_pipeline_tests.helpers.runner import SAMPLE, run, table

SECRET = "known to both, of some length"
ALERTS = section(README, "Alerts")


@pytest.fixture
def payloads(isolated_environment: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What is noticed of the sample, and three quarters of an hour later."""
    monkeypatch.setenv("STOREMON_DATA_DIR", str(SAMPLE))
    with dg.DagsterInstance.ephemeral() as instance:
        assert run(instance, "ingest_job").success
    database, now = StoremonResource().database, datetime.now(UTC)
    after_minutes, no_data_after = Settings().alert_after_minutes, Settings().no_data_after
    first = detect_alerts(database, None, after_minutes, no_data_after, now)
    down, recovered = map(json.loads, blocks(ALERTS, "json")[0].splitlines())
    later = pd.DataFrame(
        {
            "store_id": [recovered["store_id"], "1267873068966844821"],
            "timestamp_utc": pd.to_datetime([recovered["up_since"], recovered["as_of"]]).astype(
                "datetime64[us, UTC]"
            ),
            "status": "active",
        }
    )
    with database.data_transaction() as connection:
        upsert_polls(connection, later)
    detect_alerts(database, first, after_minutes, no_data_after, now)
    rows = [row for row in table("alert") if row["store_id"] == down["store_id"]]
    return [row["payload"] for row in sorted(rows, key=lambda row: row["id"])]


def test_what_is_shown_is_what_the_sample_gives(payloads: list[dict[str, Any]]) -> None:
    shown = [json.loads(line) for line in blocks(ALERTS, "json")[0].splitlines()]
    assert [list(each) for each in shown] == [list(each) for each in payloads]
    for told, payload in zip(shown, payloads, strict=True):
        same = {name: value for name, value in payload.items() if told[name] != "…"}
        assert same == {name: value for name, value in told.items() if value != "…"}


def test_documented_ingest_alerts_have_the_fields_sent(isolated_environment: Path) -> None:
    database, at = StoremonResource().database, datetime(2024, 11, 12, 18, 20, tzinfo=UTC)
    for number, error in enumerate(["no polls", None]):
        with database.registry_transaction() as connection:
            start_ingest_run(connection, str(number), {}, at)
            finish_ingest_run(connection, str(number), at + number * timedelta(0, 1), error=error)
        detect_ingest_alert(database, at)
    shown = [json.loads(line) for line in blocks(ALERTS, "json")[1].splitlines()]
    sent = [row["payload"] for row in table("alert")]
    assert [list(each) for each in shown] == [list(each) for each in sent]
    assert [each["kind"] for each in shown] == [each["kind"] for each in sent]
    assert {each["failed_since"] for each in sent} == {"2024-11-12T18:20:00Z"}
    assert shown[0]["failed_since"] == sent[0]["failed_since"]
    assert f"at most {MAX_MESSAGE:,} characters" in ALERTS


@pytest.fixture
def is_genuine() -> Callable[[Mapping[str, str], bytes, str], bool]:
    names: dict[str, Any] = {}
    (snippet,) = blocks(ALERTS, "python")
    exec(snippet, names)
    checks: Callable[[Mapping[str, str], bytes, str], bool] = names["is_genuine"]
    return checks


def test_the_receiver_of_the_example_believes_us_and_nobody_else(
    is_genuine: Callable[[Mapping[str, str], bytes, str], bool],
) -> None:
    def headers(at: float) -> dict[str, str]:
        told = str(int(at))
        return {"X-Storemon-Timestamp": told, "X-Storemon-Signature": signature(SECRET, told, b"1")}

    now = time.time()
    assert is_genuine(headers(now), b"1", SECRET)
    assert not is_genuine(headers(now), b"2", SECRET)
    assert not is_genuine(headers(now), b"1", "another")
    assert not is_genuine(headers(now - 600), b"1", SECRET)
    assert not is_genuine(headers(now) | {"X-Storemon-Timestamp": str(int(now) + 1)}, b"1", SECRET)


def test_alerts_are_sent_again_when_it_says() -> None:
    assert timedelta(seconds=30) == FIRST_DELAY == retry_delay(1)
    assert retry_delay(3) == 2 * retry_delay(2) == 4 * retry_delay(1)
    assert timedelta(minutes=15) == MAX_DELAY
    assert "after 30 seconds, then after twice as long each time, up to every 15 minutes" in (
        ALERTS.replace("\n", " ")
    )


def test_an_hour_is_the_default() -> None:
    assert Settings.model_fields["alert_after_minutes"].default == 60
    assert "has been down for an hour" in ALERTS
    assert "with 60, a store" in section(RULES, "Alerts")
