"""A file's content as blocks of whole lines: uncompressed, checked to be text, from where it grew.

Bytes become lines here and lines get their numbers; what a line says is the business of
:mod:`.csv_parser`. A file's *content* is what it holds uncompressed, so that the same rows are
recognised however they are packed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

from storemon_pipeline.ingestion.errors import FileChangedError, IngestionError
from storemon_pipeline.ingestion.raw_file import RawFile

BLOCK_BYTES = 16 * 2**20
"""How much is read at once; bounds the memory that ingestion needs, whatever the file's size."""

BLOCK_LINES = 400_000
"""How many lines a block has at most, blank ones aside; bounds the memory where lines are short."""

_HEADER_BYTES = 2**20
_PASSED_BYTES = 2**18  # at once, of what is but hashed: so few that they stay in the cache
_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_LINE_END = re.compile(rb"[ \t]*\r?\n?")
_SEPARATOR_LINE = re.compile(rb"(?:\xef\xbb\xbf)?sep=[^\r\n]\r?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LineBlock:
    """Some whole lines of a file.

    Attributes
    ----------
    data : bytes
        Lines, each with its newline; valid UTF-8 without NUL.
    first_line : int
        The number of the first of them in the file; the header is line 1.
    """

    data: bytes
    first_line: int

    @property
    def is_blank(self) -> bool:
        """Whether all its lines are empty."""
        newlines = self.data.count(b"\n")
        return len(self.data) in (newlines, 2 * self.data.count(b"\r\n"))


def content_sha256(file: RawFile) -> str:
    """Hash of all that a file holds, uncompressed."""
    with LineReader(file) as content:
        content.hash_rest()
        return content.sha256


def refuse_changed(file: RawFile, read: LineReader) -> None:
    """Check that a file still holds what was read of it.

    Lines that were appended meanwhile to a file that is not compressed are no change where the
    file is one that may grow (``read.may_grow``).

    Raises
    ------
    FileChangedError
        Where it was replaced, or rewritten in place.
    """
    if file.is_replaced():
        raise FileChangedError(file.path.name, "replaced")
    if not file.may_be_written_to():
        return
    with LineReader(file) as again:
        if not again.begins_as(read) or not (read.may_grow or again.is_at_end()):
            raise FileChangedError(file.path.name, "rewritten")


class LineReader:
    """The content of a file, read once from beginning to end.

    After :meth:`blocks` is exhausted, :attr:`sha256`, :attr:`bytes` and :attr:`lines` tell what
    was read: all whole lines. A last line without its newline is read where it cannot be the
    beginning of a longer one (``is_whole`` decides), or where the file is compressed and so ends
    where it ends; otherwise it waits for its newline (:attr:`waiting`).

    Parameters
    ----------
    file : RawFile
    may_grow : bool
        Whether more lines may be appended to it.

    Attributes
    ----------
    header_lines : int
        How many lines come before the first row; known once :meth:`header` was called.
    continued_line : bytes
        What was read before as the last line and turned out to be the beginning of a longer one;
        known after :meth:`verify_prefix`.
    """

    def __init__(self, file: RawFile, *, may_grow: bool = False) -> None:
        self._raw = file
        self.path = file.path
        self.may_grow = may_grow and file.compression is None
        self._hash = hashlib.sha256()
        self.bytes = 0
        self.lines = 0
        self.partial_line = b""
        self.continued_line = b""
        self.header_lines = 1
        self._unpacked = 0
        self._compression = file.compression
        try:
            self._stream = file.open_stream()
        except OSError as error:
            raise self._unreadable(error) from error

    @property
    def sha256(self) -> str:
        """Hash of what was read so far."""
        return self._hash.hexdigest()

    @property
    def is_compressed(self) -> bool:
        """Whether the file is packed, and so has a marked end."""
        return self._compression is not None

    def _unreadable(self, error: OSError) -> IngestionError:
        if self._compression is None:
            msg = f"{self.path.name} cannot be read: {error}. Check that it may be and is complete"
        else:
            msg = (
                f"{self.path.name} is cut or damaged: its {self._compression} stream breaks off "
                f"after line {self.lines} ({error}). Copy it again, whole"
            )
        return IngestionError(msg)

    def _read(self, size: int) -> bytes:
        try:
            data = bytes(self._stream.read(size))
        except OSError as error:
            raise self._unreadable(error) from error
        self._unpacked += len(data)
        if self._unpacked > self._raw.max_unpacked:
            msg = (
                f"{self.path.name} is refused: unpacked it is more than "
                f"{self._raw.max_expansion:,} times its {self._raw.size:,} bytes, the most that "
                "STOREMON_MAX_EXPANSION accepts. If it is meant, set that higher, or unpack the "
                "file. Nothing was changed."
            )
            raise IngestionError(msg)
        return data

    def _read_fully(self, size: int) -> bytes:
        """Read ``size`` bytes, fewer only at the end: a compressed stream gives what it has."""
        parts: list[bytes] = []
        left = size
        while left and (part := self._read(left)):
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    def __enter__(self) -> Self:
        """Close the file at the end of a ``with`` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._stream.close()

    def verify_prefix(self, size: int, lines: int, sha256: str) -> bool:
        """Pass over what was read before, if it is still the same.

        Parameters
        ----------
        size, lines, sha256
            What :attr:`bytes`, :attr:`lines` and :attr:`sha256` were then.

        Returns
        -------
        bool
            False where the content begins with something else, is shorter, or goes on within the
            line that was the last (:attr:`continued_line`): then no more is to be read of it.
        """
        left, line = size, b""
        while left and (part := self._read(min(left, _PASSED_BYTES))):
            self._hash.update(part)
            left -= len(part)
            end = part.rfind(b"\n") + 1
            line = part[end:] if end else line + part
        self.bytes, self.lines = size, lines
        if left or self.sha256 != sha256:
            return False
        if line and not self._skip_line_end(line):
            self.continued_line = line
            return False
        return True

    def begins_as(self, other: LineReader) -> bool:
        """Whether the content begins with what was read of another; passes over that."""
        left = other.bytes
        while left and (part := self._read(min(left, _PASSED_BYTES))):
            self._hash.update(part)
            left -= len(part)
        return not left and self.sha256 == other.sha256

    def is_at_end(self) -> bool:
        """Whether nothing is left of the content."""
        return not self._read(1)

    def hash_rest(self) -> None:
        """Pass over all that is left, whole lines or not."""
        while part := self._read(_PASSED_BYTES):
            self._hash.update(part)

    def _skip_line_end(self, line: bytes) -> bool:
        """Pass over what ends a line that was read: spaces, then its newline or the file's end."""
        end = b""
        while byte := self._read_fully(1):
            end += byte
            if byte not in b" \t\r":
                break
        self._hash.update(end)
        self.bytes += len(end)
        if not self.may_grow and end.strip(b"\r\n"):
            return False  # the line may be a bad row, whose text the spaces belong to
        spaces = line[len(line.rstrip(b" \t\r")) :]
        return bool(_LINE_END.fullmatch(spaces + end))

    def _as_text(self, data: bytes, first_line: int) -> bytes:
        """The data itself, if it is UTF-8 text."""
        try:
            # what is ASCII need not be made a text of to know that it could be
            _ = data.isascii() or data.decode()
        except UnicodeDecodeError as error:
            line = first_line + data.count(b"\n", 0, error.start)
            msg = (
                f"{self.path.name} is not UTF-8: byte 0x{data[error.start]:02x} in line {line}. "
                "Save it as UTF-8"
            )
            raise IngestionError(msg) from error
        if (nul := data.find(b"\0")) >= 0:
            line = first_line + data.count(b"\n", 0, nul)
            msg = f"{self.path.name} is not CSV: there is a NUL byte in line {line}"
            raise IngestionError(msg)
        return data

    def header(self) -> bytes:
        """The header line, without byte-order mark and line ending; nothing is used up by it.

        It is the first line, or the second where the first names the separator, as Excel reads it
        (``sep=,``); :attr:`header_lines` then is 2.

        Raises
        ------
        IngestionError
            Where the file is empty, is not text, or has no end of a line within a block.
        """
        with LineReader(self._raw) as content:
            start = content._read_fully(_HEADER_BYTES)
        if not start:
            msg = f"{self.path.name} is empty: it needs at least its header line"
            raise IngestionError(msg)
        if start.startswith(_UTF16_MARKS):
            msg = f"{self.path.name} is not UTF-8 but UTF-16. Save it as UTF-8"
            raise IngestionError(msg)
        line, newline, rest = start.partition(b"\n")
        self.header_lines = 1
        if _SEPARATOR_LINE.fullmatch(line):
            self.header_lines = 2
            line, newline, _ = rest.partition(b"\n")
        if not newline and len(start) == _HEADER_BYTES:
            msg = f"{self.path.name} is not CSV: its first {_HEADER_BYTES} bytes are one line"
            raise IngestionError(msg)
        return self._as_text(line, 1).removeprefix(_UTF8_MARK).rstrip(b"\r")

    def blocks(self) -> Iterator[LineBlock]:
        """All that is left of the content, in blocks of whole lines.

        Raises
        ------
        IngestionError
            Where the content cannot be read on, or is not UTF-8 text.
        """
        rest = b""
        while part := self._read(BLOCK_BYTES):
            data = rest + part
            end = data.rfind(b"\n") + 1
            if not end and len(data) > BLOCK_BYTES:
                msg = f"{self.path.name} is not CSV: line {self.lines + 1} is over 16 MiB long"
                raise IngestionError(msg)
            rest = data[end:]
            if end:
                yield from self._in_parts(data[:end])
        self.partial_line = rest

    def _in_parts(self, data: bytes) -> Iterator[LineBlock]:
        """Whole lines as one block, or as several where they are many and short."""
        newlines = data.count(b"\n")
        if newlines <= BLOCK_LINES or newlines == len(data):
            yield self._emit(data, newlines)
            return
        ends = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == ord("\n")) + 1
        start = 0
        for first in range(0, newlines, BLOCK_LINES):
            part = ends[first : first + BLOCK_LINES]
            yield self._emit(data[start : part[-1]], len(part))
            start = part[-1]

    def read_partial_line(self) -> LineBlock:
        """The last line, which has no newline, as if it had one."""
        line, self.partial_line = self.partial_line, b""
        block = self._emit(line, newlines=1)
        return LineBlock(block.data + b"\n", block.first_line)

    def _emit(self, data: bytes, newlines: int) -> LineBlock:
        block = LineBlock(self._as_text(data, self.lines + 1), self.lines + 1)
        self._hash.update(data)
        self.bytes += len(data)
        self.lines += newlines
        return block
