"""The record of an alert: what it reports, and the state of its delivery."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from storemon_pipeline.uptime.outage_alerts import DOWN


@dataclass(frozen=True, slots=True)
class AlertRecord:
    """An alert and the state of its delivery.

    Attributes
    ----------
    id : int
        In order of creation.
    alert_id, kind : str
    store_id : str or None
        None if the alert is about the ingest.
    down_since, as_of, created_at : datetime
    sent_at : datetime or None
        When the webhook confirmed it; None while pending.
    attempts : int
    last_error : str or None
        Why the last attempt failed, if the alert is pending.
    """

    id: int
    alert_id: str
    kind: str
    store_id: str | None
    down_since: datetime
    as_of: datetime
    created_at: datetime
    sent_at: datetime | None
    attempts: int
    last_error: str | None

    @property
    def is_down(self) -> bool:
        """Return whether the alert reports an outage rather than a recovery."""
        return self.kind == DOWN
