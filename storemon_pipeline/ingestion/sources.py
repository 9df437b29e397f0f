"""Kinds of raw files, with their file and column names.

The rules of the report (Inputs) define the names. :mod:`.discovery` selects the files of a
directory, also by their headers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

ENDINGS = (".csv", ".csv.gz", ".csv.zst")
"""Endings of the files that are read."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A kind of raw file.

    Attributes
    ----------
    table_name : str
        The table that stores its rows.
    names : tuple of str
        Accepted file names without ending; the first existing one is read.
    columns : dict
        Column -> its accepted names in a header.
    is_append_only : bool
        True: rows accumulate, and files may grow. False: a file is a snapshot that replaces the
        previous one.
    is_optional : bool
        True: a missing file is not worth a warning.
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
    """Select the files with a name of a kind, plain, gzip or zstd.

    Parameters
    ----------
    names : sequence of str
        The files of the directory.
    kind : SourceFile

    Returns
    -------
    read, ignored : list of str
        Of polls, every ``store_status.csv`` and ``store_status_….csv``: the plain name first, then
        by name. Of a snapshot, the first existing name, and the others.
    """
    if kind.is_append_only:
        (stem,) = kind.names
        pattern = re.compile(rf"{re.escape(stem)}(?P<part>[-_.].+)?\.csv(\.gz|\.zst)?")
        matches = [match for name in names if (match := pattern.fullmatch(name))]
        matches.sort(key=lambda match: (match["part"] or "", match.string))
        return [match.string for match in matches], []
    accepted = [name + ending for name in kind.names for ending in ENDINGS]
    existing = [name for name in accepted if name in names]
    return existing[:1], existing[1:]
