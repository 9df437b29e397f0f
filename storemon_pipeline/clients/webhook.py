"""HTTP client of the alert webhook: one signed POST per alert, following Standard Webhooks."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
from standardwebhooks import Webhook

_TIMEOUT = httpx.Timeout(10)
_SERVER_ERRORS = range(500, 600)
_TOO_MANY_REQUESTS = 429


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """Outcome of one delivery attempt.

    Attributes
    ----------
    error : str or None
        None if the webhook confirmed the alert with a status from 200 to 299.
    should_back_off : bool
        Whether other alerts would currently fail too.
    """

    error: str | None = None
    should_back_off: bool = False


class WebhookClient:
    """Client of one webhook, with one connection for several alerts.

    Parameters
    ----------
    url : str
    secret : str
        The signing secret: ``whsec_`` and base64.
    """

    def __init__(self, url: str, secret: str) -> None:
        # httpx logs each request's URL at INFO, and the URL may be a secret itself
        logging.getLogger("httpx").setLevel(logging.WARNING)
        self._url, self._signer = url, Webhook(secret)
        self._http = httpx.Client(timeout=_TIMEOUT)

    def send(self, alert_id: str, payload: dict[str, Any], now: datetime) -> DeliveryResult:
        """Send an alert once.

        Parameters
        ----------
        alert_id : str
            The same for every attempt, so that the receiver can deduplicate.
        payload : dict
        now : datetime
            Time of this attempt, UTC. It is signed, so that receivers can reject replays.
        """
        body = json.dumps(payload)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "storemon",
            "Idempotency-Key": alert_id,
            "webhook-id": alert_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._signer.sign(alert_id, now, body),
        }
        try:
            # only the status counts, so the response's body is not read
            with self._http.stream("POST", self._url, content=body, headers=headers) as response:
                status = response.status_code
        except httpx.InvalidURL:
            # the exception's text contains the URL
            error = "STOREMON_ALERT_WEBHOOK_URL is not a valid URL"
            return DeliveryResult(error, should_back_off=True)
        except httpx.HTTPError as error:
            return DeliveryResult(f"{type(error).__name__}: {error}", should_back_off=True)
        if httpx.codes.is_success(status):
            return DeliveryResult()
        is_overloaded = status in _SERVER_ERRORS or status == _TOO_MANY_REQUESTS
        return DeliveryResult(f"answered {status}", should_back_off=is_overloaded)

    def close(self) -> None:
        """Close the connection."""
        self._http.close()
