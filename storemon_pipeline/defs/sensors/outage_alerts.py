"""The sensor that tells a webhook which stores are down, and which are up again.

What there is to tell is decided by :mod:`storemon_pipeline.uptime.outage_alerts`, and is on record
before anybody is told: a tick that fails, or a daemon that was down, costs time and nothing else.
"""

import json
import logging
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg

from storemon_pipeline.clients.webhook import WebhookClient
from storemon_pipeline.defs.errors import skipped_while_database_is_away
from storemon_pipeline.defs.resources import StoremonResource
from storemon_pipeline.evaluation.store_states import read_store_states
from storemon_pipeline.storage.alert_outbox import (
    claim_next_alert,
    count_pending,
    insert_alerts,
    latest_alerts,
    latest_ingest_alert,
    mark_failed,
    mark_sent,
)
from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.ingest_log import latest_ingest_id
from storemon_pipeline.storage.ingest_runs import ingest_failures
from storemon_pipeline.storage.polls import newest_poll
from storemon_pipeline.uptime.ingest_alerts import new_ingest_alert
from storemon_pipeline.uptime.outage_alerts import new_alerts

DELIVERY_SECONDS = 20
"""For how long a tick goes on sending: Dagster gives up on one after a minute."""


class MissingSecretError(RuntimeError):
    """There is a webhook, but nothing to sign with."""


@dataclass(frozen=True, slots=True)
class AlertCursor:
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


def detect_alerts(
    database: Database,
    last: AlertCursor | None,
    after_minutes: int,
    no_data_after: timedelta,
    now: datetime,
) -> AlertCursor | None:
    """Put on record what is new to tell, if anything has changed since the last look.

    Returns
    -------
    AlertCursor or None
        None where there are no polls.
    """
    with database.read() as connection:
        newest = newest_poll(connection, now)
        reading = latest_ingest_id(connection)
        on_record = latest_alerts(connection)
    if newest is None:
        return None
    look = AlertCursor(newest.isoformat(), reading, after_minutes)
    if look == last:
        return look
    seen = datetime.fromisoformat(last.newest_poll) if last else None
    states = read_store_states(database, newest, on_record, seen, no_data_after)
    with database.registry_transaction(lock="alerts") as connection:
        alerts = new_alerts(
            states,
            latest_alerts(connection),  # another tick may have put some there meanwhile
            as_of=newest,
            evaluated_until=seen,
            threshold=timedelta(minutes=after_minutes),
        )
        insert_alerts(connection, alerts, now)
    return look


def notice_ingest(database: Database, now: datetime) -> None:
    """Put on record that the ingest fails, or that it has recovered, once each."""
    with database.read() as connection:
        failures = ingest_failures(connection)
    with database.registry_transaction(lock="alerts") as connection:
        latest = latest_ingest_alert(connection)
        alert = new_ingest_alert(
            latest_kind=None if latest is None else latest.kind,
            alerted_since=None if latest is None else latest.down_since,
            failed_since=None if failures is None else failures.since,
            run_id=None if failures is None else failures.run_id,
            error=None if failures is None else failures.error,
            as_of=now,
        )
        insert_alerts(connection, [] if alert is None else [alert], now)


def deliver_alerts(database: Database, webhook: WebhookClient, log: logging.Logger) -> int:
    """Send what is due; gives how many alerts the webhook has confirmed."""
    sent, give_up_at = 0, time.monotonic() + DELIVERY_SECONDS
    while time.monotonic() < give_up_at:
        with database.registry_transaction(lock="alerts") as connection:
            claimed = claim_next_alert(connection, datetime.now(UTC))
        if claimed is None:
            break
        answer = webhook.send(claimed.alert_id, claimed.payload, datetime.now(UTC))
        with database.registry_transaction(lock="alerts") as connection:
            if answer.error is None:
                mark_sent(connection, claimed, datetime.now(UTC))
            else:
                mark_failed(connection, claimed, answer.error)
        if answer.error is None:
            sent += 1
            continue
        log.warning(
            "Alert %s was not sent, at attempt %d: %s",
            claimed.alert_id,
            claimed.attempts,
            answer.error,
        )
        if answer.should_back_off:
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
def outage_alert_sensor(
    context: dg.SensorEvaluationContext, storemon: StoremonResource
) -> dg.SkipReason:
    """Look for stores that are down or up again, and tell the webhook."""
    settings, database = storemon.settings, storemon.database
    if settings.alert_webhook_url is None:
        return dg.SkipReason("STOREMON_ALERT_WEBHOOK_URL is not set: there are no alerts")
    if settings.alert_secret is None:
        msg = "STOREMON_ALERT_SECRET is not set: alerts need something to be signed with"
        raise MissingSecretError(msg)
    last = AlertCursor(**json.loads(context.cursor)) if context.cursor else None
    look = detect_alerts(
        database,
        last,
        settings.alert_after_minutes,
        settings.no_data_after,
        datetime.now(UTC),
    )
    if look is not None:
        context.update_cursor(json.dumps(asdict(look)))
    notice_ingest(database, datetime.now(UTC))
    webhook = WebhookClient(
        settings.alert_webhook_url.get_secret_value(), settings.alert_secret.get_secret_value()
    )
    try:
        sent = deliver_alerts(database, webhook, context.log)
    finally:
        webhook.close()
    with database.read() as connection:
        waiting = count_pending(connection)
    return dg.SkipReason(f"Sent {sent:,} alerts; {waiting:,} wait")


ALERT_SENSORS = [outage_alert_sensor]
