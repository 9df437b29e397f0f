"""Move the polls from the table ``store_status`` to files, or back.

::

    STOREMON_POLLS_URL=… python -m storemon_pipeline.move_polls to-files
    STOREMON_POLLS_URL=… python -m storemon_pipeline.move_polls to-table

The polls are copied day by day and compared, then dropped at the source in one transaction. If the
command is interrupted, run it again to continue. Stop ingests and reports first.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from pydantic import ValidationError

from storemon_pipeline.settings import Settings
from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.database_faults import DatabaseUnavailableError
from storemon_pipeline.storage.ingest_log import latest_ingest_id
from storemon_pipeline.storage.parquet_polls import ParquetPolls
from storemon_pipeline.storage.poll_rows import latest_rows, sort_and_deduplicate
from storemon_pipeline.storage.poll_store import PollStore
from storemon_pipeline.storage.polled_stores import oldest_poll, read_polled_stores
from storemon_pipeline.storage.sql_polls import SqlPolls
from storemon_pipeline.uptime.batches import batch_stores
from storemon_pipeline.uptime.messages import pluralize

_DAY = timedelta(days=1)
_MICROSECOND = timedelta(microseconds=1)
_END = datetime(9999, 1, 1, tzinfo=UTC)


class MoveError(RuntimeError):
    """Raised if the polls cannot be moved; the message has the remedy."""


def move_polls(database: Database, source: PollStore, target: PollStore) -> int:
    """Move all polls from a store to another one of the same database.

    Parameters
    ----------
    database : Database
    source, target : PollStore

    Returns
    -------
    int
        Number of polls that were moved.

    Raises
    ------
    MoveError
        If files were ingested meanwhile; nothing is dropped then.
    """
    with database.read() as connection:
        before = latest_ingest_id(connection)
        stores = read_polled_stores(source, connection, _END)
        first = oldest_poll(connection)
    if first is None:
        return 0
    last = stores["last_poll_utc"].max().to_pydatetime()
    for day in _days(first, last):
        until = day + _DAY - _MICROSECOND
        counted = stores.assign(polls=source.estimate(stores["store_id"], day, until))
        for batch in batch_stores(counted, (day, day + _DAY)):
            rows = latest_rows(source.read(batch["store_id"], day, until))
            if rows.equals(latest_rows(target.read(batch["store_id"], day, until))):
                continue
            with database.data_transaction() as connection:
                target.append(connection, sort_and_deduplicate(rows))
    with database.data_transaction() as connection:
        if latest_ingest_id(connection) != before:
            msg = "files were ingested meanwhile: stop ingests, and run the command again"
            raise MoveError(msg)
        _, moved = source.drop_before(connection, _END)
    return moved


def _days(first: datetime, last: datetime) -> Iterator[datetime]:
    day = first.replace(hour=0, minute=0, second=0, microsecond=0)
    while day <= last:
        yield day
        day += _DAY


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m storemon_pipeline.move_polls",
        description="Move the polls between the database and the files of STOREMON_POLLS_URL.",
    )
    parser.add_argument("direction", choices=["to-files", "to-table"])
    direction = parser.parse_args(argv).direction
    try:
        settings = Settings()
        place = settings.polls_path
        if place is None:
            parser.error("STOREMON_POLLS_URL is not set: it is the place of the files")
        database = Database(settings.database_url, settings.polls_url, check_polls=False)
        table, files = SqlPolls(database), ParquetPolls(database, place)
        source, target = (table, files) if direction == "to-files" else (files, table)
        moved = move_polls(database, source, target)
        database.close()
    except (ValidationError, DatabaseUnavailableError, MoveError) as error:
        parser.exit(1, f"{error}\n")
    use = "set" if direction == "to-files" else "unset"
    sys.stdout.write(
        f"Moved {pluralize(moved, 'poll')}. Now {use} STOREMON_POLLS_URL for all processes.\n"
    )


if __name__ == "__main__":
    main()
