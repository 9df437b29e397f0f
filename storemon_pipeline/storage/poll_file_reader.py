"""Read polls from a fixed list of Parquet files, without the database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds

from storemon_pipeline.storage.poll_catalogue import PollFile
from storemon_pipeline.storage.poll_files import PollFiles, instant_field, store_field
from storemon_pipeline.storage.poll_rows import to_category


class PollFileReader:
    """Reads the polls of files that are never changed; can be pickled.

    The methods are documented in :class:`~.poll_store.PollReader`.

    Parameters
    ----------
    directory : PollFiles
    files : sequence of PollFile
        In the order in which their rows count.
    """

    def __init__(self, directory: PollFiles, files: Sequence[PollFile]) -> None:
        self._directory = directory
        self._files = files

    def read(self, store_ids: pd.Series, since: datetime, until: datetime) -> pd.DataFrame:
        """Read the row groups that may match."""
        if store_ids.empty:
            return to_polls(self._directory.read([]))
        first, last = store_ids.iloc[0], store_ids.iloc[-1]
        within = (store_field >= first) & (store_field <= last)
        files = self._overlapping(first, last, since, until)
        return to_polls(self._directory.read(files, within & _is_between(since, until)))

    def read_ranges(self, ranges: pd.DataFrame) -> pd.DataFrame:
        """Read the row groups that may match, then drop the rows outside the ranges."""
        if ranges.empty:
            return to_polls(self._directory.read([]))
        ids = ranges["store_id"]
        since, until = ranges["since"].min(), ranges["until"].max()
        first, last = ids.min(), ids.max()
        files = self._overlapping(first, last, since, until)
        # row groups are selected by bounds, not by a list of stores
        within = (store_field >= first) & (store_field <= last) & is_one_of(ids)
        rows = self._directory.read(files, within & _is_between(since, until))
        found = to_polls(rows)
        position = pd.Index(ids).get_indexer(pd.Index(found["store_id"].astype("str")))
        at = found["timestamp_utc"].to_numpy()
        inside = (at >= ranges["since"].to_numpy()[position]) & (
            at < ranges["until"].to_numpy()[position]
        )
        matching: pd.DataFrame = found[inside].reset_index(drop=True)
        return matching

    def _overlapping(
        self, first: str, last: str, since: datetime, until: datetime
    ) -> list[PollFile]:
        return [
            file
            for file in self._files
            if file.last_poll_utc >= since
            and file.first_poll_utc <= until
            and file.last_store >= first
            and file.first_store <= last
        ]


def as_scalar(instant: datetime) -> ds.Expression:
    """Convert an instant for comparison with a column."""
    return ds.scalar(pa.scalar(instant, pa.timestamp("us", "UTC")))


def _is_between(since: datetime, until: datetime) -> ds.Expression:
    return (instant_field >= as_scalar(since)) & (instant_field <= as_scalar(until))


def is_one_of(store_ids: pd.Series | pd.Index) -> ds.Expression:
    """Match the rows of stores."""
    return store_field.isin(pa.array(store_ids, pa.string()))


def to_polls(rows: pa.Table) -> pd.DataFrame:
    """Convert rows of files to a table of polls."""
    return pd.DataFrame(
        {
            "store_id": to_category(rows["store_id"]),
            "timestamp_utc": rows["timestamp_utc"].to_pandas().astype("datetime64[us, UTC]"),
            "status": to_category(rows["status"]),
        }
    )
