"""Reader of a file's content in blocks of whole, numbered lines, resuming after known content.

A file's *content* is uncompressed, so that compression does not change its identity.
:mod:`.csv_parser` parses the lines.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

from storemon_pipeline.ingestion.file_errors import FileChangedError, IngestionError
from storemon_pipeline.ingestion.raw_file import RawFile

BLOCK_BYTES = 16 * 2**20
"""Size of one read; bounds the memory for files of any size."""

BLOCK_LINES = 400_000
"""Maximum lines of a block, unless all are blank; bounds the memory for short lines."""

_HEADER_BYTES = 2**20
_HASH_BYTES = 2**18  # per read of content that is only hashed: fits the CPU's cache
_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_LINE_END = re.compile(rb"[ \t]*\r?\n?")
_SEPARATOR_LINE = re.compile(rb"(?:\xef\xbb\xbf)?sep=[^\r\n]\r?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LineBlock:
    """Consecutive whole lines of a file.

    Attributes
    ----------
    data : bytes
        Lines, each with its newline; valid UTF-8 without NUL.
    first_line : int
        Number of the first line in ``data``; the file's first line is 1.
    """

    data: bytes
    first_line: int

    @property
    def is_blank(self) -> bool:
        """Whether all its lines are empty."""
        newlines = self.data.count(b"\n")
        return len(self.data) in (newlines, 2 * self.data.count(b"\r\n"))


def content_sha256(file: RawFile) -> str:
    """Return the hash of a file's uncompressed content."""
    with LineReader(file) as content:
        content.hash_rest()
        return content.sha256


def raise_if_changed(file: RawFile, read: LineReader) -> None:
    """Raise if a file no longer starts with the content that was read.

    Lines appended meanwhile are not a change if the file may grow (``read.may_grow``).

    Raises
    ------
    FileChangedError
        If the file was replaced, or rewritten in place.
    """
    if file.is_replaced():
        raise FileChangedError(file.path.name, "replaced")
    if not file.may_be_written_to():
        return
    with LineReader(file) as again:
        if not again.begins_as(read) or not (read.may_grow or again.is_at_end()):
            raise FileChangedError(file.path.name, "rewritten")


