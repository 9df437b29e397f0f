"""outage_alert_sensor delivers each alert to a real webhook once, despite failures."""

import json
import logging
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import dagster as dg
import httpx
import pandas as pd
import pytest
from sqlalchemy import RowMapping
from standardwebhooks import Webhook, WebhookVerificationError, webhooks

from storemon_pipeline.clients import webhook
from storemon_pipeline.defs.resources import StoremonResource
from storemon_pipeline.defs.sensors import outage_alerts
from storemon_pipeline.evaluation.kept_states import EvaluatedStates
from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.ingest_log import IngestRecord, record_file
from storemon_pipeline.storage.ingest_runs import finish_ingest_run, start_ingest_run
from storemon_pipeline.storage.poll_store import upsert_polls
from storemon_pipeline.storage.reference_data import replace_snapshot
from storemon_pipeline.storage.schema import business_hours, store_timezone
from storemon_pipeline_tests.helpers.runner import table

SECRET = "whsec_" + b64encode(b"known to both, of 32 characters.").decode()
DAY = "2023-01-25"  # a Wednesday
FIRST_TICK = datetime(2023, 1, 30, tzinfo=UTC)


@dataclass
class Receiver:
    """A webhook: an HTTP server that records requests and sends configured responses."""

    server: ThreadingHTTPServer
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    rejected: set[str] = field(default_factory=set)
    delay_seconds: float = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/hook/so-secret"

    @property
    def alerts(self) -> list[tuple[str, str]]:
        """Store and kind of each alert received."""
        payloads = [json.loads(body) for _, body in self.requests]
        return [(payload["store_id"], payload["kind"]) for payload in payloads]

    @property
    def bodies(self) -> list[bytes]:
        return [body for _, body in self.requests]

    @property
    def ids(self) -> list[str]:
        return [headers["idempotency-key"] for headers, _ in self.requests]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.requests.append(({k.lower(): v for k, v in self.headers.items()}, body))
            time.sleep(receiver.delay_seconds)
            status = receiver.statuses.pop(0) if receiver.statuses else 204
            self.send_response(
                400 if json.loads(body).get("store_id") in receiver.rejected else status
            )
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    receiver = Receiver(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
    threading.Thread(target=receiver.server.serve_forever, args=(0.02,), daemon=True).start()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


@dataclass
class Sensor:
    """The evaluation of the sensor, with a clock that the test controls."""

    now: datetime = FIRST_TICK
    cursor: str | None = None

    def tick(self) -> str:
        """Evaluate once; return the summary."""
        # as in the daemon, a failed tick leaves the cursor unchanged
        self.cursor, summary = outage_alerts.evaluate_alerts(
            StoremonResource(), self.cursor, logging.getLogger("sensor"), lambda: self.now
        )
        return summary

    def later(self, **passed: float) -> str:
        """Evaluate once after some time."""
        self.now += timedelta(**passed)
        return self.tick()


@pytest.fixture
def sensor(
    isolated_environment: Path,
    receiver: Receiver,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Sensor:
    """The sensor, a webhook, and two stores in UTC: `day` is open 9 to 17, `always` always."""
    monkeypatch.setenv("STOREMON_DATABASE_URL", database_url)
    monkeypatch.setenv("STOREMON_ALERT_WEBHOOK_URL", receiver.url)
    monkeypatch.setenv("STOREMON_ALERT_SECRET", SECRET)
    sensor = Sensor()

    hours = [
        {
            "store_id": "day",
            "day_of_week": day,
            "start_time_local": "09:00:00",
            "end_time_local": "17:00:00",
        }
        for day in range(7)
    ]
    with StoremonResource().database.data_transaction() as connection:
        replace_snapshot(connection, business_hours, pd.DataFrame(hours))
        zones = {"store_id": ["day", "always"], "timezone_str": ["UTC", "UTC"]}
        replace_snapshot(connection, store_timezone, pd.DataFrame(zones))
    return sensor


def poll(*polls: str, day: str = DAY) -> None:
    """Ingest polls such as `day 10:00 inactive`."""
    rows = [text.split() for text in polls]
    frame = pd.DataFrame(
        {
            "store_id": pd.Series([row[0] for row in rows], dtype="str"),
            "timestamp_utc": pd.to_datetime([f"{day}T{row[1]}Z" for row in rows]).astype(
                "datetime64[us, UTC]"
            ),
            "status": pd.Series([row[2] for row in rows], dtype="str"),
        }
    )
    database = StoremonResource().database
    with database.data_transaction() as connection:
        upsert_polls(database.polls, connection, frame)
        read = IngestRecord("store_status.csv", "store_status", "", 1, 1, 1, len(rows), 0)
        record_file(connection, read, ingested_at=datetime.now(UTC), run_id="")


def alert_rows() -> list[RowMapping]:
    return sorted(table("alert"), key=lambda row: row["id"])


# Outages


def test_outage_and_recovery_are_alerted_once(sensor: Sensor, receiver: Receiver) -> None:
    poll("always 10:00 active", "day 10:00 active")
    assert sensor.tick() == "0 alerts sent, 0 pending"
    poll("always 10:30 inactive", "day 11:00 active")
    assert sensor.tick() == "0 alerts sent, 0 pending"
    poll("always 11:30 inactive")
    assert sensor.tick() == "1 alert sent, 0 pending"
    poll("always 12:30 inactive", "day 12:30 active")
    assert sensor.tick() == "0 alerts sent, 0 pending"
    assert receiver.alerts == [("always", "down")]
    poll("always 12:45 active")
    assert sensor.tick() == "1 alert sent, 0 pending"
    poll("always 13:30 active")
    sensor.later(days=1)
    assert receiver.alerts == [("always", "down"), ("always", "recovered")]
    assert [json.loads(body) for _, body in receiver.requests] == [
        {
            "alert_id": receiver.ids[0],
            "kind": "down",
            "store_id": "always",
            "timezone": "UTC",
            "down_since": "2023-01-25T10:30:00Z",
            "down_minutes": 60.0,
            "last_poll": "2023-01-25T11:30:00Z",
            "as_of": "2023-01-25T11:30:00Z",
        },
        {
            "alert_id": receiver.ids[1],
            "kind": "recovered",
            "store_id": "always",
            "timezone": "UTC",
            "down_since": "2023-01-25T10:30:00Z",
            "up_since": "2023-01-25T12:45:00Z",
            "last_poll": "2023-01-25T12:45:00Z",
            "as_of": "2023-01-25T12:45:00Z",
        },
    ]
    for row in alert_rows():
        assert (row["attempts"], row["next_attempt_at"], row["last_error"]) == (1, None, None)
        assert row["sent_at"] == row["created_at"] == FIRST_TICK


@pytest.mark.parametrize("minutes", [59, 60])
def test_alert_threshold_is_a_setting(
    minutes: int, sensor: Sensor, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOREMON_ALERT_AFTER_MINUTES", "60")
    poll("always 10:00 inactive", f"day {10 + minutes // 60}:{minutes % 60:02} active")
    sensor.tick()
    assert receiver.alerts == ([("always", "down")] if minutes == 60 else [])
    # a changed value takes effect at the next tick
    monkeypatch.setenv("STOREMON_ALERT_AFTER_MINUTES", "30")
    sensor.tick()
    assert receiver.alerts == [("always", "down")]


def test_outage_starts_no_earlier_than_the_first_poll(sensor: Sensor, receiver: Receiver) -> None:
    poll("day 09:00 active", "day 16:00 active", "always 15:01 inactive")
    sensor.tick()
    assert receiver.alerts == []
    poll("day 16:01 active")
    sensor.tick()
    assert json.loads(receiver.requests[0][1])["down_since"] == "2023-01-25T15:01:00Z"


def test_poll_of_year_1_does_not_stop_alerts(sensor: Sensor, receiver: Receiver) -> None:
    poll("always 00:00 inactive", "day 00:00 inactive", day="0001-01-01")
    poll("day 09:00 active", "day 15:00 inactive", "always 14:00 inactive", "always 16:00 inactive")
    sensor.tick()
    down_since = {body["store_id"]: body["down_since"] for body in map(json.loads, receiver.bodies)}
    assert down_since == {"day": "2023-01-25T15:00:00Z", "always": "2023-01-25T14:00:00Z"}


def test_outage_continues_over_closed_hours_without_counting(
    sensor: Sensor, receiver: Receiver
) -> None:
    poll("day 15:00 active", "day 16:20 inactive", "always 17:30 active")
    sensor.tick()
    poll(
        "always 08:30 active", "day 08:45 active", day="2023-01-26"
    )  # closed, so it does not count
    sensor.tick()
    poll("always 09:19 active", day="2023-01-26")
    sensor.tick()
    assert receiver.alerts == []
    # yesterday's poll does not determine the status now; a poll in open time does
    poll("always 09:20 active", day="2023-01-26")
    sensor.tick()
    assert receiver.alerts == []
    poll("day 09:20 inactive", day="2023-01-26")
    sensor.tick()
    assert receiver.alerts == [("day", "down")]
    payload = json.loads(receiver.requests[0][1])
    assert payload["down_since"] == "2023-01-25T16:20:00Z"
    assert payload["down_minutes"] == 60
    # neither closing nor the next opening ends the outage
    poll("always 18:00 active", "day 18:00 active", day="2023-01-26")
    sensor.tick()
    poll("always 12:00 active", day="2023-01-27")
    sensor.tick()
    assert receiver.alerts == [("day", "down")]
    poll("day 12:30 active", "always 12:30 active", day="2023-01-27")
    sensor.tick()
    assert receiver.alerts == [("day", "down"), ("day", "recovered")]


def test_closed_store_is_not_alerted(sensor: Sensor, receiver: Receiver) -> None:
    poll("day 14:00 inactive", "always 18:00 active")
    sensor.tick()
    assert receiver.alerts == []


def test_recovery_before_closing_is_alerted(sensor: Sensor, receiver: Receiver) -> None:
    poll("day 14:00 inactive", "always 16:00 active")
    sensor.tick()
    poll("day 16:30 active", "always 20:00 active")
    sensor.tick()
    assert receiver.alerts == [("day", "down"), ("day", "recovered")]
    assert json.loads(receiver.requests[1][1])["up_since"] == "2023-01-25T16:30:00Z"


def test_recovery_and_new_outage_between_ticks_are_both_alerted(
    sensor: Sensor, receiver: Receiver
) -> None:
    poll("always 10:00 inactive", "day 11:00 active")
    sensor.tick()
    poll("always 11:30 active", "always 12:00 inactive", "day 14:00 active")
    sensor.tick()
    assert receiver.alerts == [("always", kind) for kind in ("down", "recovered", "down")]
    assert len(set(receiver.ids)) == 3
    assert [row["down_since"].hour for row in alert_rows()] == [10, 10, 12]


def test_long_outage_keeps_its_start(sensor: Sensor, receiver: Receiver) -> None:
    poll("always 09:00 active", "always 12:00 inactive", "day 12:00 active", day="2022-11-03")
    poll("day 12:00 active", "always 12:00 inactive")
    sensor.tick()
    assert [row["down_since"] for row in alert_rows()] == [datetime(2022, 11, 3, 12, tzinfo=UTC)]
    # weeks without a tick, a lost cursor, and a recovery in between
    sensor.cursor = None
    poll("always 12:00 active", "always 13:00 inactive", day="2023-02-03")
    poll("day 12:00 active", "always 12:00 inactive", day="2023-03-03")
    sensor.now = datetime(2023, 4, 1, tzinfo=UTC)
    sensor.tick()
    assert receiver.alerts == [("always", kind) for kind in ("down", "recovered", "down")]
    assert [row["down_since"] for row in alert_rows()][2] == datetime(2023, 2, 3, 13, tzinfo=UTC)


def test_sensor_keeps_its_cursor_in_dagster(
    sensor: Sensor, receiver: Receiver, instance: dg.DagsterInstance
) -> None:
    poll("always 10:00 inactive", "day 11:00 active")
    with dg.build_sensor_context(instance, resources={"storemon": StoremonResource()}) as context:
        outage_alerts.outage_alert_sensor(context)
        assert json.loads(context.cursor or "")["newest_poll"] == "2023-01-25T11:00:00+00:00"
    assert receiver.alerts == [("always", "down")]


# Corrections


def test_outage_removed_by_correction_is_recovered(sensor: Sensor, receiver: Receiver) -> None:
    poll("always 09:00 active", "always 10:00 inactive", "day 11:00 active")
    sensor.tick()
    poll("always 10:00 active")
    sensor.tick()
    assert receiver.alerts == [("always", "down"), ("always", "recovered")]
    payload = json.loads(receiver.requests[1][1])
    assert payload["up_since"] == payload["down_since"] == "2023-01-25T10:00:00Z"
    # restoring the poll raises a new alert
    poll("always 10:00 inactive")
    sensor.tick()
    assert receiver.alerts[2:] == [("always", "down")]
    assert len(set(receiver.ids)) == 3


def test_corrected_outage_start_is_not_alerted_again(sensor: Sensor, receiver: Receiver) -> None:
    poll("always 09:00 active", "always 10:00 inactive", "day 11:00 active")
    sensor.tick()
    poll("always 09:30 inactive")
    sensor.tick()
    poll("always 09:30 active", "always 10:00 active", "always 10:30 inactive", "day 12:00 active")
    sensor.tick()
    assert receiver.alerts == [("always", "down")]


def test_correction_can_cause_an_alert_without_a_newer_poll(
    sensor: Sensor, receiver: Receiver
) -> None:
    poll("always 10:00 active", "day 11:30 active")
    sensor.tick()
    poll("always 10:00 inactive")
    sensor.tick()
    assert receiver.alerts == [("always", "down")]


def test_unchanged_inputs_are_not_evaluated(
    sensor: Sensor, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sensor.tick() == "0 alerts sent, 0 pending"  # no polls
    poll("always 10:00 inactive", "day 11:00 active")
    sensor.tick()
    monkeypatch.setattr(outage_alerts, "evaluate_states", None)
    assert sensor.tick() == "0 alerts sent, 0 pending"
    assert receiver.alerts == [("always", "down")]


# The webhook


def test_deliveries_verify_and_secrets_are_not_logged(
    sensor: Sensor,
    receiver: Receiver,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    poll("always 10:00 inactive", "day 11:00 active")
    receiver.statuses = [500]
    with caplog.at_level(logging.DEBUG):
        sensor.tick()
        sensor.later(minutes=5)
    for sent_at, (headers, body) in zip((0, 300), receiver.requests, strict=True):
        assert headers["content-type"] == "application/json"
        assert int(headers["webhook-timestamp"]) == FIRST_TICK.timestamp() + sent_at
        assert headers["webhook-id"] == headers["idempotency-key"] == json.loads(body)["alert_id"]
        received_at = FIRST_TICK + timedelta(seconds=sent_at + 299)

        class ReceiverClock(datetime):
            @classmethod
            def now(cls, tz=None, at=received_at):  # noqa: ARG003
                return at

        with monkeypatch.context() as patch:
            # the library rejects deliveries older than five minutes by its own clock
            patch.setattr(webhooks, "datetime", ReceiverClock)
            assert Webhook(SECRET).verify(body, headers) == json.loads(body)
            with pytest.raises(WebhookVerificationError):
                Webhook(SECRET).verify(body + b" ", headers)
    logged = f"{caplog.text} {capfd.readouterr()} {alert_rows()}"
    assert "answered 500" in logged
    assert "so-secret" not in logged
    assert SECRET not in logged


def test_unavailable_webhook_receives_all_alerts_later(
    sensor: Sensor, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as unavailable:
        unavailable.setenv("STOREMON_ALERT_WEBHOOK_URL", "http://127.0.0.1:9/so-secret")
        poll("always 10:00 inactive", "day 10:00 inactive", "day 11:00 inactive")
        assert sensor.tick() == "0 alerts sent, 2 pending"
        # only one attempt per tick
        assert sorted(row["attempts"] for row in alert_rows()) == [0, 1]
        poll("always 11:30 active", "day 11:30 active")
        assert sensor.later(minutes=10) == "0 alerts sent, 4 pending"
    rows = alert_rows()
    assert [row["kind"] for row in rows] == ["down", "down", "recovered", "recovered"]
    assert any("refused" in (row["last_error"] or "") for row in rows)
    # a recovery never precedes its outage
    assert sensor.later(minutes=10) == "4 alerts sent, 0 pending"
    for store in ("always", "day"):
        kinds = [kind for store_id, kind in receiver.alerts if store_id == store]
        assert kinds == ["down", "recovered"]
    assert all(row["last_error"] is None for row in alert_rows())


def test_attempts_back_off_up_to_15_minutes(sensor: Sensor, receiver: Receiver) -> None:
    poll("always 10:00 inactive", "day 11:00 active")
    receiver.statuses = [500, 503, 302, 404, 429, 500, 500]
    sensor.tick()
    for delay in (30, 60, 120, 240, 480, 900, 900):
        before = len(receiver.requests)
        sensor.later(seconds=delay - 1)
        assert len(receiver.requests) == before
        sensor.later(seconds=1)
        assert len(receiver.requests) == before + 1
    assert len(set(receiver.ids)) == 1
    (row,) = alert_rows()
    assert row["attempts"] == 8
    assert row["sent_at"] is not None
    sensor.later(days=1)
    assert len(receiver.requests) == 8


def test_slow_webhook_times_out_and_is_retried(
    sensor: Sensor, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "_TIMEOUT", httpx.Timeout(0.2))
    receiver.delay_seconds = 0.6
    poll("always 10:00 inactive", "day 11:00 active")
    assert sensor.tick() == "0 alerts sent, 1 pending"
    assert "ReadTimeout" in alert_rows()[0]["last_error"]
    receiver.delay_seconds = 0
    assert sensor.later(minutes=1) == "1 alert sent, 0 pending"
    # the webhook may have accepted the first attempt, so the id is the same
    assert len(receiver.requests) == 2
    assert len(set(receiver.ids)) == 1


def test_rejected_alert_does_not_block_others(sensor: Sensor, receiver: Receiver) -> None:
    receiver.rejected = {"a"}
    poll("a 10:00 inactive", "b 10:00 inactive", "day 11:00 active")
    assert sensor.tick() == "1 alert sent, 1 pending"
    assert [row["last_error"] for row in alert_rows()] == ["answered 400", None]
    receiver.rejected = set()
    assert sensor.later(minutes=1) == "1 alert sent, 0 pending"


def test_delivery_stops_at_its_limit_and_resumes_next_tick(
    sensor: Sensor, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.delay_seconds = 0.05
    poll(*(f"s{number:02} 10:00 inactive" for number in range(20)), "day 11:00 active")
    with monkeypatch.context() as short:
        short.setattr(outage_alerts, "DELIVERY_SECONDS", 0.3)
        sensor.tick()
    assert 0 < len(receiver.requests) < 20
    receiver.delay_seconds = 0
    sensor.tick()
    assert sorted(receiver.alerts) == [(f"s{number:02}", "down") for number in range(20)]


# Crashes and concurrency


class KilledError(BaseException):
    """Simulates that the process was killed."""


def killed(*_: object, **__: object) -> None:
    raise KilledError


def test_crash_between_detection_and_delivery_loses_nothing(
    sensor: Sensor, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    poll("always 10:00 inactive", "day 11:00 active")
    with monkeypatch.context() as patch:
        patch.setattr(outage_alerts, "deliver_alerts", killed)
        with pytest.raises(KilledError):
            sensor.tick()
    assert sensor.cursor is None
    assert len(alert_rows()) == 1
    assert receiver.alerts == []
    assert sensor.tick() == "1 alert sent, 0 pending"
    assert receiver.alerts == [("always", "down")]


def test_crash_during_detection_stores_nothing(
    sensor: Sensor, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    poll("always 10:00 inactive", "day 11:00 active")
    insert = outage_alerts.insert_alerts

    def insert_and_die(*arguments: object) -> None:
        insert(*arguments)
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(outage_alerts, "insert_alerts", insert_and_die)
        with pytest.raises(KilledError):
            sensor.tick()
    assert alert_rows() == []
    assert sensor.tick() == "1 alert sent, 0 pending"


def test_crash_after_delivery_resends_with_the_same_id(
    sensor: Sensor, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    poll("always 10:00 inactive", "day 11:00 active")
    with monkeypatch.context() as patch:
        patch.setattr(outage_alerts, "mark_sent", killed)
        with pytest.raises(KilledError):
            sensor.tick()
    # the other delivery may still be in progress
    assert sensor.later(seconds=29) == "0 alerts sent, 1 pending"
    assert sensor.later(seconds=1) == "1 alert sent, 0 pending"
    assert receiver.alerts == [("always", "down")] * 2
    assert len(set(receiver.ids)) == 1
    assert json.loads(receiver.requests[0][1])["alert_id"] == receiver.ids[0]
    assert sensor.later(days=1) == "0 alerts sent, 0 pending"


def test_lost_cursor_repeats_no_alert(sensor: Sensor, receiver: Receiver) -> None:
    poll("always 10:00 inactive", "day 10:00 inactive", "day 11:00 inactive")
    sensor.tick()
    poll("day 11:30 active")
    sensor.tick()
    alerts = list(receiver.alerts)
    assert sorted(alerts) == [("always", "down"), ("day", "down"), ("day", "recovered")]
    sensor.cursor = None
    sensor.tick()
    assert receiver.alerts == alerts


def test_concurrent_ticks_send_each_alert_once(sensor: Sensor, receiver: Receiver) -> None:
    stores = [f"s{number:02}" for number in range(12)]
    poll(*(f"{store} 10:00 inactive" for store in stores), "day 11:00 active")
    receiver.delay_seconds = 0.01
    sensors = [Sensor(sensor.now) for _ in range(4)]
    barrier = threading.Barrier(len(sensors))
    errors: list[BaseException] = []

    def tick(worker: Sensor) -> None:
        barrier.wait()
        try:
            worker.tick()
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=tick, args=(worker,)) for worker in sensors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sorted(receiver.alerts) == [(store, "down") for store in stores]
    assert len(alert_rows()) == 12


def test_tick_overtaken_by_another_adds_no_wrong_alert(
    sensor: Sensor, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    poll("always 10:00 inactive", "day 11:00 active")
    sensor.tick()
    poll("day 12:00 active")
    read = outage_alerts.evaluate_states

    def overtaken(database: Database, *arguments: object) -> EvaluatedStates:
        states = read(database, *arguments)
        monkeypatch.setattr(outage_alerts, "evaluate_states", read)
        poll("always 12:30 active")
        Sensor(sensor.now, sensor.cursor).tick()
        return states

    monkeypatch.setattr(outage_alerts, "evaluate_states", overtaken)
    sensor.tick()
    assert receiver.alerts == [("always", "down"), ("always", "recovered")]


# Ingest alerts


def ingest(run_id: str, at: datetime, error: str | None = None) -> None:
    with StoremonResource().database.registry_transaction() as connection:
        start_ingest_run(connection, run_id, {"store_status.csv": [1, 1]}, at)
        finish_ingest_run(connection, run_id, at, error=error)


def test_failing_ingest_is_alerted_once_per_episode(sensor: Sensor, receiver: Receiver) -> None:
    minute, start = timedelta(minutes=1), sensor.now
    ingest("good", start)
    assert sensor.tick() == "0 alerts sent, 0 pending"
    ingest("bad", start + minute, "no column status")
    receiver.statuses = [500]  # resent later
    sensor.tick()
    sensor.later(minutes=15)
    ingest("worse", start + 20 * minute, "no column status")
    assert sensor.later(minutes=15) == "0 alerts sent, 0 pending"
    # recovery and new failure between two ticks: both are sent, in order
    ingest("good again", start + 40 * minute)
    ingest("bad again", start + 41 * minute, "no rows")
    sensor.later(minutes=15)
    sensor.later(minutes=15)
    ingest("at last", start + 99 * minute)
    sensor.later(minutes=15)
    payloads = [json.loads(body) for _, body in receiver.requests[1:]]
    since = [(start + n * minute).isoformat().replace("+00:00", "Z") for n in (1, 1, 41, 41)]
    assert [payload["failed_since"] for payload in payloads] == since
    assert [payload["kind"] for payload in payloads] == ["ingest_failed", "ingest_recovered"] * 2
    assert (payloads[0]["run_id"], payloads[0]["error"]) == ("bad", "no column status")
    assert len({payload["alert_id"] for payload in payloads}) == 4
    assert [row["store_id"] for row in alert_rows()] == [None] * 4


# Settings


def test_sensor_without_webhook_skips_and_names_the_setting(
    sensor: Sensor, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STOREMON_ALERT_WEBHOOK_URL")
    poll("always 10:00 inactive", "day 11:00 active")
    with dg.build_sensor_context(instance, resources={"storemon": StoremonResource()}) as context:
        skipped = outage_alerts.outage_alert_sensor(context)
    assert isinstance(skipped, dg.SkipReason)
    assert skipped.skip_message == "STOREMON_ALERT_WEBHOOK_URL is not set: alerts are off"
    assert alert_rows() == []


def test_tick_without_secret_fails_and_sends_nothing(
    sensor: Sensor, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STOREMON_ALERT_SECRET")
    poll("always 10:00 inactive", "day 11:00 active")
    with pytest.raises(outage_alerts.MissingSecretError, match="STOREMON_ALERT_SECRET is not set"):
        sensor.tick()
    assert receiver.requests == []


def test_invalid_webhook_url_is_reported_without_the_url(
    sensor: Sensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOREMON_ALERT_WEBHOOK_URL", "http://so-secret:port/")
    poll("always 10:00 inactive", "day 11:00 active")
    assert sensor.tick() == "0 alerts sent, 1 pending"
    assert alert_rows()[0]["last_error"] == "STOREMON_ALERT_WEBHOOK_URL is not a valid URL"
