"""How an alert is told to a webhook: a signed POST of JSON."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

# its line for each request names the whole address, which may be a secret itself
logging.getLogger("httpx").setLevel(logging.WARNING)

_TIMEOUT = httpx.Timeout(10)
_OWN_FAULT = range(500, 600)
_TOO_MANY = 429


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """What ``X-Storemon-Signature`` says: the HMAC-SHA256 of timestamp, dot and body.

    Parameters
    ----------
    secret : str
    timestamp : str
        As in ``X-Storemon-Timestamp``.
    body : bytes

    Examples
    --------
    >>> signature("a secret of both", "1731435202", b"{}")
    'sha256=...'
    """
    digest = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256)
    return f"sha256={digest.hexdigest()}"


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """What a webhook made of an alert.

    Attributes
    ----------
    error : str or None
        None where it has confirmed it, by any status from 200 to 299.
    should_back_off : bool
        Whether it would not take another one either, just now.
    """

    error: str | None = None
    should_back_off: bool = False


class WebhookClient:
    """A webhook, for some alerts one after the other.

    Parameters
    ----------
    url, secret : str
    """

    def __init__(self, url: str, secret: str) -> None:
        self._url, self._secret = url, secret
        self._http = httpx.Client(timeout=_TIMEOUT)

    def send(self, alert_id: str, payload: dict[str, Any], now: datetime) -> DeliveryResult:
        """Send an alert once.

        Parameters
        ----------
        alert_id : str
        payload : dict
        now : datetime
            Is signed as well, so that nobody can send again later what was sent now.
        """
        body = json.dumps(payload).encode()
        timestamp = str(int(now.timestamp()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "storemon",
            "Idempotency-Key": alert_id,
            "X-Storemon-Timestamp": timestamp,
            "X-Storemon-Signature": signature(self._secret, timestamp, body),
        }
        try:
            # the status is all that counts: an answer's body is not waited for
            with self._http.stream("POST", self._url, content=body, headers=headers) as response:
                status = response.status_code
        except httpx.InvalidURL:
            # its words have the address in them, which may be a secret itself
            return DeliveryResult("STOREMON_ALERT_WEBHOOK_URL is no address", should_back_off=True)
        except httpx.HTTPError as error:
            return DeliveryResult(f"{type(error).__name__}: {error}", should_back_off=True)
        if httpx.codes.is_success(status):
            return DeliveryResult()
        return DeliveryResult(
            f"answered {status}", should_back_off=status in _OWN_FAULT or status == _TOO_MANY
        )

    def close(self) -> None:
        """Give back the connection."""
        self._http.close()
