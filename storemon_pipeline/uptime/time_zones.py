"""Names of time zones: the ones that are accepted, and the zone whose clock counts for a store.

A name is one of the IANA database (the ``tzdata`` package, so the same on every machine) or one
that Windows gives a zone (CLDR's table, as the ``tzlocal`` package has it). What a zone's clock
shows is computed in :mod:`.wall_clock`.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files

import pandas as pd
from tzlocal.windows_tz import win_tz

from storemon_pipeline.uptime.rules import DEFAULT_TIMEZONE


@lru_cache(maxsize=1)
def known_timezones() -> frozenset[str]:
    """The IANA names of all time zones, old names and links included."""
    return frozenset((files("tzdata") / "zones").read_text().split())


def _key(name: str) -> str:
    """The same for all spellings of a name: any case, spaces around it or for underscores."""
    return name.strip(" \t").replace(" ", "_").lower()


@lru_cache(maxsize=1)
def _name_by_key() -> dict[str, str]:
    """The IANA name of every accepted spelling; of a name on both lists, IANA's own zone."""
    iana = known_timezones()
    of_windows = {_key(name): zone for name, zone in win_tz.items() if zone in iana}
    return of_windows | {_key(name): name for name in iana}


def canonical_timezone(name: str) -> str | None:
    """The IANA name of a time zone as people write it; None where no list has it (Inputs).

    IANA's old names and links, such as ``US/Eastern``, ``EST`` or ``Asia/Calcutta``, are kept.

    Examples
    --------
    >>> canonical_timezone(" america/new york"), canonical_timezone("Eastern Standard Time")
    ('America/New_York', 'America/New_York')
    >>> canonical_timezone("EST"), canonical_timezone("EDT")
    ('EST', None)
    """
    return _name_by_key().get(_key(name))


def canonical_timezones(names: pd.Series) -> pd.Series:
    """As :func:`canonical_timezone`, of many names at once; each that differs is looked up once.

    Parameters
    ----------
    names : Series of text
        Missing values are names that no list has.

    Returns
    -------
    Series of text, with the index of ``names``
        Missing where no list has the name.
    """
    which, known = pd.factorize(names)  # -1 for a missing value
    zones = pd.Series([*map(canonical_timezone, known), None], dtype="str")
    return pd.Series(zones.array.take(which), index=names.index)


def resolve_timezone(name: str | None) -> str:
    """The zone whose clock counts for a store: its own, or the default where that is not known.

    Rule 3. Databases that earlier versions filled hold names as the files had them, so a name need
    not be IANA's spelling.

    Examples
    --------
    >>> resolve_timezone("asia/beirut"), resolve_timezone("America/Gotham")
    ('Asia/Beirut', 'America/Chicago')
    """
    return (name and canonical_timezone(name)) or DEFAULT_TIMEZONE


def resolve_timezones(names: pd.Series) -> pd.Series:
    """As :func:`resolve_timezone`, of many names at once.

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
