"""Sensor that sends alerts to a webhook: stores that go down or recover, and a failing ingest.

:mod:`storemon_pipeline.uptime.outage_alerts` decides which alerts are due. Each alert is stored in
the outbox before it is sent, so a failed tick or a stopped daemon delays alerts but loses none.
"""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg

from storemon_pipeline.clients.webhook import WebhookClient
from storemon_pipeline.defs.failures import skip_if_database_unavailable
from storemon_pipeline.defs.resources import StoremonResource
from storemon_pipeline.evaluation.kept_states import evaluate_states
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
from storemon_pipeline.storage.polled_stores import newest_poll
from storemon_pipeline.storage.store_states import store_states
from storemon_pipeline.uptime.ingest_alerts import new_ingest_alert
from storemon_pipeline.uptime.messages import pluralize
from storemon_pipeline.uptime.outage_alerts import new_alerts

DELIVERY_SECONDS = 20
"""Time limit for deliveries in one tick; Dagster ends a tick after a minute."""


class MissingSecretError(RuntimeError):
    """A webhook is configured without a secret to sign alerts with."""


@dataclass(frozen=True, slots=True)
class AlertCursor:
    """Sensor cursor: the inputs of the previous evaluation.

    Attributes
    ----------
    newest_poll : str
        In ISO format.
    newest_reading : int
        Id of the newest row of ``ingested_file``: a file may correct earlier polls.
    after_minutes : int
        ``STOREMON_ALERT_AFTER_MINUTES``.
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
    """Store new outage alerts, if the inputs have changed since the last evaluation.

    Returns
    -------
    AlertCursor or None
        The next cursor; None if there are no polls.
    """
    with database.read() as connection:
        newest = newest_poll(database.polls, connection, now)
        ingest_id = latest_ingest_id(connection)
        stored_alerts = latest_alerts(connection)
    if newest is None:
        return None
    cursor = AlertCursor(newest.isoformat(), ingest_id, after_minutes)
    if cursor == last:
        return cursor
    evaluated_until = datetime.fromisoformat(last.newest_poll) if last else None
    evaluated = evaluate_states(database, newest, stored_alerts, evaluated_until, no_data_after)
    with database.registry_transaction(lock="alerts") as connection:
        alerts = new_alerts(
            evaluated.states,
            latest_alerts(connection),  # read again: a concurrent tick may have added some
            as_of=newest,
            evaluated_until=evaluated_until,
            threshold=timedelta(minutes=after_minutes),
        )
        insert_alerts(connection, alerts, now)
        # together with the alerts: a crash loses neither or both
        store_states(
            connection, evaluated.previous, evaluated.current, evaluated.changed, evaluated.gone
        )
    return cursor


def detect_ingest_alert(database: Database, now: datetime) -> None:
    """Store an alert if the ingest has started to fail or has recovered."""
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


def deliver_alerts(
    database: Database, webhook: WebhookClient, log: logging.Logger, clock: Callable[[], datetime]
) -> int:
    """Send the alerts that are due.

    Returns
    -------
    int
        Number of alerts that the webhook accepted.
    """
    sent, deadline = 0, time.monotonic() + DELIVERY_SECONDS
    while time.monotonic() < deadline:
        with database.registry_transaction(lock="alerts") as connection:
            claimed = claim_next_alert(connection, clock())
        if claimed is None:
            break
        result = webhook.send(claimed.alert_id, claimed.payload, clock())
        with database.registry_transaction(lock="alerts") as connection:
            if result.error is None:
                mark_sent(connection, claimed, clock())
            else:
                mark_failed(connection, claimed, result.error)
        if result.error is None:
            sent += 1
            continue
        log.warning(
            "Attempt %d to send alert %s failed: %s",
            claimed.attempts,
            claimed.alert_id,
            result.error,
        )
        if result.should_back_off:
            break
    return sent


def evaluate_alerts(
    storemon: StoremonResource,
    cursor: str | None,
    log: logging.Logger,
    clock: Callable[[], datetime],
) -> tuple[str | None, str]:
    """Detect and deliver alerts.

    Returns
    -------
    next_cursor : str or None
    summary : str

    Raises
    ------
    MissingSecretError
    """
    settings, database = storemon.settings, storemon.database
    if settings.alert_webhook_url is None:
        return cursor, "STOREMON_ALERT_WEBHOOK_URL is not set: alerts are off"
    if settings.alert_secret is None:
        msg = "STOREMON_ALERT_SECRET is not set: it is required to sign alerts"
        raise MissingSecretError(msg)
    last = AlertCursor(**json.loads(cursor)) if cursor else None
    latest = detect_alerts(
        database, last, settings.alert_after_minutes, settings.no_data_after, clock()
    )
    detect_ingest_alert(database, clock())
    webhook = WebhookClient(
        settings.alert_webhook_url.get_secret_value(), settings.alert_secret.get_secret_value()
    )
    try:
        sent = deliver_alerts(database, webhook, log, clock)
    finally:
        webhook.close()
    with database.read() as connection:
        pending = count_pending(connection)
    next_cursor = cursor if latest is None else json.dumps(asdict(latest))
    return next_cursor, f"{pluralize(sent, 'alert')} sent, {pending:,} pending"


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Sends alerts to STOREMON_ALERT_WEBHOOK_URL: when an open store has been down for "
        "STOREMON_ALERT_AFTER_MINUTES and when it recovers, once per outage; and when the ingest "
        "fails or recovers."
    ),
)
@skip_if_database_unavailable
def outage_alert_sensor(
    context: dg.SensorEvaluationContext, storemon: StoremonResource
) -> dg.SkipReason:
    """Detect outages and recoveries, and send alerts."""
    cursor, summary = evaluate_alerts(
        storemon, context.cursor, context.log, lambda: datetime.now(UTC)
    )
    if cursor is not None:
        context.update_cursor(cursor)
    return dg.SkipReason(summary)