class LineReader:
    """Sequential reader of a file's content.

    Once :meth:`blocks` is exhausted, :attr:`sha256`, :attr:`bytes` and :attr:`lines` describe the
    whole lines read so far, and :attr:`partial_line` is the last line if it has no newline. The
    caller decides whether that line is complete, and reads it by :meth:`read_partial_line`.

    Parameters
    ----------
    file : RawFile
    may_grow : bool
        Whether more lines may be appended to it. Never true for a compressed file.

    Attributes
    ----------
    header_lines : int
        Number of lines before the first row; set by :meth:`header`.
    partial_line : bytes
        The last line, if it has no newline.
    continued_line : bytes
        The last line of the previous ingest, if it was continued since; set by
        :meth:`verify_prefix`.
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
        """Hash of the content read so far."""
        return self._hash.hexdigest()

    def _unreadable(self, error: OSError) -> IngestionError:
        if self._compression is None:
            msg = (
                f"{self.path.name} cannot be read: {error}. Check its permissions and completeness"
            )
        else:
            msg = (
                f"{self.path.name} is truncated or corrupt: its {self._compression} stream ends "
                f"after line {self.lines} ({error}). Copy the whole file again"
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
                f"{self.path.name} was rejected: uncompressed, it is more than "
                f"{self._raw.max_expansion:,} times its {self._raw.size:,} bytes, the maximum set "
                "by STOREMON_MAX_EXPANSION. Increase it or uncompress the file. Nothing was "
                "changed."
            )
            raise IngestionError(msg)
        return data

    def _read_fully(self, size: int) -> bytes:
        """Read ``size`` bytes, fewer only at the end; a compressed stream may return less."""
        parts: list[bytes] = []
        remaining = size
        while remaining and (part := self._read(remaining)):
            parts.append(part)
            remaining -= len(part)
        return b"".join(parts)

    def __enter__(self) -> Self:
        """Close the file at the end of a ``with`` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._stream.close()

    def verify_prefix(self, size: int, lines: int, sha256: str) -> bool:
        """Skip the content that an earlier ingest has read, and return whether it is unchanged.

        Parameters
        ----------
        size, lines, sha256
            :attr:`bytes`, :attr:`lines` and :attr:`sha256` of that ingest.

        Returns
        -------
        bool
            False if the content differs, is shorter, or continues the last line
            (:attr:`continued_line`). Do not read further then.
        """
        remaining, line = size, b""
        while remaining and (part := self._read(min(remaining, _HASH_BYTES))):
            self._hash.update(part)
            remaining -= len(part)
            end = part.rfind(b"\n") + 1
            line = part[end:] if end else line + part
        self.bytes, self.lines = size, lines
        if remaining or self.sha256 != sha256:
            return False
        if line and not self._skip_line_end(line):
            self.continued_line = line
            return False
        return True

    def begins_as(self, other: LineReader) -> bool:
        """Skip as much as another reader has read, and return whether the content is the same."""
        remaining = other.bytes
        while remaining and (part := self._read(min(remaining, _HASH_BYTES))):
            self._hash.update(part)
            remaining -= len(part)
        return not remaining and self.sha256 == other.sha256

    def is_at_end(self) -> bool:
        """Return whether all content has been read."""
        return not self._read(1)

    def hash_rest(self) -> None:
        """Skip the remaining content, and hash it."""
        while part := self._read(_HASH_BYTES):
            self._hash.update(part)

    def _skip_line_end(self, line: bytes) -> bool:
        """Skip the end of a line that was read without it; return whether that ends the line."""
        end = b""
        while byte := self._read_fully(1):
            end += byte
            if byte not in b" \t\r":
                break
        self._hash.update(end)
        self.bytes += len(end)
        if not self.may_grow and end.strip(b"\r\n"):
            return False  # the spaces belong to the text of the row, which may be a bad one
        spaces = line[len(line.rstrip(b" \t\r")) :]
        return bool(_LINE_END.fullmatch(spaces + end))

    def _as_text(self, data: bytes, first_line: int) -> bytes:
        """Return the data if it is UTF-8 text without NUL."""
        try:
            # ASCII needs no decoding
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
            msg = f"{self.path.name} is not CSV: NUL byte in line {line}"
            raise IngestionError(msg)
        return data

    def header(self) -> bytes:
        """Return the header line without byte-order mark and line ending; does not advance.

        It is the first line, or the second after Excel's separator line (``sep=,``);
        :attr:`header_lines` is then 2.

        Raises
        ------
        IngestionError
            If the file is empty or not text, or its first line is too long.
        """
        with LineReader(self._raw) as content:
            start = content._read_fully(_HEADER_BYTES)
        if not start:
            msg = f"{self.path.name} is empty: at least the header line is required"
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
            msg = f"{self.path.name} is not CSV: no line break in its first {_HEADER_BYTES} bytes"
            raise IngestionError(msg)
        return self._as_text(line, 1).removeprefix(_UTF8_MARK).rstrip(b"\r")

    def blocks(self) -> Iterator[LineBlock]:
        """Yield the remaining content in blocks of whole lines.

        Raises
        ------
        IngestionError
            If the content cannot be read or is not UTF-8 text.
        """
        rest = b""
        while part := self._read(BLOCK_BYTES):
            data = rest + part
            end = data.rfind(b"\n") + 1
            if not end and len(data) > BLOCK_BYTES:
                msg = f"{self.path.name} is not CSV: line {self.lines + 1} is longer than 16 MiB"
                raise IngestionError(msg)
            rest = data[end:]
            if end:
                yield from self._in_parts(data[:end])
        self.partial_line = rest

    def _in_parts(self, data: bytes) -> Iterator[LineBlock]:
        """Yield whole lines in blocks of limited length."""
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
        """Read the last line, and add the missing newline."""
        line, self.partial_line = self.partial_line, b""
        block = self._emit(line, newlines=1)
        return LineBlock(block.data + b"\n", block.first_line)

    def _emit(self, data: bytes, newlines: int) -> LineBlock:
        block = LineBlock(self._as_text(data, self.lines + 1), self.lines + 1)
        self._hash.update(data)
        self.bytes += len(data)
        self.lines += newlines
        return block
