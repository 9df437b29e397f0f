"""Polls in Parquet files instead of the table ``store_status``.

An ingest writes a new file for each UTC day. A correction is a row in a file with a higher
sequence. The catalogue (:mod:`.poll_catalogue`) lists the live files. It is in the SQL database, so
files become visible in the transaction of their ingest. :meth:`ParquetPolls.vacuum` deletes files
that are not in the catalogue: a failed ingest wrote them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection
from upath import UPath

from storemon_pipeline.storage import poll_catalogue as catalogue
from storemon_pipeline.storage.poll_catalogue import PollFile
from storemon_pipeline.storage.poll_file_reader import PollFileReader
from storemon_pipeline.storage.poll_files import PollFiles, plain
from storemon_pipeline.storage.poll_filter import PollFilter
from storemon_pipeline.storage.poll_rows import to_polls

if TYPE_CHECKING:
    from storemon_pipeline.storage.database import Database

MAX_FILES_PER_DAY = 8
"""A day with more files is compacted."""

GRACE = timedelta(days=1)
"""Minimum age at which :meth:`ParquetPolls.vacuum` deletes a file: readers may still use a replaced
one, and the transaction of a new one may not be committed yet."""

_DAY_US = 86_400_000_000


class ParquetPolls:
    """Polls in Parquet files, with their catalogue in the database.

    Parameters
    ----------
    database : Database
    root : UPath
        The directory of the files.
    """

    def __init__(self, database: Database, root: UPath) -> None:
        self._database = database
        self._files = PollFiles(root)

    def append(self, connection: Connection, rows: pa.Table) -> None:
        """Write a file for each day of the rows, unless it changes nothing."""
        day = rows["timestamp_utc"].cast(pa.int64()).to_numpy() // _DAY_US
        order = np.argsort(day, kind="stable")
        starts = np.flatnonzero(np.diff(day[order], prepend=day.min() - 1))
        days = np.datetime_as_string(day[order][starts].astype("datetime64[D]")).tolist()
        sequence = catalogue.next_sequence(connection)
        for name, positions in zip(days, np.split(order, starts[1:]), strict=True):
            block = plain(rows.take(pa.array(positions)))
            file = self._files.write(name, sequence, [block])
            known = catalogue.list_files(
                connection,
                catalogue.of_days([name]),
                catalogue.of_stores(file.first_store, file.last_store),
            )
            new, changed = self._count_changes([*known, file]) if known else (file.rows, 0)
            if new or changed:
                catalogue.add_files(connection, [replace(file, new_rows=new)])
            else:
                self._files.delete([file.name])

    def _count_changes(self, files: list[PollFile]) -> tuple[int, int]:
        """Count the keys that only the last file has, and the statuses that it changes."""
        last = len(files) - 1
        new = changed = 0
        for rows, order, file, repeats in self._files.merged(files):
            active = pc.equal(rows["status"].cast(pa.string()), "active").to_numpy()[order]
            is_last = file == last
            new += int(np.count_nonzero(is_last & ~repeats))
            changed += int(np.count_nonzero(is_last & repeats & (active != np.roll(active, 1))))
        return new, changed

    def reader(self) -> PollFileReader:
        """Return a reader of the live files."""
        with self._database.read() as connection:
            return PollFileReader(self._files, catalogue.list_files(connection))

    def read(self, store_ids: pd.Series, since: datetime, until: datetime) -> pd.DataFrame:
        """Read the row groups that may match."""
        return self.reader().read(store_ids, since, until)

    def read_ranges(self, ranges: pd.DataFrame) -> pd.DataFrame:
        """Read the row groups that may match."""
        return self.reader().read_ranges(ranges)

    def newest(self, connection: Connection, until: datetime) -> datetime | None:
        """Search the newest day with a poll at or before ``until``."""
        span = catalogue.in_span(datetime.min.replace(tzinfo=UTC), until)
        files = catalogue.list_files(connection, span)
        if not files:
            return None
        of_day = [file for file in files if file.day == files[-1].day]
        rows = self._files.read(of_day, PollFilter(until=until), ["timestamp_utc"])
        latest: datetime | None = pc.max(rows["timestamp_utc"]).as_py()
        return latest

    def last_polls(
        self, connection: Connection, store_ids: pd.Series, until: datetime
    ) -> pd.Series:
        """Read days from the newest to the oldest, until every store has a poll."""
        span = catalogue.in_span(datetime.min.replace(tzinfo=UTC), until)
        files = catalogue.list_files(connection, span)
        return self._extremes(files[::-1], store_ids, PollFilter(until=until), newest=True)

    def first_polls(
        self, connection: Connection, store_ids: pd.Series, since: datetime
    ) -> pd.Series:
        """Read days from the oldest to the newest, until every store has a poll."""
        span = catalogue.in_span(since, datetime.max.replace(tzinfo=UTC))
        files = catalogue.list_files(connection, span)
        return self._extremes(files, store_ids, PollFilter(since=since), newest=False)

    def _extremes(
        self, files: list[PollFile], store_ids: pd.Series, where: PollFilter, *, newest: bool
    ) -> pd.Series:
        """Find the first or last poll of each store in files that are ordered by day."""
        missing = pd.Index(store_ids, dtype="str")
        parts = [pd.Series(dtype="datetime64[us, UTC]")]
        days = list(dict.fromkeys(file.day for file in files))
        done, length = 0, 1
        while done < len(days) and len(missing):
            now = set(days[done : done + length])
            these = [file for file in files if file.day in now]
            columns = ["store_id", "timestamp_utc"]
            rows = self._files.read(
                these, replace(where, store_ids=tuple(sorted(missing))), columns
            )
            at = pd.Series(
                rows["timestamp_utc"].to_pandas().to_numpy(), dtype="datetime64[us, UTC]"
            )
            groups = at.groupby(rows["store_id"].cast(pa.string()).to_numpy(zero_copy_only=False))
            part = groups.max() if newest else groups.min()
            parts.append(part)
            missing = missing.difference(part.index)
            done, length = done + length, length * 4
        found: pd.Series = pd.concat(parts)
        return found

    def estimate(self, store_ids: pd.Series, since: datetime, until: datetime) -> pd.Series:
        """Spread the rows of some days' row groups over the stores between their bounds."""
        with self._database.read() as connection:
            files = catalogue.list_files(connection, catalogue.in_span(since, until))
        days = sorted({file.day for file in files})
        sampled_days = set(days[-2:-1] + days[len(days) // 2 : len(days) // 2 + 1]) or set(days)
        sample = [file for file in files if file.day in sampled_days]
        groups = [group for file in sample for group in self._files.row_groups(file)]
        ids = store_ids.to_numpy(dtype=object)
        first_ids = np.array([group.first_store for group in groups], dtype=object)
        last_ids = np.array([group.last_store for group in groups], dtype=object)
        first = np.searchsorted(ids, first_ids)
        after = np.searchsorted(ids, last_ids, side="right")
        rows = np.array([group.rows for group in groups], dtype=np.float64)
        per_store = rows / np.maximum(after - first, 1)
        change = np.zeros(len(ids) + 1)
        np.add.at(change, first, per_store)
        np.add.at(change, after, -per_store)
        scale = sum(file.rows for file in files) / max(sum(file.rows for file in sample), 1)
        estimated = np.ceil(np.cumsum(change[:-1]) * scale)
        return pd.Series(estimated.astype(np.int64), index=store_ids.index)

    def count(self, connection: Connection) -> int:
        """Sum up the catalogue."""
        return catalogue.count_rows(connection)

    def count_of_store(self, connection: Connection, store_id: str) -> int:
        """Count in the row groups that may match."""
        files = catalogue.list_files(connection, catalogue.of_stores(store_id, store_id))
        at = self._files.read(files, PollFilter(store_id, store_id), ["timestamp_utc"])[
            "timestamp_utc"
        ]
        return int(pc.count_distinct(at).as_py())

    def head(self, connection: Connection, rows: int) -> pd.DataFrame:
        """Return the first rows of the newest day."""
        files = catalogue.list_files(connection, catalogue.of_newest_day())
        return to_polls(self._files.head(files, rows))

    def remove(
        self, connection: Connection, store_id: str, start: datetime, end: datetime
    ) -> pd.DataFrame:
        """Rewrite the days of the polls."""
        span = catalogue.in_span(start, end)
        files = catalogue.list_files(connection, span, catalogue.of_stores(store_id, store_id))
        these = PollFilter(store_id, store_id, since=start, until=end - timedelta(microseconds=1))
        removed = to_polls(self._files.read(files, these))
        for day in sorted(removed["timestamp_utc"].dt.strftime("%Y-%m-%d").unique()):
            of_day = catalogue.list_files(connection, catalogue.of_days([day]))
            # new_rows depends on the other files of the day, so all of them are merged
            self._rewrite(connection, of_day, without=these)
        last = removed.drop_duplicates(["timestamp_utc"], keep="last")
        return last.sort_values("timestamp_utc", ignore_index=True)

    def drop_before(self, connection: Connection, first: datetime) -> tuple[int, int]:
        """Mark the files of earlier days as replaced."""
        files = catalogue.list_files(connection, catalogue.before_day(first.date()))
        catalogue.replace_files(connection, [file.name for file in files])
        polls = sum(file.new_rows for file in files)
        return len({file.day[:7] for file in files}), polls

    def compact(self, max_files: int = MAX_FILES_PER_DAY) -> list[str]:
        """Merge the files of each day that has too many, a transaction for each day.

        Readers keep the files that they have listed. Writers may append in the meantime: the merged
        file has the highest sequence of its sources, below that of any later file.

        Returns
        -------
        list of str
            The days that were compacted.
        """
        with self._database.read() as connection:
            days = catalogue.crowded_days(connection, max_files)
        compacted = []
        for day in days:
            with self._database.read() as connection:
                files = catalogue.list_files(connection, catalogue.of_days([day]))
            merged = self._merge(files)
            if merged is None:
                continue
            with self._database.data_transaction() as connection:
                # false if polls were removed in the meantime; the next compaction retries
                if catalogue.replace_files(connection, [file.name for file in files]):
                    catalogue.add_files(connection, [merged])
                    compacted.append(day)
        return compacted

    def vacuum(self, now: datetime) -> int:
        """Delete replaced files, and files of failed ingests, that are older than :data:`GRACE`."""
        before = now - GRACE
        with self._database.read() as connection:
            replaced = catalogue.replaced_before(connection, before)
            known = catalogue.known_names(connection)
        orphans = [name for name in self._files.names_before(before) if name not in known]
        self._files.delete([*replaced, *orphans])
        with self._database.data_transaction() as connection:
            catalogue.forget_files(connection, replaced)
        return len(replaced) + len(orphans)

    def _rewrite(
        self,
        connection: Connection,
        files: list[PollFile],
        *,
        without: PollFilter,
    ) -> None:
        """Replace the files of a day with one file that lacks some rows."""
        catalogue.replace_files(connection, [file.name for file in files])
        if merged := self._merge(files, without=without):
            catalogue.add_files(connection, [merged])

    def _merge(
        self, files: list[PollFile], *, without: PollFilter | None = None
    ) -> PollFile | None:
        """Merge the files of a day into one; return None if no poll is left."""
        blocks = self._blocks(files, without)
        first = next(blocks, None)
        if first is None:
            return None
        last = files[-1]
        merged = self._files.write(last.day, last.sequence, chain([first], blocks))
        return replace(merged, new_rows=merged.rows)

    def _blocks(self, files: list[PollFile], without: PollFilter | None) -> Iterator[pa.Table]:
        for rows, order, _, repeats in self._files.merged(files):
            is_latest = np.append(~repeats[1:], True)
            block = rows.take(pa.array(order[is_latest]))
            if without is not None:
                block = block.filter(pa.array(~without.mask(block)))
            if len(block):
                yield plain(block)
