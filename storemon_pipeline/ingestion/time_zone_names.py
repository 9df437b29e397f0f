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
        "is a placeholder for a missing value: enter the store's time zone, or delete the row",
    ),
    (
        r"(?i:(?:utc|gmt)?\s*[+-]\s*\d{1,2}(?::?\d\d)?)",
        f"is a UTC offset, which does not define clock changes: {_USE}",
    ),
    ("[Zz]", "is a timestamp suffix, not a time zone name: use UTC"),
    (r"[A-Za-z]{1,5}", f"is an abbreviation, which may be ambiguous: {_USE}"),
    (r"(?s:.*)", f"is not an IANA or Windows time zone name: {_USE}"),
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
