"""Which raw files there are in the data directory, and what their columns may be called.

The names are those of the rules of the report (Inputs). What is inside a file is not looked at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from storemon_pipeline.intake.errors import IntakeError

_ENDINGS = (".csv", ".csv.gz", ".csv.zst")


@dataclass(frozen=True, slots=True)
class FileKind:
    """One of the kinds of raw files.

    Attributes
    ----------
    table_name : str
        The table that its rows go to.
    names : tuple of str
        What a file of this kind may be called, without its ending; the first that is found wins.
    columns : dict
        Column -> the names it may have in a header.
    is_log : bool
        True where files add up, and grow; False where a file is a snapshot that replaces the last.
    is_optional : bool
        True where most people have no such file.
    """

    table_name: str
    names: tuple[str, ...]
    columns: dict[str, tuple[str, ...]]
    is_log: bool = False
    is_optional: bool = False


STORE_STATUS = FileKind(
    "store_status",
    ("store_status",),
    {
        "store_id": ("store_id",),
        "timestamp_utc": ("timestamp_utc",),
        "status": ("status",),
    },
    is_log=True,
)
BUSINESS_HOURS = FileKind(
    "business_hours",
    ("menu_hours", "business_hours"),
    {
        "store_id": ("store_id",),
        "day_of_week": ("dayOfWeek", "day", "day_of_week"),
        "start_time_local": ("start_time_local",),
        "end_time_local": ("end_time_local",),
    },
)
STORE_TIMEZONES = FileKind(
    "store_timezone",
    ("timezones", "store_timezones"),
    {"store_id": ("store_id",), "timezone_str": ("timezone_str",)},
)
SPECIAL_HOURS = FileKind(
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
SERVICE_LEVELS = FileKind(
    "service_level",
    ("service_levels",),
    {"store_id": ("store_id",), "target_pct": ("target_pct",)},
    is_optional=True,
)
KINDS = (STORE_STATUS, BUSINESS_HOURS, STORE_TIMEZONES, SPECIAL_HOURS, SERVICE_LEVELS)


@dataclass(frozen=True, slots=True)
class FoundFiles:
    """The files of one kind in a data directory.

    Attributes
    ----------
    paths : tuple of Path
        Those to read, in the order in which later ones correct earlier ones.
    passed_over : tuple of Path
        Those whose name would do, but another was found first.
    """

    paths: tuple[Path, ...]
    passed_over: tuple[Path, ...] = ()


def _file_names(data_dir: Path) -> list[str]:
    try:
        return sorted(path.name for path in data_dir.iterdir() if path.is_file())
    except FileNotFoundError as error:
        msg = (
            f"there is no data directory {data_dir}: make it, or set STOREMON_DATA_DIR to the one "
            "with store_status.csv"
        )
        raise IntakeError(msg) from error
    except OSError as error:
        msg = (
            f"the data directory {data_dir} cannot be read: {error.strerror}. "
            "Set STOREMON_DATA_DIR to a directory that can be"
        )
        raise IntakeError(msg) from error


def find_files(data_dir: Path, kind: FileKind) -> FoundFiles:
    """Find the files of a kind, plain, gzip or zstd.

    Of polls, every ``store_status.csv`` and ``store_status_….csv`` is read: the plain name first,
    then by name. Of a snapshot, the first name that is found.

    Raises
    ------
    IntakeError
        Where there is no such directory, or it cannot be read.
    """
    present = _file_names(data_dir)
    if kind.is_log:
        (stem,) = kind.names
        pattern = re.compile(rf"{re.escape(stem)}(?P<part>[-_.].+)?\.csv(\.gz|\.zst)?")
        matches = [match for name in present if (match := pattern.fullmatch(name))]
        matches.sort(key=lambda match: (match["part"] or "", match.string))
        return FoundFiles(tuple(data_dir / match.string for match in matches))
    known = [name + ending for name in kind.names for ending in _ENDINGS]
    found = tuple(data_dir / name for name in known if name in present)
    return FoundFiles(found[:1], found[1:])


def fingerprint(data_dir: Path) -> dict[str, list[int]]:
    """Size and time of change of every raw file: differs when one is new or was written to.

    Returns
    -------
    dict
        File name -> [bytes, nanoseconds since 1970].

    Raises
    ------
    IntakeError
        As :func:`find_files`: a directory that cannot be read is not an empty one.
    """
    prints: dict[str, list[int]] = {}
    for kind in KINDS:
        for path in find_files(data_dir, kind).paths:
            stat = path.stat()
            prints[path.name] = [stat.st_size, stat.st_mtime_ns]
    return prints
