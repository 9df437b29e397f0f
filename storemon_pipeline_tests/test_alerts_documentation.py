"""The documentation of alerts: payloads, verification and retries."""

import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pandas as pd
import pytest
from standardwebhooks import WebhookVerificationError

from storemon_pipeline.clients.webhook import WebhookClient
from storemon_pipeline.defs.resources import StoremonResource
from storemon_pipeline.defs.sensors.outage_alerts import detect_alerts, detect_ingest_alert
from storemon_pipeline.settings import Settings
from storemon_pipeline.storage.alert_outbox import FIRST_DELAY, MAX_DELAY, retry_delay
from storemon_pipeline.storage.ingest_runs import finish_ingest_run, start_ingest_run
from storemon_pipeline.storage.poll_store import upsert_polls
from storemon_pipeline.uptime.messages import MAX_MESSAGE
from storemon_pipeline_tests.helpers.documentation import ALERTS, RULES, blocks, section
from storemon_pipeline_tests.helpers.runner import SAMPLE, run, table

SECRET, OTHER_SECRET = (f"whsec_{b64encode(key * 32).decode()}" for key in (b"a", b"b"))


@pytest.fixture
def payloads(isolated_environment: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Return the payloads of one store's alerts, in the sample and after a recovery."""
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
        upsert_polls(database.polls, connection, later)
    detect_alerts(database, first, after_minutes, no_data_after, now)
    rows = [row for row in table("alert") if row["store_id"] == down["store_id"]]
    return [row["payload"] for row in sorted(rows, key=lambda row: row["id"])]


def test_documented_alerts_are_those_of_the_sample(payloads: list[dict[str, Any]]) -> None:
    documented = [json.loads(line) for line in blocks(ALERTS, "json")[0].splitlines()]
    assert [list(alert) for alert in documented] == [list(payload) for payload in payloads]
    for alert, payload in zip(documented, payloads, strict=True):
        expected = {name: value for name, value in alert.items() if value != "…"}
        assert {name: payload[name] for name in expected} == expected


def test_documented_ingest_alerts_have_the_fields_sent(isolated_environment: Path) -> None:
    database, at = StoremonResource().database, datetime(2024, 11, 12, 18, 20, tzinfo=UTC)
    for number, error in enumerate(["no polls", None]):
        with database.registry_transaction() as connection:
            start_ingest_run(connection, str(number), {}, at)
            finish_ingest_run(connection, str(number), at + number * timedelta(0, 1), error=error)
        detect_ingest_alert(database, at)
    documented = [json.loads(line) for line in blocks(ALERTS, "json")[1].splitlines()]
    sent = [row["payload"] for row in table("alert")]
    assert [list(alert) for alert in documented] == [list(payload) for payload in sent]
    assert [alert["kind"] for alert in documented] == [payload["kind"] for payload in sent]
    assert {payload["failed_since"] for payload in sent} == {"2024-11-12T18:20:00Z"}
    assert documented[0]["failed_since"] == sent[0]["failed_since"]
    assert f"at most {MAX_MESSAGE:,} characters" in ALERTS


@pytest.fixture
def receive() -> Callable[[Mapping[str, str], bytes, str], Any]:
    """Return the documented receiver."""
    names: dict[str, Any] = {}
    (snippet,) = blocks(ALERTS, "python")
    exec(snippet, names)
    receiver: Callable[[Mapping[str, str], bytes, str], Any] = names["receive"]
    return receiver


def delivery(monkeypatch: pytest.MonkeyPatch, secret: str, at: datetime) -> httpx.Request:
    """Return the request that sends an alert at some time."""
    requests: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(204)

    client = WebhookClient("https://hooks.example", secret)
    monkeypatch.setattr(client, "_http", httpx.Client(transport=httpx.MockTransport(handle)))
    assert client.send("an-id", {"kind": "down"}, at).error is None
    client.close()
    return requests[0]


def test_documented_receiver_accepts_only_genuine_alerts(
    receive: Callable[[Mapping[str, str], bytes, str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    sent = delivery(monkeypatch, SECRET, now)
    headers = dict(sent.headers)
    assert receive(headers, sent.content, SECRET) == {"kind": "down"}
    replayed = delivery(monkeypatch, SECRET, now - timedelta(minutes=10))
    later = str(int(headers["webhook-timestamp"]) + 1)
    for forged_headers, body, secret in (
        (headers, sent.content + b" ", SECRET),
        (headers, sent.content, OTHER_SECRET),
        (headers | {"webhook-timestamp": later}, sent.content, SECRET),
        (headers | {"webhook-id": "another"}, sent.content, SECRET),
        (dict(replayed.headers), replayed.content, SECRET),
    ):
        with pytest.raises(WebhookVerificationError):
            receive(forged_headers, body, secret)


def test_retry_delays_are_the_documented_ones() -> None:
    assert timedelta(seconds=30) == FIRST_DELAY == retry_delay(1)
    assert retry_delay(3) == 2 * retry_delay(2) == 4 * retry_delay(1)
    assert timedelta(minutes=15) == MAX_DELAY
    assert "after 30 seconds, then with exponential back-off up to 15 minutes" in ALERTS


def test_alert_threshold_default_is_documented() -> None:
    assert Settings.model_fields["alert_after_minutes"].default == 60
    assert "has been down for an hour" in ALERTS
    assert "with 60, a store" in section(RULES, "Alerts")
