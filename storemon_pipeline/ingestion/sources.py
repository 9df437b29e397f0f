"""The kinds of raw files: their names, and what their columns may be called.

The names are those of the rules of the report (Inputs). Which files of a directory are read is
decided by :mod:`.discovery`, which also looks at their headers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

ENDINGS = (".csv", ".csv.gz", ".csv.zst")
"""How the names of files that are read end."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One of the kinds of raw files.

    Attributes
    ----------
    table_name : str
        The table that its rows go to.
    names : tuple of str
        What a file of this kind may be called, without its ending; the first that is found wins.
    columns : dict
        Column -> the names it may have in a header.
    is_append_only : bool
        True where files add up, and grow; False where a file is a snapshot that replaces the last.
    is_optional : bool
        True where most people have no such file.
    """

    table_name: str
    names: tuple[str, ...]
    columns: dict[str, tuple[str, ...]]
    is_append_only: bool = False
    is_optional: bool = False


STORE_STATUS = SourceFile(
    "store_status",
    ("store_status",),
    {
        "store_id": ("store_id",),
        "timestamp_utc": ("timestamp_utc",),
        "status": ("status",),
    },
    is_append_only=True,
)
BUSINESS_HOURS = SourceFile(
    "business_hours",
    ("menu_hours", "business_hours"),
    {
        "store_id": ("store_id",),
        "day_of_week": ("dayOfWeek", "day", "day_of_week"),
        "start_time_local": ("start_time_local",),
        "end_time_local": ("end_time_local",),
    },
)
STORE_TIMEZONES = SourceFile(
    "store_timezone",
    ("timezones", "store_timezones"),
    {"store_id": ("store_id",), "timezone_str": ("timezone_str",)},
)
SPECIAL_HOURS = SourceFile(
    "special_hours",
    ("special_hours",),
    {
        "store_id": ("store_id",),
        "date": ("date",),
        "start_time_local": ("start_time_local",),
        "end_time_local": ("end_time_local",),
    },
    is_optional=True,
)
SERVICE_LEVELS = SourceFile(
    "service_level",
    ("service_levels",),
    {"store_id": ("store_id",), "target_pct": ("target_pct",)},
    is_optional=True,
)
SOURCES = (STORE_STATUS, BUSINESS_HOURS, STORE_TIMEZONES, SPECIAL_HOURS, SERVICE_LEVELS)


def named_files(names: Sequence[str], kind: SourceFile) -> tuple[list[str], list[str]]:
    """The files that have a name of a kind, plain, gzip or zstd.

    Parameters
    ----------
    names : sequence of str
        The files of the directory.
    kind : SourceFile

    Returns
    -------
    read, passed_over : list of str
        Of polls, every ``store_status.csv`` and ``store_status_….csv``: the plain name first, then
        by name. Of a snapshot, the first name that is found, and the others.
    """
    if kind.is_append_only:
        (stem,) = kind.names
        pattern = re.compile(rf"{re.escape(stem)}(?P<part>[-_.].+)?\.csv(\.gz|\.zst)?")
        matches = [match for name in names if (match := pattern.fullmatch(name))]
        matches.sort(key=lambda match: (match["part"] or "", match.string))
        return [match.string for match in matches], []
    known = [name + ending for name in kind.names for ending in ENDINGS]
    found = [name for name in known if name in names]
    return found[:1], found[1:]
