"""Lines -> rows of text: the header, its columns, quotes, and lines that are no row.

A row is one line: a line break inside quotes is none of these files' ways, and taking it for one
would let a single stray quote swallow all rows after it. What a value means is the business of
:mod:`.validation`.
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

from storemon_pipeline.ingestion.errors import IngestionError
from storemon_pipeline.ingestion.line_reader import LineBlock
from storemon_pipeline.ingestion.sources import SourceFile
from storemon_pipeline.uptime.messages import quote_value, shorten

# a field is quoted as a whole, or does not begin with a quote and has no carriage return in it
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
    """Where a file has its columns.

    Attributes
    ----------
    width : int
        How many columns it has, needed or not.
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
        ``line_number``, ``row_text``, ``reason``: the lines that are no row.
    count : int
        How many rows there are, good and bad; blank lines are none.
    lines : int
        How many lines there are.
    """

    text: pd.DataFrame
    bad_rows: pd.DataFrame
    count: int
    lines: int


@dataclass(frozen=True, slots=True)
class FoundColumns:
    """Where a header has the columns of a kind.

    Attributes
    ----------
    positions : dict
        Column -> the positions of all names in the header that mean it.
    """

    positions: dict[str, list[int]]

    @property
    def is_complete(self) -> bool:
        """Whether every column is there."""
        return all(self.positions.values())


def header_names(line: bytes, file: str) -> list[str]:
    """The names in a header line.

    Raises
    ------
    IngestionError
        Where the line is not a CSV file's, or the file is a pointer of Git LFS.
    """
    if line.startswith(b"version https://git-lfs."):
        msg = f"{file} is a pointer of Git LFS, not the data: fetch the data by `git lfs pull`"
        raise IngestionError(msg)
    try:
        return [
            name.strip() for name in next(csv.reader([line.decode()], skipinitialspace=True), [])
        ]
    except csv.Error as error:
        why = "its lines end with a carriage return alone" if b"\r" in line else str(error)
        msg = f"{file} is not CSV: {why}. Save it as CSV whose lines end with LF or CRLF"
        raise IngestionError(msg) from error


def find_columns(names: list[str], kind: SourceFile) -> FoundColumns:
    """Find a kind's columns among the names of a header, in any case and with any separators."""
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
    """Find a kind's columns in a header line.

    Raises
    ------
    IngestionError
        Where a column is missing, or two could be meant; it names the file, the columns, what was
        found and what would be accepted. Where the line is none of a CSV file.
    """
    names = header_names(line, file)
    positions: dict[str, int] = {}
    for column, found in find_columns(names, kind).positions.items():
        if not found:
            raise IngestionError(_missing(column, kind.columns[column], names, file))
        if len(found) > 1:
            named = " and ".join(f"{quote_value(names[at])} (column {at + 1})" for at in found)
            named = shorten(named, 500)
            msg = (
                f"{file} has {len(found)} columns that could be {column}: {named}. Remove or "
                "rename all but the one that is meant"
            )
            raise IngestionError(msg)
        positions[column] = found[0]
    return Header(len(names), positions)


def _missing(column: str, accepted: tuple[str, ...], names: list[str], file: str) -> str:
    found = shorten(", ".join(map(quote_value, names)), 500) or "no name at all"
    msg = (
        f"{file} has no column {column}: its header has {found}; accepted "
        f"{'is' if len(accepted) == 1 else 'are'} {' or '.join(accepted)}"
    )
    if separator := other_separator(names):
        msg += f". Columns are separated by commas, not by {separator!r}"
    return msg


def other_separator(names: list[str]) -> str | None:
    """What a header seems to be separated by where it has no comma; None where it has nothing."""
    if len(names) != 1:
        return None
    return next((separator for separator in ";\t|" if separator in names[0]), None)


def make_rejects(line_numbers: object, texts: object, reasons: object) -> pd.DataFrame:
    """A table of bad rows, from what belongs in its three columns."""
    table = pd.DataFrame({LINE: line_numbers, "row_text": texts, "reason": reasons})
    return table.astype({LINE: "int64", "row_text": "object", "reason": "object"})


