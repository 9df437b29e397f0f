"""Selection of the files of a data directory.

A file with an accepted name is read. If a kind has no such file, the only file whose header has the
columns of that kind is read instead. Every other file that looks like data is reported with a
reason, so that none is ignored silently.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from storemon_pipeline.ingestion.csv_parser import find_columns, header_names, other_separator
from storemon_pipeline.ingestion.file_errors import IngestionError
from storemon_pipeline.ingestion.line_reader import LineReader
from storemon_pipeline.ingestion.raw_file import RawFile
from storemon_pipeline.ingestion.sources import ENDINGS, SOURCES, SourceFile, named_files
from storemon_pipeline.uptime.messages import shorten

_TEXT_ENDING = ".txt"
MAX_LISTED_FILES = 10
_UNSUPPORTED_FORMATS = {
    ".xlsx": "a spreadsheet: save it as CSV",
    ".xls": "a spreadsheet: save it as CSV",
    ".ods": "a spreadsheet: save it as CSV",
    ".zip": "an archive: unpack it here",
    ".tar": "an archive: unpack it here",
    ".tgz": "an archive: unpack it here",
    ".gz": "compressed, but its name does not end with .csv.gz",
    ".zst": "compressed, but its name does not end with .csv.zst",
    ".tsv": "separated by tabs: save it with commas, as .csv",
    ".json": "JSON: save it as CSV",
    ".jsonl": "JSON: save it as CSV",
    ".parquet": "Parquet: save it as CSV",
}


@dataclass(frozen=True, slots=True)
class UnreadFile:
    """A file that looks like data and is not read.

    Attributes
    ----------
    file : str
        Name of the file.
    reason : str
        Why it is not read, and the remedy.
    """

    file: str
    reason: str


@dataclass(frozen=True, slots=True)
class _Inspected:
    """The source that a file's header matches, or the reason for no match."""

    kind: SourceFile | None
    fault: str = ""


@dataclass(slots=True)
class SourceFiles:
    """The files of one kind.

    Attributes
    ----------
    paths : list of Path
        Files to read, in order: later ones correct earlier ones.
    by_header : bool
        Whether the file was selected by its header, not by its name.
    candidates : list of str
        Files with a matching header, if several; none of them is read.
    """

    paths: list[Path] = field(default_factory=list)
    by_header: bool = False
    candidates: list[str] = field(default_factory=list)


@dataclass(slots=True)
class DataDirectory:
    """The data files of a directory.

    Attributes
    ----------
    sources : dict
        Table name -> SourceFiles.
    unread : list of UnreadFile
        Sorted by name.
    """

    sources: dict[str, SourceFiles]
    unread: list[UnreadFile]


def scan_data_dir(data_dir: Path, kinds: Collection[SourceFile] = SOURCES) -> DataDirectory:
    """Select the files of a data directory, and assign each to a kind.

    Parameters
    ----------
    data_dir : Path
    kinds : collection of SourceFile
        Only these are returned; files of the other kinds are not reported as unread.

    Raises
    ------
    IngestionError
        If the directory does not exist or cannot be read.
    """
    names, undecodable = _file_names(data_dir)
    sources: dict[str, SourceFiles] = {}
    ignored: dict[str, SourceFile] = {}
    named: set[str] = set()
    for kind in SOURCES:
        read, rest = named_files(names, kind)
        sources[kind.table_name] = SourceFiles([data_dir / name for name in read])
        named |= {*read, *rest}
        ignored |= dict.fromkeys(rest, kind)
    others = [name for name in names if name not in named and not name.startswith(".")]
    inspected = {
        name: _inspect(data_dir / name)
        for name in others
        if name.lower().endswith((*ENDINGS, _TEXT_ENDING))
    }
    for kind in SOURCES:
        source = sources[kind.table_name]
        matching = [name for name, file in inspected.items() if file.kind is kind and _is_csv(name)]
        if not source.paths and len(matching) == 1:
            source.paths, source.by_header = [data_dir / matching[0]], True
        elif not source.paths:
            source.candidates = matching
    read_names = {path.name for source in sources.values() for path in source.paths}
    unread = [
        UnreadFile(name, f"{sources[kind.table_name].paths[0].name} takes precedence")
        for name, kind in ignored.items()
    ]
    unread += [
        UnreadFile(name, reason)
        for name in others
        if name not in read_names and (reason := _reason(name, inspected.get(name), sources))
    ]
    unread += [
        UnreadFile(name, "its name is not valid UTF-8: rename it")
        for name in undecodable
        if _is_csv(name) or Path(name).suffix.lower() in _UNSUPPORTED_FORMATS
    ]
    tables = {kind.table_name for kind in kinds}
    return DataDirectory(
        {table: source for table, source in sources.items() if table in tables},
        sorted(unread, key=lambda file: file.file),
    )


