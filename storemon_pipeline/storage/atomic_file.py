"""Write a file that appears complete or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO
from uuid import uuid4

from upath import UPath


@contextmanager
def open_atomically(path: UPath) -> Iterator[BinaryIO]:
    """Open a file for writing; it appears under its name once it is complete."""
    # concurrent writers of one file have a temporary file each
    temporary = path.with_name(f".{path.name}.{uuid4().hex}.part")
    try:
        with temporary.open("wb") as file:
            yield file
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    temporary.rename(path)
