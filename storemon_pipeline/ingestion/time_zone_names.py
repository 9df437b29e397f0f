"""Conversion of time zone names to IANA names, with a hint for each unknown name."""

from __future__ import annotations

import pandas as pd
import pandera.pandas as pa

from storemon_pipeline.ingestion.columns import fullmatch
from storemon_pipeline.uptime.time_zones import canonical_timezones

_USE = "use an IANA name such as America/New_York"
# the first match applies to an unknown name
_HINTS = (
    ("", "must name a time zone, such as America/New_York"),
    (
        r"(?i:null|nil|none|nan|nat|na|n/a|unknown|undefined|-+|\?+)",
        "stands for a missing value: name the store's time zone, or leave the row out",
    ),
    (
        r"(?i:(?:utc|gmt)?\s*[+-]\s*\d{1,2}(?::?\d\d)?)",
        f"is an offset, which does not say when clocks change: {_USE}",
    ),
    ("[Zz]", "is the end of a timestamp and no name: write UTC"),
    (
        r"[A-Za-z]{1,5}",
        f"is an abbreviation, and several time zones may share one: {_USE}",
    ),
    (r"(?s:.*)", f"is no time zone of IANA's list or of Windows': {_USE}"),
)


def parse_timezones(names: pd.Series) -> tuple[pd.Series, pa.Column]:
    """Convert time zone names to IANA names, and return the column that validates them.

    Parameters
    ----------
    names : Series of text
        Without surrounding spaces.

    Returns
    -------
    zones : Series of text
        Missing if neither IANA nor Windows has the zone.
    column : Column
        One check per kind of unknown name; its error is the hint.
    """
    zones = canonical_timezones(names)
    remaining = zones.isna()
    checks = []
    for pattern, hint in _HINTS:
        matches = remaining & fullmatch(names, pattern)
        remaining &= ~matches
        checks.append(_rejects_with_hint(matches, hint))
    return zones, pa.Column("str", checks, nullable=True)


def _rejects_with_hint(rows: pd.Series, hint: str) -> pa.Check:
    return pa.Check(lambda _zones: ~rows, ignore_na=False, error=hint)
