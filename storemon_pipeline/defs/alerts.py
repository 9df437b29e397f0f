"""The sensor that tells a webhook which stores are down, and which are up again.

What there is to tell is decided by :mod:`storemon_pipeline.uptime.alerts`, and is on record before
anybody is told: a tick that fails, or a daemon that was down, costs time and nothing else.
"""

import json
import logging
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg

from storemon_pipeline.defs.failures import skipped_while_database_is_away
from storemon_pipeline.defs.resources import Storemon
from storemon_pipeline.storage.alerts import (
    claim_alert,
    count_unsent,
    keep_alerts,
    latest_ingest_alert,
    newest_alerts,
    record_not_sent,
    record_sent,
)
from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.ingest_runs import ingest_failures
from storemon_pipeline.storage.ingested import newest_reading
from storemon_pipeline.storage.polls import newest_poll
from storemon_pipeline.storage.states import read_states
from storemon_pipeline.uptime.alerts import new_alerts
from storemon_pipeline.uptime.ingest_alerts import new_ingest_alert
from storemon_pipeline.webhook import Webhook

SEND_SECONDS = 20
"""For how long a tick goes on sending: Dagster gives up on one after a minute."""


class NoSecretError(RuntimeError):
    """There is a webhook, but nothing to sign with."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was there when the sensor last looked for something to tell.

    Attributes
    ----------
    newest_poll : str
        In ISO format.
    newest_reading : int
        The newest row of ``ingested_file``: files may correct what was known.
    after_minutes : int
        As in the settings.
    """

    newest_poll: str
    newest_reading: int
    after_minutes: int


def notice(database: Database, last: Look | None, after_minutes: int, now: datetime) -> Look | None:
    """Put on record what is new to tell, if anything has changed since the last look.

    Returns
    -------
    Look or None
        None where there are no polls.
    """
    with database.read() as connection:
        newest = newest_poll(connection, now)
        reading = newest_reading(connection)
        on_record = newest_alerts(connection)
    if newest is None:
        return None
    look = Look(newest.isoformat(), reading, after_minutes)
    if look == last:
        return look
    seen = datetime.fromisoformat(last.newest_poll) if last else None
    states = read_states(database, newest, on_record, seen)
    with database.write_registry(alone="alerts") as connection:
        alerts = new_alerts(
            states,
            newest_alerts(connection),  # another tick may have put some there meanwhile
            as_of=newest,
            seen=seen,
            after=timedelta(minutes=after_minutes),
        )
        keep_alerts(connection, alerts, now)
    return look


def notice_ingest(database: Database, now: datetime) -> None:
    """Put on record that the ingest fails, or that it has recovered, once each."""
    with database.read() as connection:
        failures = ingest_failures(connection)
    with database.write_registry(alone="alerts") as connection:
        latest = latest_ingest_alert(connection)
        alert = new_ingest_alert(
            latest_kind=None if latest is None else latest.kind,
            alerted_since=None if latest is None else latest.down_since,
            failed_since=None if failures is None else failures.since,
            run_id=None if failures is None else failures.run_id,
            error=None if failures is None else failures.error,
            as_of=now,
        )
        keep_alerts(connection, [] if alert is None else [alert], now)


def send(database: Database, webhook: Webhook, log: logging.Logger) -> int:
    """Send what is due; gives how many alerts the webhook has confirmed."""
    sent, give_up_at = 0, time.monotonic() + SEND_SECONDS
    while time.monotonic() < give_up_at:
        with database.write_registry(alone="alerts") as connection:
            claimed = claim_alert(connection, datetime.now(UTC))
        if claimed is None:
            break
        answer = webhook.tell(claimed.alert_id, claimed.payload, datetime.now(UTC))
        with database.write_registry(alone="alerts") as connection:
            if answer.error is None:
                record_sent(connection, claimed, datetime.now(UTC))
            else:
                record_not_sent(connection, claimed, answer.error)
        if answer.error is None:
            sent += 1
            continue
        log.warning(
            "Alert %s was not sent, at attempt %d: %s",
            claimed.alert_id,
            claimed.attempts,
            answer.error,
        )
        if answer.is_away:
            break
    return sent


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Tells STOREMON_ALERT_WEBHOOK_URL which stores are open now and have been down for "
        "STOREMON_ALERT_AFTER_MINUTES, and which of those are up again: each outage once; and that "
        "the ingest fails, or has recovered."
    ),
)
@skipped_while_database_is_away
def outage_alert_sensor(context: dg.SensorEvaluationContext, storemon: Storemon) -> dg.SkipReason:
    """Look for stores that are down or up again, and tell the webhook."""
    settings, database = storemon.settings, storemon.database
    if settings.alert_webhook_url is None:
        return dg.SkipReason("STOREMON_ALERT_WEBHOOK_URL is not set: there are no alerts")
    if settings.alert_secret is None:
        msg = "STOREMON_ALERT_SECRET is not set: alerts need something to be signed with"
        raise NoSecretError(msg)
    last = Look(**json.loads(context.cursor)) if context.cursor else None
    look = notice(database, last, settings.alert_after_minutes, datetime.now(UTC))
    if look is not None:
        context.update_cursor(json.dumps(asdict(look)))
    notice_ingest(database, datetime.now(UTC))
    webhook = Webhook(
        settings.alert_webhook_url.get_secret_value(), settings.alert_secret.get_secret_value()
    )
    try:
        sent = send(database, webhook, context.log)
    finally:
        webhook.close()
    with database.read() as connection:
        waiting = count_unsent(connection)
    return dg.SkipReason(f"Sent {sent:,} alerts; {waiting:,} wait")


ALERT_SENSORS = [outage_alert_sensor]
