"""What a person is told when a run fails, and how a report that fails is recorded as such."""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

import dagster as dg
from pydantic import ValidationError

from storemon_pipeline.defs.metadata import records_metadata
from storemon_pipeline.ingestion.errors import IngestionError, TooManyBadRowsError
from storemon_pipeline.settings import Settings
from storemon_pipeline.storage.errors import DatabaseUnavailableError
from storemon_pipeline.storage.schema_version import NewerDatabaseError
from storemon_pipeline.uptime.messages import quote_value, shorten
from storemon_pipeline.uptime.report_request import UnanswerableError

logger = dg.get_dagster_logger()

RETRIES = 4
"""How often a step is tried again while the database cannot be reached."""

FIRST_DELAY_SECONDS = 5
"""After how long it is tried again first; each further delay is twice the one before."""

_SPACE = "free some space there, or set STOREMON_REPORTS_DIR to another place"
_RIGHTS = "let this user write there, or set STOREMON_REPORTS_DIR to another place"
_REMEDIES = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EFBIG: _SPACE,
    errno.EROFS: _RIGHTS,
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
}


class ReportError(RuntimeError):
    """A report that cannot be made from what there is; the message says why and what to do."""


def format_validation_error(error: ValidationError) -> str:
    """Pydantic's errors in one sentence each: where, what, and which value it was."""
    sentences = []
    parents = {found["loc"][:-1] for found in error.errors(include_url=False)}
    for found in error.errors(include_url=False):
        if found["type"] == "default_factory_not_called":
            continue  # a default that follows from what is told beside it
        if found["type"] == "too_short" and found["loc"] in parents:
            continue  # pydantic does not count the items that are wrong
        where = shorten(".".join(map(str, found["loc"])), 200)
        sentence = f"{where}: {found['msg']}" if where else found["msg"]
        if found["type"] == "value_error":  # the words of our own validators
            sentence = sentence.replace("Value error, ", "", 1)
        elif isinstance(found["input"], str | int | float):
            sentence += f", not {quote_value(found['input'])}"
        sentences.append(sentence)
    return shorten("; ".join(sentences))


def _retry_or_failure(why: str) -> dg.RetryRequested | dg.Failure:
    """Retry the step with back-off, or, after the last retry, let it fail.

    Each step can be repeated: it changes tables in one transaction, and files as a whole.
    """
    try:
        tried = dg.OpExecutionContext.get().retry_number
    except dg.DagsterInvariantViolationError:
        tried = 0  # in an IO manager, which does not see the attempt number; Dagster counts
    if tried >= RETRIES:
        return dg.Failure(why, allow_retries=False)
    logger.warning("%s Trying again, up to %d times", why, RETRIES - tried)
    return dg.RetryRequested(RETRIES, FIRST_DELAY_SECONDS * 2**tried)


@contextmanager
def as_dagster_failure() -> Iterator[None]:
    """Turn what a person can mend into a Failure whose text names cause and remedy.

    A bug stays what it is, with its traceback; here the words say all, and a second traceback
    would only hide them.
    """
    try:
        yield
    except TooManyBadRowsError as error:
        metadata = {"first_bad_rows": records_metadata(error.bad_rows)}
        raise dg.Failure(shorten(str(error)), metadata=metadata, allow_retries=False) from None
    except (IngestionError, ReportError, UnanswerableError) as error:
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
        where = error.filename or Settings().reports_dir
        msg = f"{where}: {error.strerror}: {_REMEDIES[error.errno]}"
        raise dg.Failure(msg, allow_retries=False) from None


_P = ParamSpec("_P")
_R = TypeVar("_R")


def skipped_while_database_is_away(tick: Callable[_P, _R]) -> Callable[_P, _R | dg.SkipReason]:
    """Let a sensor's tick be skipped, with the reason, while the database cannot be used.

    The next tick looks again; a stack trace for each, every few seconds, would say no more.
    """

    @wraps(tick)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _R | dg.SkipReason:
        try:
            return tick(*args, **kwargs)
        except DatabaseUnavailableError as error:
            logger.warning("%s", error)
            return dg.SkipReason(str(error))

    return run
