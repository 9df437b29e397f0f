"""Names of time zones: which are accepted, and which zone applies to a store.

Names of the IANA database (package ``tzdata``, the same on every machine) and of Windows (CLDR's
table in package ``tzlocal``) are accepted. :mod:`.utc_offsets` computes local times.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files

import pandas as pd
from tzlocal.windows_tz import win_tz

from storemon_pipeline.uptime.conversions import map_distinct
from storemon_pipeline.uptime.rules import DEFAULT_TIMEZONE


@lru_cache(maxsize=1)
def known_timezones() -> frozenset[str]:
    """Return the IANA names of all time zones, including old names and links."""
    return frozenset((files("tzdata") / "zones").read_text().split())


def _key(name: str) -> str:
    """Normalise the spelling of a name: its case, surrounding spaces, spaces for underscores."""
    return name.strip(" \t").replace(" ", "_").lower()


@lru_cache(maxsize=1)
def _name_by_key() -> dict[str, str]:
    """Return the IANA name of every normalised name; IANA's list has priority."""
    iana = known_timezones()
    windows = {_key(name): zone for name, zone in win_tz.items() if zone in iana}
    return windows | {_key(name): name for name in iana}


def canonical_timezone(name: str) -> str | None:
    """Return the IANA name of a time zone as people write it, or None if unknown (Inputs).

    IANA's old names and links, such as ``US/Eastern``, ``EST`` or ``Asia/Calcutta``, stay as they
    are.

    Examples
    --------
    >>> canonical_timezone(" america/new york"), canonical_timezone("Eastern Standard Time")
    ('America/New_York', 'America/New_York')
    >>> canonical_timezone("EST"), canonical_timezone("EDT")
    ('EST', None)
    """
    return _name_by_key().get(_key(name))


def canonical_timezones(names: pd.Series) -> pd.Series:
    """Apply :func:`canonical_timezone` to many names; each distinct name is looked up once.

    Parameters
    ----------
    names : Series of text
        A missing value is an unknown name.

    Returns
    -------
    Series of text, with the index of ``names``
        Missing where the name is unknown.
    """
    return map_distinct(
        names, lambda distinct: pd.Series(map(canonical_timezone, distinct), dtype="str")
    )


def resolve_timezone(name: str | None) -> str:
    """Return the zone that applies to a store: its own, or the default if unknown (rule 3).

    Databases filled by earlier versions hold names as in the files, so the spelling may not be
    IANA's.

    Examples
    --------
    >>> resolve_timezone("asia/beirut"), resolve_timezone("America/Gotham")
    ('Asia/Beirut', 'America/Chicago')
    """
    return (name and canonical_timezone(name)) or DEFAULT_TIMEZONE


def resolve_timezones(names: pd.Series) -> pd.Series:
    """Apply :func:`resolve_timezone` to many names.

    Parameters
    ----------
    names : Series of text
        As for :func:`canonical_timezones`.

    Returns
    -------
    Series of text, with the index of ``names``
        Known IANA names.
    """
    return canonical_timezones(names).fillna(DEFAULT_TIMEZONE)
