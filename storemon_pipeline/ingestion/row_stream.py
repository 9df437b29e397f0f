"""Stream of validated rows of a file, with the next block prefetched."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator
from dataclasses import replace
from datetime import datetime

import pandas as pd

from storemon_pipeline.concurrency import prefetch
from storemon_pipeline.ingestion.csv_parser import (
    LINE,
    Header,
    make_rejects,
    parse_rows,
    read_header,
    read_lines,
)
from storemon_pipeline.ingestion.line_reader import LineBlock, LineReader
from storemon_pipeline.ingestion.sources import SourceFile
from storemon_pipeline.ingestion.validation import (
    ValidatedRows,
    is_complete_poll_line,
    validate_rows,
)
from storemon_pipeline.uptime.messages import pluralize


def iter_validated_rows(
    content: LineReader, kind: SourceFile, now: datetime, log: logging.Logger
) -> Generator[tuple[int, ValidatedRows]]:
    """Yield the remaining rows of a file, parsed and validated, in blocks.

    Parameters
    ----------
    content : LineReader
    kind : SourceFile
    now : datetime
        The time of ingestion, UTC.
    log : Logger

    Yields
    ------
    count : int
        Number of rows of the block, including bad ones.
    validated : ValidatedRows
        ``rejected`` also has ``row_text``, and is sorted by line.
    """
    header = read_header(content.header(), kind, content.path.name)
    lines = _row_blocks(content, header, kind, now)
    with prefetch(lambda block: (block, parse_rows(block, header)), lines) as blocks_and_rows:
        for block, rows in blocks_and_rows:
            validated = validate_rows(rows.text, kind, now)
            numbers = validated.rejected[LINE].tolist()
            texts = read_lines(block, numbers)
            bad = pd.concat(
                [rows.bad_rows, make_rejects(numbers, texts, validated.rejected["reason"])]
            )
            yield rows.count, replace(validated, rejected=bad.sort_values(LINE, ignore_index=True))
            log.info(
                "%s: read up to line %s; of the last %s, %s quarantined",
                content.path.name,
                f"{block.first_line + rows.lines - 1:,}",
                pluralize(rows.count, "row"),
                f"{len(bad):,}",
            )


def _row_blocks(
    content: LineReader, header: Header, kind: SourceFile, now: datetime
) -> Iterator[LineBlock]:
    """Yield blocks of lines without the header; include the last line if it is complete."""
    for block in content.blocks():
        while block.data and block.first_line <= content.header_lines:
            end_of_line = block.data.index(b"\n") + 1
            block = LineBlock(block.data[end_of_line:], block.first_line + 1)  # noqa: PLW2901
        if block.data and not block.is_blank:
            yield block
    if content.partial_line and _is_complete_line(content, header, kind, now):
        block = content.read_partial_line()
        if block.first_line > content.header_lines:
            yield block


def _is_complete_line(content: LineReader, header: Header, kind: SourceFile, now: datetime) -> bool:
    """Return whether a last line without a newline can be read now.

    A snapshot is read whole again once it changes, and a compressed file has a definite end. A file
    of polls may be incomplete while it is written.
    """
    if not content.may_grow:
        return True
    if content.lines < content.header_lines:
        return False
    # appended text may change a bad row, or make it valid
    row = _parse_line(content.partial_line, header)
    if row.empty:
        return False
    values = {name: str(row[name].iloc[0]) for name in header.positions}
    last = [name for name, position in header.positions.items() if position == header.width - 1]
    return is_complete_poll_line(values, last[0] if last else None) and not len(
        validate_rows(row, kind, now).rejected
    )


def _parse_line(line: bytes, header: Header) -> pd.DataFrame:
    """Parse a line without a newline; no row if it is not valid CSV or not UTF-8."""
    try:
        line.decode()
    except UnicodeDecodeError:
        line = b""
    if b"\0" in line:
        line = b""
    return parse_rows(LineBlock(line + b"\n", 1), header).text


def parse_partial_row(content: LineReader, kind: SourceFile, now: datetime) -> pd.DataFrame:
    """Return the row that was read from a last line that has been continued since.

    Parameters
    ----------
    content : LineReader
        After :meth:`~storemon_pipeline.ingestion.line_reader.LineReader.verify_prefix` has set
        its ``continued_line``.
    kind : SourceFile
    now : datetime
        The time of ingestion, UTC.

    Returns
    -------
    DataFrame
        As :attr:`~storemon_pipeline.ingestion.validation.ValidatedRows.valid`; empty if the row
        was bad.
    """
    header = read_header(content.header(), kind, content.path.name)
    return validate_rows(_parse_line(content.continued_line, header), kind, now).valid
