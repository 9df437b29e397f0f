"""CSV parser: the header, and lines to rows of text.

Quoted newlines are not supported, so that a stray quote cannot swallow the rest of the file.
:mod:`.validation` interprets the values.
"""

from __future__ import annotations

import codecs
import csv
import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from storemon_pipeline.ingestion.file_errors import IngestionError
from storemon_pipeline.ingestion.line_reader import LineBlock
from storemon_pipeline.ingestion.sources import SourceFile
from storemon_pipeline.uptime.messages import pluralize, quote_value, shorten

# a field is quoted as a whole, or neither starts with a quote nor contains a carriage return
_FIELD = r'(?:"(?:[^"]|"")*"|[^",\r\n][^,\r\n]*)?'
_WELL_FORMED = rf"^{_FIELD}(?:,{_FIELD})*\r?\n$"
_SPACE = " \t"
_SPACE_BEFORE_QUOTE = re.compile(rb'(^|,)[ \t]+(?=")', re.MULTILINE)
_SPACE_AFTER_QUOTE = re.compile(rb'(?<=")[ \t]+(?=,|\r?\n)')
_LINE_END = r"\r?\n\z"
_LAST_COMMA = r",[ \t]*(\r?\n)$"
_ENDS_IN_COMMA = re.compile(rb",[ \t]*\r?\n")

LINE = "line_number"

