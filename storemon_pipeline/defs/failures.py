"""What a person is told when a run fails, and how a report that fails is recorded as such."""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import wraps
from typing import ParamSpec, TypeVar

import dagster as dg
from pydantic import ValidationError

from storemon_pipeline.defs.resources import Storemon
from storemon_pipeline.defs.show import rows_table
from storemon_pipeline.intake.errors import IntakeError, TooManyBadRowsError
from storemon_pipeline.launching import REQUEST_TAG
from storemon_pipeline.settings import Settings
from storemon_pipeline.storage.faults import DatabaseUnavailableError
from storemon_pipeline.storage.heartbeats import beat
from storemon_pipeline.storage.migrate import NewerDatabaseError
from storemon_pipeline.storage.registry import fail_report, start_report
from storemon_pipeline.storage.requests import claim
from storemon_pipeline.uptime.messages import quote_value, shorten
from storemon_pipeline.uptime.request import ReportRequest, UnanswerableError

_REPORT_JOBS = ("report_job", "ingest_and_report_job")


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


class CannotReportError(RuntimeError):
    """A report that cannot be made from what there is; the message says why and what to do."""


def _in_words(error: ValidationError) -> str:
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
def told_as_failure() -> Iterator[None]:
    """Turn what a person can mend into a Failure whose text names cause and remedy.

    A bug stays what it is, with its traceback; here the words say all, and a second traceback
    would only hide them.
    """
    try:
        yield
    except TooManyBadRowsError as error:
        metadata = {"first_bad_rows": rows_table(error.bad_rows)}
        raise dg.Failure(shorten(str(error)), metadata=metadata, allow_retries=False) from None
    except (IntakeError, CannotReportError, UnanswerableError) as error:
        raise dg.Failure(shorten(str(error)), allow_retries=False) from None
    except ValidationError as error:
        raise dg.Failure(_in_words(error), allow_retries=False) from None
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


def makes_report(run: dg.DagsterRun) -> bool:
    """Whether a run makes a report, as soon as it comes so far."""
    if run.asset_selection:  # asked for by name, in the UI
        return dg.AssetKey("uptime_report") in run.asset_selection
    return run.job_name in _REPORT_JOBS


def record_start(storemon: Storemon, run: dg.DagsterRun, request: ReportRequest | None) -> None:
    """Record that a run makes a report, if it does, and what that was asked for.

    Raises
    ------
    CannotReportError
        Where another run makes the report of the same request, or nobody wants it any more.
    """
    if not makes_report(run):
        return
    request_id = run.tags.get(REQUEST_TAG)
    with storemon.database.write_registry() as connection:
        if request_id and not claim(connection, request_id, run.run_id, run.root_run_id):
            msg = (
                f"the report of request {request_id} is made by another run, or was canceled: "
                "this run stops"
            )
            raise CannotReportError(msg)
        now = datetime.now(UTC)
        # a report that is Running has a heartbeat from its first moment on
        beat(connection, run.run_id, now)
        start_report(connection, run.run_id, request, now, root_run_id=run.root_run_id)


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


def _cause(error: BaseException | None) -> str:
    if isinstance(error, dg.Failure):
        return error.description or "the run failed"
    return shorten(f"{type(error).__name__}: {error}")


# every step has this hook: so the heartbeat begins with the run
@dg.failure_hook(required_resource_keys={"storemon", "heartbeat"})
def record_failed_report(context: dg.HookContext) -> None:
    """Mark the run's report Failed, with the cause, where the run makes one."""
    storemon: Storemon = context.resources.storemon
    try:
        with storemon.database.write_registry() as connection:
            fail_report(
                connection,
                context.run_id,
                error=_cause(context.op_exception),
                failed_at=datetime.now(UTC),
            )
    except (DatabaseUnavailableError, NewerDatabaseError) as error:
        # report_status_sensor does it, from Dagster's own record of the run
        context.log.error("The report is not marked as Failed yet: %s", error)  # noqa: TRY400