def raise_if_ambiguous(directory: DataDirectory, kinds: Collection[SourceFile]) -> None:
    """Raise if several files match one kind by their header.

    Raises
    ------
    IngestionError
        The message names all of them.
    """
    for kind in kinds:
        if candidates := directory.sources[kind.table_name].candidates:
            named = shorten(" and ".join(candidates), 500)
            msg = (
                f"{kind.names[0]}.csv is missing, and the headers of {named} "
                f"all match: rename the right one to {kind.names[0]}.csv"
            )
            if kind.is_append_only:
                msg += f", or all of them to {kind.names[0]}_….csv"
            raise IngestionError(msg)


def list_unread(unread: Sequence[UnreadFile]) -> str:
    """Format the first unread files, each with its reason, as part of a message."""
    named = [f"{each.file}, {each.reason}" for each in unread[:MAX_LISTED_FILES]]
    if (others := len(unread) - len(named)) > 0:
        named.append(f"and {others:,} more")
    return "; ".join(named)


def fingerprint(data_dir: Path) -> dict[str, list[int]]:
    """Return size and modification time of every raw file, to detect new and changed files.

    It includes ambiguous files, so that a run is started and reports them.

    Returns
    -------
    dict
        File name -> [bytes, nanoseconds since 1970].

    Raises
    ------
    IngestionError
        As :func:`scan_data_dir`: an unreadable directory does not count as empty.
    """
    prints: dict[str, list[int]] = {}
    for source in scan_data_dir(data_dir).sources.values():
        for path in [*source.paths, *(data_dir / name for name in source.candidates)]:
            stat = path.stat()
            prints[path.name] = [stat.st_size, stat.st_mtime_ns]
    return prints


def _file_names(data_dir: Path) -> tuple[list[str], list[str]]:
    """Return the file names in UTF-8, and the others with escaped bytes."""
    try:
        names = sorted(path.name for path in data_dir.iterdir() if path.is_file())
    except FileNotFoundError as error:
        msg = (
            f"the data directory {data_dir} does not exist: create it, or set STOREMON_DATA_DIR to "
            "the directory of store_status.csv"
        )
        raise IngestionError(msg) from error
    except OSError as error:
        msg = (
            f"the data directory {data_dir} cannot be read: {error.strerror}. "
            "Set STOREMON_DATA_DIR to a readable directory"
        )
        raise IngestionError(msg) from error
    plain = [os.fsencode(name).decode(errors="backslashreplace") for name in names]
    decodable = [name for name, escaped in zip(names, plain, strict=True) if name == escaped]
    return decodable, sorted(set(plain) - set(decodable))


def _is_csv(name: str) -> bool:
    return name.lower().endswith(ENDINGS)


def _inspect(path: Path) -> _Inspected:
    try:
        with RawFile(path) as file, LineReader(file) as content:
            names = header_names(content.header(), path.name)
    except IngestionError as error:
        return _Inspected(None, f"it {str(error).removeprefix(path.name).lstrip()}")
    kinds = [kind for kind in SOURCES if find_columns(names, kind).is_complete]
    if len(kinds) == 1:
        return _Inspected(kinds[0])
    if kinds:
        files = " and ".join(f"{kind.names[0]}.csv" for kind in kinds)
        return _Inspected(None, f"its header matches {files}: rename it to one of them")
    if separator := other_separator(names):
        return _Inspected(None, f"its columns are separated by {separator!r}, not by commas")
    return _Inspected(None, "neither its name nor its header matches a raw file")


def _reason(name: str, inspected: _Inspected | None, sources: dict[str, SourceFiles]) -> str | None:
    """Return why a file is not read; None if it does not look like data."""
    if inspected is None:
        ending = Path(name).suffix.lower()
        return f"it is {_UNSUPPORTED_FORMATS[ending]}" if ending in _UNSUPPORTED_FORMATS else None
    kind = inspected.kind
    if not _is_csv(name):
        return f"its header matches {kind.names[0]}.csv: rename it to that" if kind else None
    if kind is None:
        return inspected.fault
    source = sources[kind.table_name]
    if source.candidates:
        others = " or ".join(candidate for candidate in source.candidates if candidate != name)
        others = shorten(others, 500)
        return f"the header of {others} also matches"
    read = source.paths[0].name
    if kind.is_append_only:
        return f"{read} is read; to add its polls, rename it to {kind.names[0]}_….csv"
    return f"{read} is read instead"