Int = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Header:
    """Positions of the columns in a file.

    Attributes
    ----------
    width : int
        Number of columns, including unused ones.
    positions : dict
        Column -> its position in the file.
    """

    width: int
    positions: dict[str, int]


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a block.

    Attributes
    ----------
    text : DataFrame
        The kind's columns as text, and ``line_number`` (int64).
    bad_rows : DataFrame
        ``line_number``, ``row_text``, ``reason``: the lines that are not valid CSV.
    count : int
        Number of rows, including bad ones; blank lines do not count.
    lines : int
        Number of lines.
    """

    text: pd.DataFrame
    bad_rows: pd.DataFrame
    count: int
    lines: int


@dataclass(frozen=True, slots=True)
class FoundColumns:
    """Candidates for the columns of a kind in a header.

    Attributes
    ----------
    positions : dict
        Column -> the positions of all header names that match it.
    """

    positions: dict[str, list[int]]

    @property
    def is_complete(self) -> bool:
        """Whether every column has a candidate."""
        return all(self.positions.values())


def header_names(line: bytes, file: str) -> list[str]:
    """Parse a header line into names.

    Raises
    ------
    IngestionError
        If the line is not CSV, or the file is a Git LFS pointer.
    """
    if line.startswith(b"version https://git-lfs."):
        msg = f"{file} is a Git LFS pointer, not the data: fetch the data with `git lfs pull`"
        raise IngestionError(msg)
    try:
        return [
            name.strip() for name in next(csv.reader([line.decode()], skipinitialspace=True), [])
        ]
    except csv.Error as error:
        why = "its lines end with CR only" if b"\r" in line else str(error)
        msg = f"{file} is not CSV: {why}. Save it as CSV whose lines end with LF or CRLF"
        raise IngestionError(msg) from error


def find_columns(names: list[str], kind: SourceFile) -> FoundColumns:
    """Find the columns of a kind, ignoring case, spaces, hyphens and underscores."""
    plain = [_plain(name) for name in names]
    return FoundColumns(
        {
            column: [at for at, name in enumerate(plain) if name in set(map(_plain, accepted))]
            for column, accepted in kind.columns.items()
        }
    )


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).lower()


def read_header(line: bytes, kind: SourceFile, file: str) -> Header:
    """Parse a header line and locate the columns of a kind.

    Raises
    ------
    IngestionError
        If the line is not CSV, or a column is missing or ambiguous. The message names the file, the
        header's columns and the accepted ones.
    """
    names = header_names(line, file)
    positions: dict[str, int] = {}
    for column, candidates in find_columns(names, kind).positions.items():
        if not candidates:
            raise IngestionError(_missing(column, kind.columns[column], names, file))
        if len(candidates) > 1:
            named = " and ".join(f"{quote_value(names[at])} (column {at + 1})" for at in candidates)
            named = shorten(named, 500)
            msg = (
                f"{file} has {len(candidates)} columns that match {column}: {named}. Keep one and "
                "remove or rename the others"
            )
            raise IngestionError(msg)
        positions[column] = candidates[0]
    return Header(len(names), positions)


def _missing(column: str, accepted: tuple[str, ...], names: list[str], file: str) -> str:
    header = shorten(", ".join(map(quote_value, names)), 500) or "no column names"
    msg = (
        f"{file} has no column {column}: its header has {header}; accepted "
        f"{'name is' if len(accepted) == 1 else 'names are'} {' or '.join(accepted)}"
    )
    if separator := other_separator(names):
        msg += f". Separate columns by commas, not by {separator!r}"
    return msg


def other_separator(names: list[str]) -> str | None:
    """Return the separator of a header without commas, or None."""
    if len(names) != 1:
        return None
    return next((separator for separator in ";\t|" if separator in names[0]), None)


def make_rejects(line_numbers: object, texts: object, reasons: object) -> pd.DataFrame:
    """Build a table of bad rows from its three columns."""
    table = pd.DataFrame({LINE: line_numbers, "row_text": texts, "reason": reasons})
    return table.astype({LINE: "int64", "row_text": "object", "reason": "object"})


def parse_rows(block: LineBlock, header: Header) -> Rows:
    """Parse the lines of a block."""
    lines = _without_space_at_quotes(block.data)
    data = np.frombuffer(lines, dtype=np.uint8)
    ends = np.flatnonzero(data == ord("\n")) + 1
    starts = np.concatenate(([0], ends[:-1]))
    length = ends - starts - 1
    blank = (length == 0) | ((length == 1) & (data[starts] == ord("\r")))
    malformed = np.zeros(len(ends), dtype=bool)
    returns = lines.count(b"\r")
    if b'"' in lines or (returns and returns > lines.count(b"\r\n")):
        malformed = ~_well_formed(lines, ends)
    usable = np.flatnonzero(~blank & ~malformed)
    if len(usable) < len(ends):
        lines = data[np.repeat(~blank & ~malformed, ends - starts)].tobytes()

    wrong_width: dict[int, str] = {}

    def on_invalid_row(row: arrow_csv.InvalidRow) -> str:
        wrong_width[row.number - 1] = (
            f"{pluralize(row.actual_columns, 'value')}, but the header has "
            f"{pluralize(header.width, 'column')}"
        )
        return "skip"

    columns = _parse(_without_last_comma(lines, header.width), header, on_invalid_row)
    rejected = np.array(sorted(wrong_width), dtype=np.int64)
    at = np.delete(usable, rejected)
    text = columns.to_pandas(types_mapper={pa.string(): pd.StringDtype("pyarrow", np.nan)}.get)
    text[LINE] = at + block.first_line
    reasons = {int(usable[row]): wrong_width[row] for row in rejected}
    numbers = [
        int(line) + block.first_line for line in sorted([*np.flatnonzero(malformed), *reasons])
    ]
    texts = read_lines(block, numbers)
    row_reasons = [
        reasons.get(number - block.first_line) or _malformed(line)
        for number, line in zip(numbers, texts, strict=True)
    ]
    count = int(len(ends) - blank.sum())
    return Rows(text, make_rejects(numbers, texts, row_reasons), count, len(ends))


def _malformed(line: str) -> str:
    if "\r" in line:
        return "carriage return within the line"
    return "unclosed quote"


def read_lines(block: LineBlock, line_numbers: list[int]) -> list[str]:
    """Return some lines of a block verbatim, without line endings."""
    if not line_numbers:
        return []
    ends = np.flatnonzero(np.frombuffer(block.data, dtype=np.uint8) == ord("\n")) + 1
    at = np.array(line_numbers, dtype=np.int64) - block.first_line
    lines = _split_lines(block.data, ends).take(pa.array(at))
    texts: list[str] = pc.replace_substring_regex(lines, _LINE_END, "").to_pylist()
    return texts


def _well_formed(data: bytes, ends: Int) -> Bool:
    """Return which lines have quotes only around whole fields, and a single line ending."""
    lines = _split_lines(data, ends)
    matches: Bool = pc.match_substring_regex(lines, _WELL_FORMED).to_numpy(zero_copy_only=False)
    return matches


def _split_lines(data: bytes, ends: Int) -> pa.LargeStringArray:
    offsets = np.concatenate(([0], ends)).astype(np.int64)
    return pa.Array.from_buffers(
        pa.large_string(), len(ends), [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    )


def _without_space_at_quotes(data: bytes) -> bytes:
    """Remove spaces and tabs between a quoted value and its commas.

    They are also removed between a comma and a quote within a value; no valid value has a comma.
    """
    # most files have no such spaces, and this check takes a tenth of the time
    if b' "' in data or b'\t"' in data:
        data = _SPACE_BEFORE_QUOTE.sub(rb"\1", data)
    if b'" ' in data or b'"\t' in data:
        data = _SPACE_AFTER_QUOTE.sub(b"", data)
    return data


def _without_last_comma(lines: bytes, width: int) -> bytes:
    """Remove the trailing comma of well-formed lines that have one empty value too many.

    Parameters
    ----------
    lines : bytes
    width : int
        Number of columns in the header.
    """
    if not _ENDS_IN_COMMA.search(lines):
        return lines
    ends = np.flatnonzero(np.frombuffer(lines, dtype=np.uint8) == ord("\n")) + 1
    split = _split_lines(lines, ends)
    one_more = rf"^{_FIELD}(?:,{_FIELD}){{{width - 1}}}{_LAST_COMMA}"
    wider = pc.match_substring_regex(split, one_more)
    if not pc.any(wider).as_py():
        return lines
    shorter = pc.if_else(wider, pc.replace_substring_regex(split, _LAST_COMMA, r"\1"), split)
    return b"".join(shorter.cast(pa.large_binary()).to_pylist())


def _parse(lines: bytes, header: Header, on_invalid_row: object) -> pa.Table:
    """Parse the used columns of well-formed lines as text."""
    names = [f"c{position}" for position in range(header.width)]
    columns = {f"c{position}": column for column, position in header.positions.items()}
    if not lines:
        return pa.table({column: pa.array([], pa.string()) for column in header.positions})
    if lines.startswith(codecs.BOM_UTF8):
        # Arrow skips one byte-order mark, but this one is part of a value
        lines = codecs.BOM_UTF8 + lines
    table = arrow_csv.read_csv(
        pa.BufferReader(lines),
        # single-threaded, since Arrow numbers invalid rows only then
        arrow_csv.ReadOptions(use_threads=False, column_names=names, block_size=len(lines) + 1),
        arrow_csv.ParseOptions(invalid_row_handler=on_invalid_row),
        arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            include_columns=list(columns),
            strings_can_be_null=False,
        ),
    )
    trimmed = [pc.ascii_trim(column, _SPACE) for column in table.columns]
    return pa.table(trimmed, list(columns.values()))
