"""User-correctable errors as ``dg.Failure``, retries, and skipped ticks."""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

import dagster as dg
from pydantic import ValidationError

from storemon_pipeline.defs.metadata import records_metadata
from storemon_pipeline.evaluation.slices import EngineError
from storemon_pipeline.ingestion.file_errors import IngestionError, TooManyBadRowsError
from storemon_pipeline.settings import Settings
from storemon_pipeline.storage.database_faults import DatabaseUnavailableError
from storemon_pipeline.storage.schema_version import NewerDatabaseError
from storemon_pipeline.uptime.messages import quote_value, shorten
from storemon_pipeline.uptime.report_request import UnanswerableError

logger = dg.get_dagster_logger()

RETRIES = 4
"""Maximum retries of a step while the database cannot be reached."""

FIRST_DELAY_SECONDS = 5
"""Delay before the first retry; it doubles with each further one."""

_SPACE = "free some space there, or set STOREMON_REPORTS_DIR to another directory"
_RIGHTS = "grant this user write access, or set STOREMON_REPORTS_DIR to another directory"
_REMEDIES = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EFBIG: _SPACE,
    errno.EROFS: _RIGHTS,
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
}


class ReportError(RuntimeError):
    """A report that cannot be made; the message gives the cause and the remedy."""


def format_validation_error(error: ValidationError) -> str:
    """Format each of Pydantic's errors as one sentence: location, problem and value."""
    sentences = []
    details = error.errors(include_url=False)
    parents = {detail["loc"][:-1] for detail in details}
    for detail in details:
        if detail["type"] == "default_factory_not_called":
            continue  # follows from an error of another field
        if detail["type"] == "too_short" and detail["loc"] in parents:
            continue  # follows from invalid items, which pydantic does not count
        location = shorten(".".join(map(str, detail["loc"])), 200)
        sentence = f"{location}: {detail['msg']}" if location else detail["msg"]
        if detail["type"] == "value_error":  # raised by our own validators
            sentence = sentence.replace("Value error, ", "", 1)
        elif isinstance(detail["input"], str | int | float):
            sentence += f", not {quote_value(detail['input'])}"
        sentences.append(sentence)
    return shorten("; ".join(sentences))


def _retry_or_failure(message: str) -> dg.RetryRequested | dg.Failure:
    """Return a retry with back-off, or a Failure after the last retry.

    Every step is safe to retry: it changes tables in one transaction, and files atomically.
    """
    try:
        retries = dg.OpExecutionContext.get().retry_number
    except dg.DagsterInvariantViolationError:
        retries = 0  # in an IO manager, which cannot see the retry number; Dagster counts
    if retries >= RETRIES:
        return dg.Failure(message, allow_retries=False)
    logger.warning("%s Retrying, up to %d more times", message, RETRIES - retries)
    return dg.RetryRequested(RETRIES, FIRST_DELAY_SECONDS * 2**retries)


@contextmanager
def as_dagster_failure() -> Iterator[None]:
    """Re-raise user-correctable errors as ``dg.Failure``, without a traceback.

    Bugs pass through with their traceback.
    """
    try:
        yield
    except TooManyBadRowsError as error:
        metadata = {"first_bad_rows": records_metadata(error.bad_rows)}
        raise dg.Failure(shorten(str(error)), metadata=metadata, allow_retries=False) from None
    except (EngineError, IngestionError, ReportError, UnanswerableError) as error:
        raise dg.Failure(shorten(str(error)), allow_retries=False) from None
    except ValidationError as error:
        raise dg.Failure(format_validation_error(error), allow_retries=False) from None
    except NewerDatabaseError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    except DatabaseUnavailableError as error:
        if not error.is_transient:
            raise dg.Failure(shorten(str(error)), allow_retries=False) from None
        raise _retry_or_failure(str(error)) from None
    except OSError as error:
        if error.errno not in _REMEDIES:
            raise
        path = error.filename or Settings().reports_dir
        msg = f"{path}: {error.strerror}: {_REMEDIES[error.errno]}"
        raise dg.Failure(msg, allow_retries=False) from None


_P = ParamSpec("_P")
_R = TypeVar("_R")


def skip_if_database_unavailable(tick: Callable[_P, _R]) -> Callable[_P, _R | dg.SkipReason]:
    """Skip a sensor's tick with a reason while the database is unavailable.

    A stack trace every few seconds would not add anything.
    """

    @wraps(tick)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _R | dg.SkipReason:
        try:
            return tick(*args, **kwargs)
        except DatabaseUnavailableError as error:
            logger.warning("%s", error)
            return dg.SkipReason(str(error))

    return run
