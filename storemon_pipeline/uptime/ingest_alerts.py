"""Decide which alert about ingestion is due: that it fails, or that it has recovered."""

from __future__ import annotations

import hashlib
from datetime import datetime

from storemon_pipeline.uptime.conversions import to_iso_z
from storemon_pipeline.uptime.outage_alerts import Alert

INGEST_FAILED, INGEST_RECOVERED = "ingest_failed", "ingest_recovered"


def new_ingest_alert(
    *,
    latest_kind: str | None,
    alerted_since: datetime | None,
    failed_since: datetime | None,
    run_id: str | None,
    error: str | None,
    as_of: datetime,
) -> Alert | None:
    """Decide whether an alert about the ingest is due: one when it fails, one when it recovers.

    Parameters
    ----------
    latest_kind : str or None
        Kind of the latest alert about the ingest; None if there was none.
    alerted_since : datetime or None
        Time of the first failure, according to that alert.
    failed_since : datetime or None
        Time of the first failure since the latest success; None if the latest ingest
        succeeded.
    run_id, error : str or None
        Of the run that failed last.
    as_of : datetime
        Now; UTC.

    Returns
    -------
    Alert or None
    """
    is_alerted = latest_kind == INGEST_FAILED
    if failed_since is not None and not is_alerted:
        facts = {"run_id": run_id, "error": error}
        return _alert(INGEST_FAILED, failed_since, as_of, facts)
    # also if another failure has begun since: the next evaluation alerts for that one
    if is_alerted and alerted_since is not None and failed_since != alerted_since:
        return _alert(INGEST_RECOVERED, alerted_since, as_of, {})
    return None


def _alert(kind: str, since: datetime, as_of: datetime, facts: dict[str, str | None]) -> Alert:
    text = f"{kind}\n{to_iso_z(since)}"
    alert_id = hashlib.sha256(text.encode()).hexdigest()[:32]
    payload = {
        "alert_id": alert_id,
        "kind": kind,
        "failed_since": to_iso_z(since),
        **facts,
        "as_of": to_iso_z(as_of),
    }
    return Alert(alert_id, None, kind, since, as_of, payload)