def parse_rows(block: LineBlock, header: Header) -> Rows:
    """Take a block's lines apart.

    Parameters
    ----------
    block : LineBlock
    header : Header

    Returns
    -------
    Rows
    """
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
            f"{row.actual_columns} values, where the header names {header.width}"
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
    said = [
        reasons.get(number - block.first_line) or _malformed(line)
        for number, line in zip(numbers, texts, strict=True)
    ]
    count = int(len(ends) - blank.sum())
    return Rows(text, make_rejects(numbers, texts, said), count, len(ends))


def _malformed(line: str) -> str:
    if "\r" in line:
        return "a carriage return is within the line"
    return "a quote is opened and not closed"


def read_lines(block: LineBlock, line_numbers: list[int]) -> list[str]:
    """Some lines of a block, word for word, without their line endings."""
    if not line_numbers:
        return []
    ends = np.flatnonzero(np.frombuffer(block.data, dtype=np.uint8) == ord("\n")) + 1
    at = np.array(line_numbers, dtype=np.int64) - block.first_line
    lines = _each_line(block.data, ends).take(pa.array(at))
    texts: list[str] = pc.replace_substring_regex(lines, _LINE_END, "").to_pylist()
    return texts


def _well_formed(data: bytes, ends: Int) -> Bool:
    """Which lines have every quote where a field can begin or end, and end but once."""
    lines = _each_line(data, ends)
    found: Bool = pc.match_substring_regex(lines, _WELL_FORMED).to_numpy(zero_copy_only=False)
    return found


def _each_line(data: bytes, ends: Int) -> pa.LargeStringArray:
    offsets = np.concatenate(([0], ends)).astype(np.int64)
    return pa.Array.from_buffers(
        pa.large_string(), len(ends), [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    )


def _without_space_at_quotes(data: bytes) -> bytes:
    """Lines without the spaces and tabs between quotes around a value and its commas.

    Within quotes, where a comma and a quote are part of a value, spaces between the two are lost;
    no valid value has a comma in it.
    """
    # looking first takes a tenth of the time, and most files have none
    if b' "' in data or b'\t"' in data:
        data = _SPACE_BEFORE_QUOTE.sub(rb"\1", data)
    if b'" ' in data or b'"\t' in data:
        data = _SPACE_AFTER_QUOTE.sub(b"", data)
    return data


def _without_last_comma(lines: bytes, width: int) -> bytes:
    """Well-formed lines, without the comma after which some have one more, empty, value.

    Parameters
    ----------
    lines : bytes
    width : int
        How many columns the header has.
    """
    if not _ENDS_IN_COMMA.search(lines):
        return lines
    ends = np.flatnonzero(np.frombuffer(lines, dtype=np.uint8) == ord("\n")) + 1
    each = _each_line(lines, ends)
    one_more = rf"^{_FIELD}(?:,{_FIELD}){{{width - 1}}}{_LAST_COMMA}"
    wider = pc.match_substring_regex(each, one_more)
    if not pc.any(wider).as_py():
        return lines
    shorter = pc.if_else(wider, pc.replace_substring_regex(each, _LAST_COMMA, r"\1"), each)
    return b"".join(shorter.cast(pa.large_binary()).to_pylist())


def _parse(lines: bytes, header: Header, on_invalid_row: object) -> pa.Table:
    """The needed columns of well-formed lines, as text."""
    names = [f"c{position}" for position in range(header.width)]
    wanted = {f"c{position}": column for column, position in header.positions.items()}
    if not lines:
        return pa.table({column: pa.array([], pa.string()) for column in header.positions})
    if lines.startswith(codecs.BOM_UTF8):
        # Arrow passes over one byte-order mark, but this one is part of a value
        lines = codecs.BOM_UTF8 + lines
    table = arrow_csv.read_csv(
        pa.BufferReader(lines),
        # one thread, since only then are the numbers of uneven rows known
        arrow_csv.ReadOptions(use_threads=False, column_names=names, block_size=len(lines) + 1),
        arrow_csv.ParseOptions(invalid_row_handler=on_invalid_row),
        arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            include_columns=list(wanted),
            strings_can_be_null=False,
        ),
    )
    trimmed = [pc.ascii_trim(column, _SPACE) for column in table.columns]
    return pa.table(trimmed, list(wanted.values()))
