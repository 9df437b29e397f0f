"""A raw file, read through one descriptor.

A file may be rewritten, replaced or appended to while it is read. This module detects such changes;
:mod:`.line_reader` reads the content.
"""

from __future__ import annotations

import io
import math
import os
import time
from pathlib import Path
from typing import Self

import pyarrow as pa

from storemon_pipeline.ingestion.file_errors import IngestionError

UNPACKED_FLOOR = 64 * 2**20
"""Uncompressed size in bytes that is accepted for any file."""

_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
# two changes within this time may have the same modification time
_CLOCK_TICK_NS = 2 * 10**9


class RawFile:
    """A file that is open for reading.

    Parameters
    ----------
    path : Path
    max_expansion : float
        Maximum ratio of uncompressed to compressed size.

    Attributes
    ----------
    compression : str or None
        Compression, detected by the first bytes regardless of the file's name.
    size : int
        Size in bytes when the file was opened.

    Raises
    ------
    IngestionError
        If the file cannot be read.
    """

    def __init__(self, path: Path, max_expansion: float = math.inf) -> None:
        self.path = path
        self.max_expansion = max_expansion
        try:
            self._file = path.open("rb", buffering=0)
            self._opened = os.fstat(self._file.fileno())
            start = os.pread(self._file.fileno(), 4, 0)
        except OSError as error:
            msg = f"{path.name} cannot be read: {error}. Check its permissions and completeness"
            raise IngestionError(msg) from error
        self.size = self._opened.st_size
        self.compression = next(
            (name for magic, name in _MAGIC.items() if start.startswith(magic)), None
        )
        self._is_recent = self._opened.st_mtime_ns > time.time_ns() - _CLOCK_TICK_NS

    def __enter__(self) -> Self:
        """Close the file at the end of a ``with`` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._file.close()

    @property
    def max_unpacked(self) -> float:
        """Maximum uncompressed size in bytes."""
        if self.compression is None:
            return math.inf
        return max(UNPACKED_FLOOR, self.max_expansion * self.size)

    def open_stream(self) -> pa.NativeFile:
        """Open a stream of the uncompressed content, at its beginning."""
        return pa.input_stream(_Reader(self._file.fileno()), compression=self.compression)

    def is_replaced(self) -> bool:
        """Return whether the name now belongs to another file or to none."""
        try:
            now = self.path.stat()
        except OSError:
            return True
        return (now.st_dev, now.st_ino) != (self._opened.st_dev, self._opened.st_ino)

    def is_written_to(self) -> bool:
        """Return whether size or modification time have changed since the file was opened."""
        now = os.fstat(self._file.fileno())
        return (now.st_size, now.st_mtime_ns) != (self._opened.st_size, self._opened.st_mtime_ns)

    def may_be_written_to(self) -> bool:
        """Return :meth:`is_written_to`, or True if the modification time is too recent to tell."""
        return self._is_recent or self.is_written_to()


class _Reader(io.RawIOBase):
    """An independent read position in an open file. Closing it leaves the file open."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._position = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            return self.readall()
        data = os.pread(self._descriptor, size, self._position)
        self._position += len(data)
        return data
