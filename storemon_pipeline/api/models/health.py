"""Model of the health endpoints."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel


class Health(BaseModel):
    """The service is alive or ready."""

    status: Literal["ok"]
