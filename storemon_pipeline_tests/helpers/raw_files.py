"""Faults of the rows of raw files, found independently of the package."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime


def instant(stamp: str) -> datetime:
    """Parse a timestamp in the format of the real files; raise ValueError for any other."""
    return datetime.fromisoformat(stamp.removesuffix(" UTC")).replace(tzinfo=UTC)


def fault(row: Sequence[str]) -> str:
    """Return the fault of a row of ``store_status.csv``; empty if it has none."""
    store_id, status, stamp = row
    if not store_id:
        return "empty id"
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:-]*", store_id):
        return f"id starts with {store_id[0]}"
    if status not in ("active", "inactive"):
        return "unknown status"
    if not stamp:
        return "empty timestamp"
    try:
        instant(stamp)
    except ValueError:
        return "impossible date" if stamp[0].isdigit() else "malformed timestamp"
    return ""
