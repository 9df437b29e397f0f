"""Messages for database faults: the cause, the place and the remedy.

A fault is an unreachable server, a full disk or a file without write permission. It is raised as
:class:`DatabaseUnavailableError`. Other errors, such as a bug in a query, are not changed.
"""

from __future__ import annotations

import re
import sqlite3

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionError

_ELSEWHERE = "or set STOREMON_DATABASE_URL to another path"
_SQLITE = {
    "SQLITE_FULL": "no space left on the disk of {file}: free some space, " + _ELSEWHERE,
    "SQLITE_READONLY": (
        "{file} is not writable: allow this user to write the file and its directory, " + _ELSEWHERE
    ),
    "SQLITE_IOERR": (
        "{file} cannot be read or written ({why}): check the disk, its free space and this "
        "user's limits, " + _ELSEWHERE
    ),
    "SQLITE_BUSY": "{file} was locked by another process for longer than the timeout: try again",
    "SQLITE_LOCKED": "{file} is locked by this process: try again",
    "SQLITE_CORRUPT": "{file} is corrupt: restore it from a backup, " + _ELSEWHERE,
}
_UNAVAILABLE = (
    "the database {url} cannot be reached: {why}. Is it running, and is STOREMON_DATABASE_URL "
    "correct?"
)
_SERVER = {
    "53100": "the database server of {url} has no disk space left: free some space ({why})",
    "25006": "the database {url} is read-only: it is a standby or configured as read-only ({why})",
}
# connection exceptions, too few resources, intervention by an operator
_UNAVAILABLE_STATES = re.compile(r"08|53|57P|58")
_TRANSIENT = {"SQLITE_BUSY", "SQLITE_LOCKED"}


class DatabaseUnavailableError(RuntimeError):
    """Raised when the database is unavailable; the message has the cause and the remedy.

    Attributes
    ----------
    is_transient : bool
        Whether a retry may succeed.
    """

    def __init__(self, message: str, *, is_transient: bool = True) -> None:
        super().__init__(message)
        self.is_transient = is_transient


def classify_error(error: Exception, url: URL) -> DatabaseUnavailableError | None:
    """Return the fault behind an error; None for a bug in a query.

    Parameters
    ----------
    error : Exception
        Raised by SQLAlchemy.
    url : URL
        URL of the database; its password is masked.
    """
    if isinstance(error, NoConnectionError):
        return unreachable(error, url)
    if not isinstance(error, DBAPIError):
        return None
    if isinstance(error.orig, sqlite3.Error):
        return _sqlite_fault(error.orig, url)
    state = getattr(error.orig, "pgcode", None)
    if state in _SERVER:
        message = _SERVER[state].format(url=url.render_as_string(), why=_first_line(error.orig))
        return DatabaseUnavailableError(message, is_transient=False)
    is_connection = type(error.orig).__name__ in ("OperationalError", "InterfaceError")
    if error.connection_invalidated or (
        _UNAVAILABLE_STATES.match(state) if state else is_connection
    ):
        return unreachable(error.orig or error, url)
    return None


def _sqlite_fault(error: sqlite3.Error, url: URL) -> DatabaseUnavailableError | None:
    name = getattr(error, "sqlite_errorname", "")
    kind = next((kind for kind in _SQLITE if name.startswith(kind)), None)
    if kind is None:
        return unreachable(error, url) if name.startswith("SQLITE_CANTOPEN") else None
    message = _SQLITE[kind].format(file=url.database, why=error)
    return DatabaseUnavailableError(message, is_transient=kind in _TRANSIENT)


def unreachable(error: Exception, url: URL) -> DatabaseUnavailableError:
    """Return the error for a database that cannot be opened."""
    why = _first_line(error)  # the other lines are hints
    message = _UNAVAILABLE.format(url=url.render_as_string(), why=why)
    return DatabaseUnavailableError(message, is_transient=url.get_backend_name() != "sqlite")


def _first_line(error: object) -> str:
    return str(error).partition("\n")[0]
