"""What a person is told when a run fails, and how a report that fails is recorded as such."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import dagster as dg
from pydantic import ValidationError

from storemon_pipeline.defs.resources import Storemon
from storemon_pipeline.defs.show import rows_table
from storemon_pipeline.intake.errors import IntakeError, TooManyBadRowsError
from storemon_pipeline.launching import REQUEST_TAG
from storemon_pipeline.storage.database import DatabaseUnavailableError
from storemon_pipeline.storage.registry import fail_report, start_report
from storemon_pipeline.storage.requests import claim
from storemon_pipeline.uptime.messages import quote_value, shorten
from storemon_pipeline.uptime.request import ReportRequest

_REPORT_JOBS = ("report_job", "ingest_and_report_job")


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
    except (IntakeError, CannotReportError) as error:
        raise dg.Failure(shorten(str(error)), allow_retries=False) from None
    except ValidationError as error:
        raise dg.Failure(_in_words(error), allow_retries=False) from None
    except DatabaseUnavailableError as error:
        raise dg.Failure(shorten(str(error))) from error


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
    with storemon.database.write() as connection:
        if request_id and not claim(connection, request_id, run.run_id, run.root_run_id):
            msg = (
                f"the report of request {request_id} is made by another run, or was canceled: "
                "this run stops"
            )
            raise CannotReportError(msg)
        start_report(
            connection, run.run_id, request, datetime.now(UTC), root_run_id=run.root_run_id
        )


def _cause(error: BaseException | None) -> str:
    if isinstance(error, dg.Failure):
        return error.description or "the run failed"
    return shorten(f"{type(error).__name__}: {error}")


@dg.failure_hook(required_resource_keys={"storemon"})
def record_failed_report(context: dg.HookContext) -> None:
    """Mark the run's report Failed, with the cause, where the run makes one."""
    storemon: Storemon = context.resources.storemon
    with storemon.database.write() as connection:
        fail_report(
            connection,
            context.run_id,
            error=_cause(context.op_exception),
            failed_at=datetime.now(UTC),
        )
