"""Catalogue of the Parquet files of polls (table ``poll_file``), in the order of their precedence.

An ingest adds its files in its transaction, so they become visible together with its other
changes. Files are immutable. When the polls of a file move to another one, its row is marked as
replaced, and the file is deleted once no reader can use it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from storemon_pipeline.storage.schema import poll_file

_file = poll_file.c
_live = _file.replaced_at.is_(None)


@dataclass(frozen=True, slots=True)
class PollFile:
    """A Parquet file of the polls of one UTC day, sorted by store and instant.

    Attributes
    ----------
    name : str
        Path below the directory of polls.
    day : str
        ``YYYY-MM-DD``.
    sequence : int
        Of two polls of one store and instant, the one in the file of the higher sequence counts.
    rows : int
    new_rows : int
        Rows whose store and instant no file of lower sequence has.
    first_store, last_store : str
    first_poll_utc, last_poll_utc : datetime
    """

    name: str
    day: str
    sequence: int
    rows: int
    new_rows: int
    first_store: str
    last_store: str
    first_poll_utc: datetime
    last_poll_utc: datetime


_COLUMNS = [_file[field.name] for field in fields(PollFile)]


def add_files(connection: Connection, files: Sequence[PollFile]) -> None:
    """Add files to the catalogue."""
    if files:
        rows = [{field.name: getattr(each, field.name) for field in fields(each)} for each in files]
        connection.execute(insert(poll_file), rows)


def next_sequence(connection: Connection) -> int:
    """Return the next sequence; the transaction has no concurrent writer."""
    highest: int | None = connection.execute(select(func.max(_file.sequence))).scalar_one()
    return (highest or 0) + 1


def list_files(connection: Connection, *conditions: ColumnElement[bool]) -> list[PollFile]:
    """Return the live files by day and sequence."""
    query = select(*_COLUMNS).where(_live, *conditions).order_by(_file.day, _file.sequence)
    return [PollFile(*row) for row in connection.execute(query)]


def in_span(since: datetime, until: datetime) -> ColumnElement[bool]:
    """Match files with a poll in ``[since, until]``."""
    return (_file.last_poll_utc >= since) & (_file.first_poll_utc <= until)


def of_stores(first: str, last: str) -> ColumnElement[bool]:
    """Match files that may have polls of the stores from ``first`` to ``last``."""
    return (_file.last_store >= first) & (_file.first_store <= last)


def of_days(days: Collection[str]) -> ColumnElement[bool]:
    """Match files of the days."""
    return _file.day.in_(list(days))


def before_day(day: date) -> ColumnElement[bool]:
    """Match files of earlier days."""
    return _file.day < day.isoformat()


def of_newest_day() -> ColumnElement[bool]:
    """Match the files of the newest day."""
    return _file.day == select(func.max(_file.day)).where(_live).scalar_subquery()


def crowded_days(connection: Connection, more_than: int) -> list[str]:
    """Return the days with more files than given, oldest first."""
    query = (
        select(_file.day)
        .where(_live)
        .group_by(_file.day)
        .having(func.count() > more_than)
        .order_by(_file.day)
    )
    return list(connection.execute(query).scalars())


def count_rows(connection: Connection) -> int:
    """Count the polls; corrections of a poll do not count."""
    rows = func.sum(_file.new_rows)
    return int(connection.execute(select(rows).where(_live)).scalar_one() or 0)


def replace_files(connection: Connection, names: Collection[str]) -> bool:
    """Mark files as replaced.

    Returns
    -------
    bool
        False, without any change, if another writer has replaced one of them.
    """
    these = _live & _file.name.in_(list(names))
    live = connection.execute(select(func.count()).select_from(poll_file).where(these)).scalar_one()
    if live != len(names):
        return False
    connection.execute(update(poll_file).where(these).values(replaced_at=datetime.now(UTC)))
    return True


def replaced_before(connection: Connection, before: datetime) -> list[str]:
    """Return the names of files that were replaced before an instant."""
    query = select(_file.name).where(_file.replaced_at < before)
    return list(connection.execute(query).scalars())


def forget_files(connection: Connection, names: Collection[str]) -> None:
    """Delete the rows of deleted files."""
    connection.execute(delete(poll_file).where(_file.name.in_(list(names))))


def known_names(connection: Connection) -> set[str]:
    """Return the names of all files, the replaced ones included."""
    return set(connection.execute(select(_file.name)).scalars())
