"""Read polls from a fixed list of Parquet files, without the database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pandas as pd

from storemon_pipeline.storage.poll_catalogue import PollFile
from storemon_pipeline.storage.poll_files import PollFiles
from storemon_pipeline.storage.poll_filter import PollFilter
from storemon_pipeline.storage.poll_rows import to_polls


class PollFileReader:
    """Reads the polls of immutable files; can be pickled.

    The methods are documented in :class:`~.poll_store.PollReader`.

    Parameters
    ----------
    directory : PollFiles
    files : sequence of PollFile
        By sequence: of two rows with one key, the later file takes precedence.
    """

    def __init__(self, directory: PollFiles, files: Sequence[PollFile]) -> None:
        self._directory = directory
        self._files = files

    def read(self, store_ids: pd.Series, since: datetime, until: datetime) -> pd.DataFrame:
        """Read the row groups that may match."""
        if store_ids.empty:
            return to_polls(self._directory.read([]))
        where = PollFilter(store_ids.iloc[0], store_ids.iloc[-1], since=since, until=until)
        return to_polls(self._directory.read(self._files, where))

    def read_ranges(self, ranges: pd.DataFrame) -> pd.DataFrame:
        """Read the row groups that may match, then drop the rows outside the ranges."""
        if ranges.empty:
            return to_polls(self._directory.read([]))
        ids = ranges["store_id"]
        since, until = ranges["since"].min(), ranges["until"].max()
        where = PollFilter(store_ids=tuple(sorted(ids)), since=since, until=until)
        found = to_polls(self._directory.read(self._files, where))
        position = pd.Index(ids).get_indexer(pd.Index(found["store_id"].astype("str")))
        at = found["timestamp_utc"].to_numpy()
        inside = (at >= ranges["since"].to_numpy()[position]) & (
            at < ranges["until"].to_numpy()[position]
        )
        matching: pd.DataFrame = found[inside].reset_index(drop=True)
        return matching
