"""A file's content -> its rows, checked, block by block: one is read while the last one is used."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator
from dataclasses import replace
from datetime import datetime

import pandas as pd

from storemon_pipeline.ahead import one_ahead
from storemon_pipeline.intake.content import Block, Content
from storemon_pipeline.intake.files import FileKind
from storemon_pipeline.intake.rows import (
    LINE,
    Header,
    bad_rows_table,
    lines_text,
    read_header,
    read_rows,
)
from storemon_pipeline.intake.schemas import CheckedRows, check_rows, is_whole_poll
from storemon_pipeline.wording import counted


def checked_rows(
    content: Content, kind: FileKind, now: datetime, log: logging.Logger
) -> Generator[tuple[int, CheckedRows]]:
    """Read what is left of a content.

    Parameters
    ----------
    content : Content
    kind : FileKind
    now : datetime
        The moment of ingestion, UTC.
    log : Logger

    Yields
    ------
    count : int
        How many rows a block has, good and bad.
    checked : CheckedRows
        They; ``bad`` has ``row_text`` too, in the order of the lines.
    """
    header = read_header(content.header(), kind, content.path.name)
    lines = _row_blocks(content, header, kind, now)
    with one_ahead((block, read_rows(block, header)) for block in lines) as blocks_and_rows:
        for block, rows in blocks_and_rows:
            checked = check_rows(rows.text, kind, now)
            numbers = checked.bad[LINE].tolist()
            texts = lines_text(block, numbers)
            bad = pd.concat([rows.bad_rows, bad_rows_table(numbers, texts, checked.bad["reason"])])
            yield rows.count, replace(checked, bad=bad.sort_values(LINE, ignore_index=True))
            log.info(
                "%s: read up to line %s; of the last %s, %s quarantined",
                content.path.name,
                f"{block.first_line + rows.lines - 1:,}",
                counted(rows.count, "row"),
                f"{len(bad):,}",
            )


def _row_blocks(content: Content, header: Header, kind: FileKind, now: datetime) -> Iterator[Block]:
    """The blocks of a file's content without its header; its last line too, if that is whole."""
    for block in content.blocks():
        while block.data and block.first_line <= content.header_lines:
            end_of_line = block.data.index(b"\n") + 1
            block = Block(block.data[end_of_line:], block.first_line + 1)  # noqa: PLW2901
        if block.data and not block.is_blank:
            yield block
    if content.waiting and _is_whole(content, header, kind, now):
        block = content.read_waiting()
        if block.first_line > content.header_lines:
            yield block


def _is_whole(content: Content, header: Header, kind: FileKind, now: datetime) -> bool:
    """Whether a last line without a newline is to be read now.

    A snapshot is read whole again when its content changes, and a compressed file ends where it
    ends. A file of polls may be in the middle of being written.
    """
    if not content.may_grow:
        return True
    if content.lines < content.header_lines:
        return False
    # a bad row may become another one, or a good one, by what follows
    row = _row_of(content.waiting, header)
    if row.empty:
        return False
    values = {name: str(row[name].iloc[0]) for name in header.positions}
    last = [name for name, position in header.positions.items() if position == header.width - 1]
    return is_whole_poll(values, last[0] if last else None) and not len(
        check_rows(row, kind, now).bad
    )


def _row_of(line: bytes, header: Header) -> pd.DataFrame:
    """The text of a line that has no newline; nothing where it is no row, or no text."""
    try:
        line.decode()
    except UnicodeDecodeError:
        line = b""
    if b"\0" in line:
        line = b""
    return read_rows(Block(line + b"\n", 1), header).text


def continued_row(content: Content, kind: FileKind, now: datetime) -> pd.DataFrame:
    """The row that was read from a last line that has since been extended.

    Parameters
    ----------
    content : Content
        Of which :meth:`~storemon_pipeline.intake.content.Content.skip` found such a line.
    kind : FileKind
    now : datetime
        The moment of ingestion, UTC.

    Returns
    -------
    DataFrame
        As :attr:`~storemon_pipeline.intake.schemas.CheckedRows.good`; no row where it was bad.
    """
    header = read_header(content.header(), kind, content.path.name)
    return check_rows(_row_of(content.continued_line, header), kind, now).good
