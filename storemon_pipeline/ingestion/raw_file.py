"""A raw file, opened once: all that is read of it comes through one descriptor.

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

from storemon_pipeline.ingestion.errors import IngestionError

UNPACKED_FLOOR = 64 * 2**20
"""What any file may have unpacked, in bytes, however small it is packed."""

_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
# a change this soon after the last one may leave the time of change as it is
_CLOCK_TICK_NS = 2 * 10**9


class RawFile:
    """A file that is open for reading.

    Parameters
    ----------
    path : Path
    max_expansion : float
        How many times its size a compressed file may have unpacked.

    Attributes
    ----------
    compression : str or None
        How it is compressed, by its first bytes, whatever it is called.
    size : int
        Its size in bytes when it was opened.

    Raises
    ------
    IngestionError
        Where the file cannot be read.
    """

    def __init__(self, path: Path, max_expansion: float = math.inf) -> None:
        self.path = path
        self.max_expansion = max_expansion
        try:
            self._file = path.open("rb", buffering=0)
            self._opened = os.fstat(self._file.fileno())
            start = os.pread(self._file.fileno(), 4, 0)
        except OSError as error:
            msg = f"{path.name} cannot be read: {error}. Check that it may be and is complete"
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
        """How many bytes its content may have."""
        if self.compression is None:
            return math.inf
        return max(UNPACKED_FLOOR, self.max_expansion * self.size)

    def open_stream(self) -> pa.NativeFile:
        """Open a stream of the content, uncompressed, from its beginning."""
        return pa.input_stream(_Reader(self._file.fileno()), compression=self.compression)

    def is_replaced(self) -> bool:
        """Whether another file, or none, has its name now."""
        try:
            now = self.path.stat()
        except OSError:
            return True
        return (now.st_dev, now.st_ino) != (self._opened.st_dev, self._opened.st_ino)

    def is_written_to(self) -> bool:
        """Whether its size or its time of change are others than when it was opened."""
        now = os.fstat(self._file.fileno())
        return (now.st_size, now.st_mtime_ns) != (self._opened.st_size, self._opened.st_mtime_ns)

    def may_be_written_to(self) -> bool:
        """As :meth:`is_written_to`; also if its modification time is too recent to decide."""
        return self._is_recent or self.is_written_to()


class _Reader(io.RawIOBase):
    """A position in an open file; several of them do not disturb each other.

    Closing it leaves the file open.
    """

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
