"""outage_alert_sensor tells a real webhook of each outage once, whatever goes wrong on the way."""

import json
import logging
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import dagster as dg
import httpx
import pandas as pd
import pytest
from sqlalchemy import RowMapping
from standardwebhooks import Webhook, WebhookVerificationError, webhooks

from storemon_pipeline.clients import webhook
from storemon_pipeline.defs.resources import StoremonResource
from storemon_pipeline.defs.sensors import outage_alerts
from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.ingest_log import IngestRecord, record_file
from storemon_pipeline.storage.ingest_runs import finish_ingest_run, start_ingest_run
from storemon_pipeline.storage.polls import upsert_polls
from storemon_pipeline.storage.reference_data import replace_snapshot
from storemon_pipeline.storage.schema import business_hours, store_timezone
from storemon_pipeline_tests.helpers.runner import table

SECRET = "whsec_" + b64encode(b"known to both, of 32 characters.").decode()
DAY = "2023-01-25"  # a Wednesday
FIRST_TICK = datetime(2023, 1, 30, tzinfo=UTC)


@dataclass
class Receiver:
    """A webhook: an HTTP server that keeps what it is sent, and answers as it is told to."""

    server: ThreadingHTTPServer
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    seconds: float = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/hook/so-secret"

    @property
    def told(self) -> list[tuple[str, str]]:
        """Store and kind of everything that came."""
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
            time.sleep(receiver.seconds)
            answer = receiver.answers.pop(0) if receiver.answers else 204
            self.send_response(
                400 if json.loads(body).get("store_id") in receiver.refused else answer
            )
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *said: object) -> None:
            pass

    receiver = Receiver(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
    threading.Thread(target=receiver.server.serve_forever, args=(0.02,), daemon=True).start()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


@dataclass
class Sensor:
    """The sensor as Dagster's daemon calls it, with a clock that a test turns."""

    instance: dg.DagsterInstance
    now: datetime = FIRST_TICK
    cursor: str | None = None

    def tick(self) -> str:
        """One tick; what it said."""
        with dg.build_sensor_context(
            self.instance, cursor=self.cursor, resources={"storemon": StoremonResource()}
        ) as context:
            said = outage_alerts.outage_alert_sensor(context)
            # as the daemon does, when the tick has not failed
            self.cursor = context.cursor
        assert isinstance(said, dg.SkipReason)
        return said.skip_message or ""

    def later(self, **passed: float) -> str:
        """One tick after some time."""
        self.now += timedelta(**passed)
        return self.tick()


@pytest.fixture
def sensor(
    instance: dg.DagsterInstance,
    receiver: Receiver,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Sensor:
    """The sensor, with a webhook and two stores in UTC: `day` is open from 9 to 17, `always` always."""
    monkeypatch.setenv("STOREMON_DATABASE_URL", database_url)
    monkeypatch.setenv("STOREMON_ALERT_WEBHOOK_URL", receiver.url)
    monkeypatch.setenv("STOREMON_ALERT_SECRET", SECRET)
    sensor = Sensor(instance)

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):  # noqa: ARG003
            return sensor.now

    monkeypatch.setattr(outage_alerts, "datetime", Clock)
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
    rows = [each.split() for each in polls]
    frame = pd.DataFrame(
        {
            "store_id": pd.Series([row[0] for row in rows], dtype="str"),
            "timestamp_utc": pd.to_datetime([f"{day}T{row[1]}Z" for row in rows]).astype(
                "datetime64[us, UTC]"
            ),
            "status": pd.Series([row[2] for row in rows], dtype="str"),
        }
    )
    with StoremonResource().database.data_transaction() as connection:
        upsert_polls(connection, frame)
        read = IngestRecord("store_status.csv", "store_status", "", 1, 1, 1, len(rows), 0)
        record_file(connection, read, ingested_at=datetime.now(UTC), run_id="")


def alert_rows() -> list[RowMapping]:
    return sorted(table("alert"), key=lambda row: row["id"])


# What is told


def test_an_outage_is_told_once_and_so_is_its_end(sensor: Sensor, receiver: Receiver) -> None:
    poll("always 10:00 active", "day 10:00 active")
    assert sensor.tick() == "Sent 0 alerts; 0 wait"
    poll("always 10:30 inactive", "day 11:00 active")
    assert sensor.tick() == "Sent 0 alerts; 0 wait"
    poll("always 11:30 inactive")
    assert sensor.tick() == "Sent 1 alerts; 0 wait"
    poll("always 12:30 inactive", "day 12:30 active")
    assert sensor.tick() == "Sent 0 alerts; 0 wait"
    assert receiver.told == [("always", "down")]
    poll("always 12:45 active")
    assert sensor.tick() == "Sent 1 alerts; 0 wait"
    poll("always 13:30 active")
    sensor.later(days=1)
    assert receiver.told == [("always", "down"), ("always", "recovered")]
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
def test_for_how_long_a_store_is_down_before_is_a_setting(
    minutes: int, sensor: Sensor, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOREMON_ALERT_AFTER_MINUTES", "60")
    poll("always 10:00 inactive", f"day {10 + minutes // 60}:{minutes % 60:02} active")
    sensor.tick()
    assert receiver.told == ([("always", "down")] if minutes == 60 else [])
    # another value counts at once
    monkeypatch.setenv("STOREMON_ALERT_AFTER_MINUTES", "30")
    sensor.tick()
    assert receiver.told == [("always", "down")]


def test_before_its_first_poll_a_store_was_not_down(sensor: Sensor, receiver: Receiver) -> None:
    poll("day 09:00 active", "day 16:00 active", "always 15:01 inactive")
    sensor.tick()
    assert receiver.told == []
    poll("day 16:01 active")
    sensor.tick()
    assert json.loads(receiver.requests[0][1])["down_since"] == "2023-01-25T15:01:00Z"


def test_a_poll_of_the_year_1_stops_no_alert(sensor: Sensor, receiver: Receiver) -> None:
    poll("always 00:00 inactive", "day 00:00 inactive", day="0001-01-01")
    poll("day 09:00 active", "day 15:00 inactive", "always 14:00 inactive", "always 16:00 inactive")
    sensor.tick()
    told = {body["store_id"]: body["down_since"] for body in map(json.loads, receiver.bodies)}
    assert told == {"day": "2023-01-25T15:00:00Z", "always": "2023-01-25T14:00:00Z"}


def test_closed_hours_do_not_count_and_an_outage_goes_on_over_them(
    sensor: Sensor, receiver: Receiver
) -> None:
    poll("day 15:00 active", "day 16:20 inactive", "always 17:30 active")
    sensor.tick()
    poll("always 08:30 active", "day 08:45 active", day="2023-01-26")  # while closed: says nothing
    sensor.tick()
    poll("always 09:19 active", day="2023-01-26")
    sensor.tick()
    assert receiver.told == []
    # the poll of the evening before says nothing of now; one in its open time does
    poll("always 09:20 active", day="2023-01-26")
    sensor.tick()
    assert receiver.told == []
    poll("day 09:20 inactive", day="2023-01-26")
    sensor.tick()
    assert receiver.told == [("day", "down")]
    payload = json.loads(receiver.requests[0][1])
    assert payload["down_since"] == "2023-01-25T16:20:00Z"
    assert payload["down_minutes"] == 60
    # closing time is no end of it, and the next opening no other outage
    poll("always 18:00 active", "day 18:00 active", day="2023-01-26")
    sensor.tick()
    poll("always 12:00 active", day="2023-01-27")
    sensor.tick()
    assert receiver.told == [("day", "down")]
    poll("day 12:30 active", "always 12:30 active", day="2023-01-27")
    sensor.tick()
    assert receiver.told == [("day", "down"), ("day", "recovered")]


def test_a_store_that_is_closed_now_is_not_told_to_be_down(
    sensor: Sensor, receiver: Receiver
) -> None:
    poll("day 14:00 inactive", "always 18:00 active")
    sensor.tick()
    assert receiver.told == []


def test_a_store_that_came_back_before_it_closed_is_told_to_have(
    sensor: Sensor, receiver: Receiver
) -> None:
    poll("day 14:00 inactive", "always 16:00 active")
    sensor.tick()
    poll("day 16:30 active", "always 20:00 active")
    sensor.tick()
    assert receiver.told == [("day", "down"), ("day", "recovered")]
    assert json.loads(receiver.requests[1][1])["up_since"] == "2023-01-25T16:30:00Z"


def test_a_store_that_came_back_unseen_and_is_down_once_more_is_told_both(
    sensor: Sensor, receiver: Receiver
) -> None:
    poll("always 10:00 inactive", "day 11:00 active")
    sensor.tick()
    poll("always 11:30 active", "always 12:00 inactive", "day 14:00 active")
    sensor.tick()
    assert receiver.told == [("always", kind) for kind in ("down", "recovered", "down")]
    assert len(set(receiver.ids)) == 3
    assert [row["down_since"].hour for row in alert_rows()] == [10, 10, 12]


def test_an_outage_of_many_days_begins_where_it_began(sensor: Sensor, receiver: Receiver) -> None:
    poll("always 09:00 active", "always 12:00 inactive", "day 12:00 active", day="2022-11-03")
    poll("day 12:00 active", "always 12:00 inactive")
    sensor.tick()
    assert [row["down_since"] for row in alert_rows()] == [datetime(2022, 11, 3, 12, tzinfo=UTC)]
    # weeks pass without a tick, the cursor is lost, and it was up in between
    sensor.cursor = None
    poll("always 12:00 active", "always 13:00 inactive", day="2023-02-03")
    poll("day 12:00 active", "always 12:00 inactive", day="2023-03-03")
    sensor.now = datetime(2023, 4, 1, tzinfo=UTC)
    sensor.tick()
    assert receiver.told == [("always", kind) for kind in ("down", "recovered", "down")]
    assert [row["down_since"] for row in alert_rows()][2] == datetime(2023, 2, 3, 13, tzinfo=UTC)


# Corrections


def test_an_outage_that_a_correction_takes_back_has_recovered(
    sensor: Sensor, receiver: Receiver
) -> None:
    poll("always 09:00 active", "always 10:00 inactive", "day 11:00 active")
    sensor.tick()
    poll("always 10:00 active")
    sensor.tick()
    assert receiver.told == [("always", "down"), ("always", "recovered")]
    payload = json.loads(receiver.requests[1][1])
    assert payload["up_since"] == payload["down_since"] == "2023-01-25T10:00:00Z"
    # and one that brings it back makes it news again
    poll("always 10:00 inactive")
    sensor.tick()
    assert receiver.told[2:] == [("always", "down")]
    assert len(set(receiver.ids)) == 3


def test_an_outage_whose_beginning_is_corrected_is_not_told_again(
    sensor: Sensor, receiver: Receiver
) -> None:
    poll("always 09:00 active", "always 10:00 inactive", "day 11:00 active")
    sensor.tick()
    poll("always 09:30 inactive")
    sensor.tick()
    poll("always 09:30 active", "always 10:00 active", "always 10:30 inactive", "day 12:00 active")
    sensor.tick()
    assert receiver.told == [("always", "down")]


def test_a_correction_may_make_an_outage_without_a_newer_poll(
    sensor: Sensor, receiver: Receiver
) -> None:
    poll("always 10:00 active", "day 11:30 active")
    sensor.tick()
    poll("always 10:00 inactive")
    sensor.tick()
    assert receiver.told == [("always", "down")]


def test_where_nothing_has_changed_nothing_is_looked_at(
    sensor: Sensor, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sensor.tick() == "Sent 0 alerts; 0 wait"  # not even a poll
    poll("always 10:00 inactive", "day 11:00 active")
    sensor.tick()
    monkeypatch.setattr(outage_alerts, "read_store_states", None)
    assert sensor.tick() == "Sent 0 alerts; 0 wait"
    assert receiver.told == [("always", "down")]


# The webhook


def test_deliveries_verify_and_secrets_are_not_logged(
    sensor: Sensor,
    receiver: Receiver,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    poll("always 10:00 inactive", "day 11:00 active")
    receiver.answers = [500]
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
    kept = f"{caplog.text} {capfd.readouterr()} {alert_rows()}"
    assert "answered 500" in kept
    assert "so-secret" not in kept
    assert SECRET not in kept


def test_a_webhook_that_refuses_connections_hears_all_when_it_is_back(
    sensor: Sensor, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as away:
        away.setenv("STOREMON_ALERT_WEBHOOK_URL", "http://127.0.0.1:9/so-secret")
        poll("always 10:00 inactive", "day 10:00 inactive", "day 11:00 inactive")
        assert sensor.tick() == "Sent 0 alerts; 2 wait"
        # one attempt a tick says enough
        assert sorted(row["attempts"] for row in alert_rows()) == [0, 1]
        poll("always 11:30 active", "day 11:30 active")
        assert sensor.later(minutes=10) == "Sent 0 alerts; 4 wait"
    rows = alert_rows()
    assert [row["kind"] for row in rows] == ["down", "down", "recovered", "recovered"]
    assert any("refused" in (row["last_error"] or "") for row in rows)
    # nobody hears of a recovery before the outage
    assert sensor.later(minutes=10) == "Sent 4 alerts; 0 wait"
    for store in ("always", "day"):
        kinds = [kind for store_id, kind in receiver.told if store_id == store]
        assert kinds == ["down", "recovered"]
    assert all(row["last_error"] is None for row in alert_rows())


def test_attempts_are_further_and_further_apart_up_to_a_quarter_of_an_hour(
    sensor: Sensor, receiver: Receiver
) -> None:
    poll("always 10:00 inactive", "day 11:00 active")
    receiver.answers = [500, 503, 302, 404, 429, 500, 500]
    sensor.tick()
    for waits in (30, 60, 120, 240, 480, 900, 900):
        before = len(receiver.requests)
        sensor.later(seconds=waits - 1)
        assert len(receiver.requests) == before
        sensor.later(seconds=1)
        assert len(receiver.requests) == before + 1
    assert len(set(receiver.ids)) == 1
    (row,) = alert_rows()
    assert row["attempts"] == 8
    assert row["sent_at"] is not None
    sensor.later(days=1)
    assert len(receiver.requests) == 8


def test_a_webhook_that_does_not_answer_is_not_waited_for_for_long(
    sensor: Sensor, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "_TIMEOUT", httpx.Timeout(0.2))
    receiver.seconds = 0.6
    poll("always 10:00 inactive", "day 11:00 active")
    assert sensor.tick() == "Sent 0 alerts; 1 wait"
    assert "ReadTimeout" in alert_rows()[0]["last_error"]
    receiver.seconds = 0
    assert sensor.later(minutes=1) == "Sent 1 alerts; 0 wait"
    # it may have taken it the first time: by the id it knows
    assert len(receiver.requests) == 2
    assert len(set(receiver.ids)) == 1


def test_an_alert_that_is_refused_does_not_keep_others_back(
    sensor: Sensor, receiver: Receiver
) -> None:
    receiver.refused = {"a"}
    poll("a 10:00 inactive", "b 10:00 inactive", "day 11:00 active")
    assert sensor.tick() == "Sent 1 alerts; 1 wait"
    assert [row["last_error"] for row in alert_rows()] == ["answered 400", None]
    receiver.refused = set()
    assert sensor.later(minutes=1) == "Sent 1 alerts; 0 wait"


def test_a_tick_stops_sending_in_time_and_the_next_goes_on(
    sensor: Sensor, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.seconds = 0.05
    poll(*(f"s{number:02} 10:00 inactive" for number in range(20)), "day 11:00 active")
    with monkeypatch.context() as short:
        short.setattr(outage_alerts, "DELIVERY_SECONDS", 0.3)
        sensor.tick()
    assert 0 < len(receiver.requests) < 20
    receiver.seconds = 0
    sensor.tick()
    assert sorted(receiver.told) == [(f"s{number:02}", "down") for number in range(20)]


# Ends and beginnings


class KilledError(BaseException):
    """As if the process had ended there."""


def killed(*_: object, **__: object) -> None:
    raise KilledError


def test_a_sensor_that_ends_between_noticing_and_sending_loses_nothing(
    sensor: Sensor, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    poll("always 10:00 inactive", "day 11:00 active")
    with monkeypatch.context() as patch:
        patch.setattr(outage_alerts, "deliver_alerts", killed)
        with pytest.raises(KilledError):
            sensor.tick()
    assert sensor.cursor is None
    assert len(alert_rows()) == 1
    assert receiver.told == []
    assert sensor.tick() == "Sent 1 alerts; 0 wait"
    assert receiver.told == [("always", "down")]


def test_a_sensor_that_ends_while_it_notices_has_noticed_nothing(
    sensor: Sensor, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    poll("always 10:00 inactive", "day 11:00 active")
    keep = outage_alerts.insert_alerts

    def keep_and_end(*arguments: object) -> None:
        keep(*arguments)
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(outage_alerts, "insert_alerts", keep_and_end)
        with pytest.raises(KilledError):
            sensor.tick()
    assert alert_rows() == []
    assert sensor.tick() == "Sent 1 alerts; 0 wait"


def test_a_sensor_that_ends_between_sending_and_recording_repeats_itself_with_the_same_id(
    sensor: Sensor, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    poll("always 10:00 inactive", "day 11:00 active")
    with monkeypatch.context() as patch:
        patch.setattr(outage_alerts, "mark_sent", killed)
        with pytest.raises(KilledError):
            sensor.tick()
    # whoever sent it may be at it still
    assert sensor.later(seconds=29) == "Sent 0 alerts; 1 wait"
    assert sensor.later(seconds=1) == "Sent 1 alerts; 0 wait"
    assert receiver.told == [("always", "down")] * 2
    assert len(set(receiver.ids)) == 1
    assert json.loads(receiver.requests[0][1])["alert_id"] == receiver.ids[0]
    assert sensor.later(days=1) == "Sent 0 alerts; 0 wait"


def test_a_sensor_that_has_forgotten_everything_tells_nothing_twice(
    sensor: Sensor, receiver: Receiver
) -> None:
    poll("always 10:00 inactive", "day 10:00 inactive", "day 11:00 inactive")
    sensor.tick()
    poll("day 11:30 active")
    sensor.tick()
    told = list(receiver.told)
    assert sorted(told) == [("always", "down"), ("day", "down"), ("day", "recovered")]
    sensor.cursor = None
    sensor.tick()
    assert receiver.told == told


def test_of_ticks_at_once_one_tells(sensor: Sensor, receiver: Receiver) -> None:
    stores = [f"s{number:02}" for number in range(12)]
    poll(*(f"{store} 10:00 inactive" for store in stores), "day 11:00 active")
    receiver.seconds = 0.01
    sensors = [Sensor(sensor.instance, sensor.now) for _ in range(4)]
    together = threading.Barrier(len(sensors))
    failed: list[BaseException] = []

    def tick(one: Sensor) -> None:
        together.wait()
        try:
            one.tick()
        except BaseException as error:  # noqa: BLE001
            failed.append(error)

    threads = [threading.Thread(target=tick, args=(one,)) for one in sensors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert sorted(receiver.told) == [(store, "down") for store in stores]
    assert len(alert_rows()) == 12


def test_a_slow_tick_that_knows_less_does_not_contradict(
    sensor: Sensor, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    poll("always 10:00 inactive", "day 11:00 active")
    sensor.tick()
    poll("day 12:00 active")
    read = outage_alerts.read_store_states

    def overtaken(database: Database, *arguments: object) -> pd.DataFrame:
        states = read(database, *arguments)
        monkeypatch.setattr(outage_alerts, "read_store_states", read)
        poll("always 12:30 active")
        Sensor(sensor.instance, sensor.now, sensor.cursor).tick()
        return states

    monkeypatch.setattr(outage_alerts, "read_store_states", overtaken)
    sensor.tick()
    assert receiver.told == [("always", "down"), ("always", "recovered")]


# Settings


def ingest(run_id: str, at: datetime, error: str | None = None) -> None:
    with StoremonResource().database.registry_transaction() as connection:
        start_ingest_run(connection, run_id, {"store_status.csv": [1, 1]}, at)
        finish_ingest_run(connection, run_id, at, error=error)


def test_failing_ingest_is_told_once_an_episode(sensor: Sensor, receiver: Receiver) -> None:
    minute, start = timedelta(minutes=1), sensor.now
    ingest("good", start)
    assert sensor.tick() == "Sent 0 alerts; 0 wait"
    ingest("bad", start + minute, "no column status")
    receiver.answers = [500]  # and it is sent again
    sensor.tick()
    sensor.later(minutes=15)
    ingest("worse", start + 20 * minute, "no column status")
    assert sensor.later(minutes=15) == "Sent 0 alerts; 0 wait"
    # recovered and failing again between two ticks: both are told, in order
    ingest("good again", start + 40 * minute)
    ingest("bad again", start + 41 * minute, "no rows")
    sensor.later(minutes=15)
    sensor.later(minutes=15)
    ingest("at last", start + 99 * minute)
    sensor.later(minutes=15)
    told = [json.loads(body) for _, body in receiver.requests[1:]]
    since = [(start + n * minute).isoformat().replace("+00:00", "Z") for n in (1, 1, 41, 41)]
    assert [each["failed_since"] for each in told] == since
    assert [each["kind"] for each in told] == ["ingest_failed", "ingest_recovered"] * 2
    assert (told[0]["run_id"], told[0]["error"]) == ("bad", "no column status")
    assert len({each["alert_id"] for each in told}) == 4
    assert [row["store_id"] for row in alert_rows()] == [None] * 4


def test_without_a_webhook_there_are_no_alerts_and_the_sensor_says_what_to_set(
    sensor: Sensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STOREMON_ALERT_WEBHOOK_URL")
    poll("always 10:00 inactive", "day 11:00 active")
    assert sensor.tick() == "STOREMON_ALERT_WEBHOOK_URL is not set: there are no alerts"
    assert alert_rows() == []


def test_without_a_secret_nothing_is_sent_and_the_tick_fails_with_the_reason(
    sensor: Sensor, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STOREMON_ALERT_SECRET")
    poll("always 10:00 inactive", "day 11:00 active")
    with pytest.raises(outage_alerts.MissingSecretError, match="STOREMON_ALERT_SECRET is not set"):
        sensor.tick()
    assert receiver.requests == []


def test_an_address_that_is_none_is_told_of_without_its_words(
    sensor: Sensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOREMON_ALERT_WEBHOOK_URL", "http://so-secret:port/")
    poll("always 10:00 inactive", "day 11:00 active")
    assert sensor.tick() == "Sent 0 alerts; 1 wait"
    assert alert_rows()[0]["last_error"] == "STOREMON_ALERT_WEBHOOK_URL is not a valid URL"
