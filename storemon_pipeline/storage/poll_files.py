"""Parquet files of polls: write one, and read several as one.

A file has the polls of one UTC day, sorted by store and instant, without duplicates. It has a
unique name and is immutable.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import NamedTuple
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from upath import UPath

from storemon_pipeline.storage.poll_catalogue import PollFile
from storemon_pipeline.storage.poll_filter import EVERYTHING, PollFilter, RowGroup
from storemon_pipeline.storage.poll_rows import store_ranks
from storemon_pipeline.uptime.interval_arithmetic import Bool, Int, StoreTimeKey

ROW_GROUP_ROWS = 100_000
"""Rows of a row group, the unit of reading. A day of 14,000 stores polled hourly has four."""

MERGED_ROWS = 2_000_000
"""Approximate number of rows in memory during a merge."""

SCHEMA = pa.schema(
    [
        ("store_id", pa.string()),
        ("timestamp_utc", pa.timestamp("us", "UTC")),
        ("status", pa.string()),
    ]
)
_TEXT = {"store_id", "status"}
_CREATED = "%Y%m%dT%H%M%SZ"


class MergedRows(NamedTuple):
    """Rows of several files, and how they form one sorted sequence.

    Attributes
    ----------
    rows : Table
        The rows of all files for some stores, file after file.
    order : int64 array, shape (rows,)
        Positions by store and instant, and of one store and instant in the order of the files.
    file : int64 array, shape (rows,)
        For each position in the order, the number of its file.
    repeats : bool array, shape (rows,)
        For each position in the order, whether it has the store and the instant of the one before.
    """

    rows: pa.Table
    order: Int
    file: Int
    repeats: Bool


class PollFiles:
    """The directory of all files of polls.

    Parameters
    ----------
    root : UPath
        On a disk or in an object store.
    """

    def __init__(self, root: UPath) -> None:
        self._root = root
        self._is_local = root.protocol in ("", "file", "local")
        self._filesystem = (
            pafs.LocalFileSystem()
            if self._is_local
            else pafs.PyFileSystem(pafs.FSSpecHandler(root.fs))
        )

    def write(self, day: str, sequence: int, blocks: Iterable[pa.Table]) -> PollFile:
        """Write the polls of a day to a new file; return its catalogue entry.

        Parameters
        ----------
        day : str
            ``YYYY-MM-DD``.
        sequence : int
        blocks : iterable of Table
            With :data:`SCHEMA`; sorted by store and instant across blocks, without duplicates, not
            empty.
        """
        name = f"day={day}/{datetime.now(UTC).strftime(_CREATED)}-{uuid4().hex}.parquet"
        path = self._root / name
        if self._is_local:
            path.parent.mkdir(parents=True, exist_ok=True)
        rows = 0
        stores: list[str] = []
        instants: list[datetime] = []
        with path.open("wb") as file:
            writer = pq.ParquetWriter(
                file,
                SCHEMA,
                compression="zstd",
                use_dictionary=sorted(_TEXT),
                column_encoding={"timestamp_utc": "DELTA_BINARY_PACKED"},
                store_schema=False,
            )
            with writer:
                for block in blocks:
                    writer.write_table(block, row_group_size=ROW_GROUP_ROWS)
                    rows += len(block)
                    stores += [block["store_id"][0].as_py(), block["store_id"][-1].as_py()]
                    span = pc.min_max(block["timestamp_utc"])
                    instants += [span["min"].as_py(), span["max"].as_py()]
            if self._is_local:
                file.flush()
                os.fsync(file.fileno())
        return PollFile(
            name=name,
            day=day,
            sequence=sequence,
            rows=rows,
            new_rows=rows,
            first_store=stores[0],
            last_store=stores[-1],
            first_poll_utc=min(instants),
            last_poll_utc=max(instants),
        )

    def read(
        self,
        files: Sequence[PollFile],
        where: PollFilter = EVERYTHING,
        columns: Sequence[str] = SCHEMA.names,
    ) -> pa.Table:
        """Read the rows that match, file after file, from the files and row groups that may match.

        Returns
        -------
        Table
            Text is dictionary-encoded, with one dictionary per column.
        """
        needed = [*dict.fromkeys([*columns, "store_id", "timestamp_utc"])]
        parts = [_encoded_schema(needed).empty_table()]
        for file in filter(where.overlaps, files):
            with self._open(file) as parquet:
                groups = [
                    number
                    for number, group in enumerate(_row_groups(parquet.metadata))
                    if where.overlaps(group)
                ]
                if groups:
                    parts.append(parquet.read_row_groups(groups, columns=needed))
        rows = pa.concat_tables(parts, promote_options="permissive").unify_dictionaries()
        matching = rows if where == EVERYTHING else rows.filter(pa.array(where.mask(rows)))
        return matching.select(list(columns))

    def _open(self, file: PollFile) -> pq.ParquetFile:
        return pq.ParquetFile(
            self._path(file.name),
            read_dictionary=sorted(_TEXT),
            filesystem=self._filesystem,
            pre_buffer=True,
        )

    def head(self, files: Sequence[PollFile], rows: int) -> pa.Table:
        """Read the first rows of the first file."""
        if not files:
            return _encoded_schema(SCHEMA.names).empty_table()
        with self._open(files[0]) as parquet:
            return parquet.read_row_group(0).slice(0, rows)

    def row_groups(self, file: PollFile) -> list[RowGroup]:
        """Return the row groups of a file, from its footer."""
        with self._open(file) as parquet:
            return list(_row_groups(parquet.metadata))

    def merged(self, files: Sequence[PollFile]) -> Iterator[MergedRows]:
        """Read files as one, range after range of stores, each of about :data:`MERGED_ROWS` rows.

        Parameters
        ----------
        files : sequence of PollFile
            By sequence: of two rows with one key, the later file takes precedence.
        """
        for where in self._store_ranges(files):
            parts = [self.read([file], where) for file in files]
            file = np.repeat(np.arange(len(files)), [len(part) for part in parts])
            rows = pa.concat_tables(parts).unify_dictionaries().combine_chunks()
            if len(rows):
                order, repeats = _sort(rows)
                yield MergedRows(rows, order, file[order], repeats)

    def _store_ranges(self, files: Sequence[PollFile]) -> list[PollFilter]:
        ranges = -(-sum(file.rows for file in files) // MERGED_ROWS)
        if ranges <= 1:
            return [EVERYTHING]
        largest = max(files, key=lambda file: file.rows)
        firsts = [group.first_store for group in self.row_groups(largest)]
        step = max(1, len(firsts) // ranges)
        bounds = sorted(set(firsts[step::step]))
        if not bounds:
            return [EVERYTHING]
        edges = ["", *bounds, None]
        return [
            PollFilter(first_store=low or "", before_store=high) for low, high in pairwise(edges)
        ]

    def delete(self, names: Iterable[str]) -> None:
        """Delete files; ignore missing ones."""
        for name in names:
            (self._root / name).unlink(missing_ok=True)

    def names_before(self, before: datetime) -> Iterator[str]:
        """Yield the names of the files in the directory that were created before an instant."""
        if not self._root.is_dir():
            return
        for folder in self._root.glob("day=*"):
            for path in folder.glob("*.parquet"):
                if _created_at(path.name) < before:
                    yield f"{folder.name}/{path.name}"

    def _path(self, name: str) -> str:
        return (self._root / name).path


def _row_groups(metadata: pq.FileMetaData) -> Iterator[RowGroup]:
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        stores, instants = (group.column(column).statistics for column in (0, 1))
        yield RowGroup(group.num_rows, stores.min, stores.max, instants.min, instants.max)


def _created_at(name: str) -> datetime:
    return datetime.strptime(name.partition("-")[0], _CREATED).replace(tzinfo=UTC)


def plain(rows: pa.Table) -> pa.Table:
    """Decode the text of a table, so that a file has only the dictionary of its own rows."""
    return pa.table([rows[field.name].cast(field.type) for field in SCHEMA], schema=SCHEMA)


def _sort(rows: pa.Table) -> tuple[Int, Bool]:
    """Return the order of rows, and which of them repeat the key before."""
    ids = rows["store_id"].combine_chunks()
    code = store_ranks(ids.chunk(0) if isinstance(ids, pa.ChunkedArray) else ids)
    at = rows["timestamp_utc"].cast(pa.int64()).to_numpy()
    key = StoreTimeKey(int(at.min()), int(at.max()), int(code.max()) + 1).encode(code, at)
    # stable: sorted runs are merged, and of equal keys the later file stays behind the earlier one
    order = np.argsort(key, kind="stable")
    return order, np.append(False, np.diff(key[order]) == 0)


def _encoded_schema(columns: Sequence[str]) -> pa.Schema:
    encoded = pa.dictionary(pa.int32(), pa.string())
    return pa.schema(
        [(name, encoded if name in _TEXT else SCHEMA.field(name).type) for name in columns]
    )
