"""A file's content -> its rows, checked, block by block: one is read while the last one is used."""

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
    """Read what is left of a content.

    Parameters
    ----------
    content : LineReader
    kind : SourceFile
    now : datetime
        The moment of ingestion, UTC.
    log : Logger

    Yields
    ------
    count : int
        How many rows a block has, good and bad.
    checked : ValidatedRows
        They; ``bad`` has ``row_text`` too, in the order of the lines.
    """
    header = read_header(content.header(), kind, content.path.name)
    lines = _row_blocks(content, header, kind, now)
    with prefetch(lambda block: (block, parse_rows(block, header)), lines) as blocks_and_rows:
        for block, rows in blocks_and_rows:
            checked = validate_rows(rows.text, kind, now)
            numbers = checked.rejected[LINE].tolist()
            texts = read_lines(block, numbers)
            bad = pd.concat(
                [rows.bad_rows, make_rejects(numbers, texts, checked.rejected["reason"])]
            )
            yield rows.count, replace(checked, rejected=bad.sort_values(LINE, ignore_index=True))
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
    """The blocks of a file's content without its header; its last line too, if that is whole."""
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
    """Whether a last line without a newline is to be read now.

    A snapshot is read whole again when its content changes, and a compressed file ends where it
    ends. A file of polls may be in the middle of being written.
    """
    if not content.may_grow:
        return True
    if content.lines < content.header_lines:
        return False
    # a bad row may become another one, or a good one, by what follows
    row = _parse_line(content.partial_line, header)
    if row.empty:
        return False
    values = {name: str(row[name].iloc[0]) for name in header.positions}
    last = [name for name, position in header.positions.items() if position == header.width - 1]
    return is_complete_poll_line(values, last[0] if last else None) and not len(
        validate_rows(row, kind, now).rejected
    )


def _parse_line(line: bytes, header: Header) -> pd.DataFrame:
    """The text of a line that has no newline; nothing where it is no row, or no text."""
    try:
        line.decode()
    except UnicodeDecodeError:
        line = b""
    if b"\0" in line:
        line = b""
    return parse_rows(LineBlock(line + b"\n", 1), header).text


def parse_partial_row(content: LineReader, kind: SourceFile, now: datetime) -> pd.DataFrame:
    """The row that was read from a last line that has since been extended.

    Parameters
    ----------
    content : LineReader
        Of which :meth:`~storemon_pipeline.ingestion.line_reader.LineReader.verify_prefix` found
        such a line.
    kind : SourceFile
    now : datetime
        The moment of ingestion, UTC.

    Returns
    -------
    DataFrame
        As :attr:`~storemon_pipeline.ingestion.validation.ValidatedRows.valid`; no row where it was
        bad.
    """
    header = read_header(content.header(), kind, content.path.name)
    return validate_rows(_parse_line(content.continued_line, header), kind, now).valid
