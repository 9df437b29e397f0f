"""Sensor that starts a run when the raw files change.

The cursor does not decide which files are ingested: that follows from the last successful ingest
(table ``ingest_run``) and from the runs of the sensor, whose tag holds the state of the files. A
lost cursor neither repeats nor skips an ingest.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import takewhile

import dagster as dg

from storemon_pipeline.defs.failures import skip_if_database_unavailable
from storemon_pipeline.defs.jobs import ingest_and_report_job
from storemon_pipeline.defs.resources import StoremonResource
from storemon_pipeline.ingestion.discovery import fingerprint
from storemon_pipeline.ingestion.file_errors import IngestionError
from storemon_pipeline.runs import FILES_TAG
from storemon_pipeline.storage.ingest_runs import IngestRun, latest_success

Fingerprint = dict[str, list[int]]

MAX_UNSETTLED_TICKS = 10
"""Maximum consecutive ticks to wait for files to stop changing."""

MAX_ATTEMPTS = 6
"""Maximum runs for one state of the files; then a file must change, or a manual run succeed."""

FIRST_RETRY = timedelta(minutes=1)
LONGEST_RETRY = timedelta(minutes=15)

_SUCCESS = dg.DagsterRunStatus.SUCCESS
_IN_PROGRESS = frozenset(
    {
        dg.DagsterRunStatus.QUEUED,
        dg.DagsterRunStatus.NOT_STARTED,
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.STARTED,
        dg.DagsterRunStatus.CANCELING,
    }
)


@dataclass(frozen=True, slots=True)
class FileCursor:
    """Sensor cursor: the files at the previous tick.

    Attributes
    ----------
    seen : dict
        The files at the previous tick.
    unsettled_ticks : int
        Number of consecutive ticks at which the files had changed.
    """

    seen: Fingerprint = field(default_factory=dict)
    unsettled_ticks: int = 0

    @classmethod
    def from_cursor(cls, cursor: str | None) -> "FileCursor":
        """Parse a cursor; earlier versions named `unsettled_ticks` ``unsettled``."""
        stored = json.loads(cursor) if cursor else {}
        ticks = stored.get("unsettled_ticks", stored.get("unsettled", 0))
        return cls(stored.get("seen", {}), ticks)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A run that the sensor launched for a state of the files.

    Attributes
    ----------
    run_id : str
    status : DagsterRunStatus
    ended_at : datetime
        End of the run; its last update while in progress.
    """

    run_id: str
    status: dg.DagsterRunStatus
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class Decision:
    """Outcome of an evaluation.

    Attributes
    ----------
    cursor : FileCursor
        The next cursor.
    run_key : str or None
        Key of the run to launch; None to launch no run. Repeating an evaluation gives the same key,
        each attempt a new one.
    reason : str
        Why no run is launched.
    """

    cursor: FileCursor
    run_key: str | None = None
    reason: str = ""


def files_digest(files: Fingerprint) -> str:
    """Return a short digest of a state of the files."""
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:16]


def retry_delay(failures: int) -> timedelta:
    """Return the delay before the next attempt.

    Examples
    --------
    >>> [retry_delay(failures) // timedelta(minutes=1) for failures in (1, 2, 3, 4, 5, 6)]
    [1, 2, 4, 8, 15, 15]
    """
    return min(FIRST_RETRY * (1 << (failures - 1)), LONGEST_RETRY)


def evaluate_files(  # noqa: PLR0911 - one return for each reason to wait
    cursor: FileCursor,
    files: Fingerprint,
    last: IngestRun | None,
    attempts: Sequence[Attempt],
    now: datetime,
) -> Decision:
    """Decide whether to launch a run for the files.

    Files are done when a run that read them has succeeded. A failed run is retried with back-off,
    up to :data:`MAX_ATTEMPTS` times. A run starts when the files are unchanged since the previous
    tick, or after :data:`MAX_UNSETTLED_TICKS` ticks.

    Parameters
    ----------
    cursor : FileCursor
        Cursor of the previous tick.
    files : dict
        The files now.
    last : IngestRun or None
        The last successful ingest of all files, manual runs included.
    attempts : sequence of Attempt
        The runs launched for this state of the files since another state was ingested, newest
        first.
    now : datetime

    Returns
    -------
    Decision
    """
    if not files:
        return Decision(FileCursor(), reason="no files")
    unsettled_ticks = cursor.unsettled_ticks + 1 if files != cursor.seen else 0
    newest = attempts[0] if attempts else None
    settled = FileCursor(files)
    if newest is not None and newest.status in _IN_PROGRESS:
        return Decision(settled, reason=f"run {newest.run_id} is in progress")
    failed = list(takewhile(lambda attempt: attempt.status is not _SUCCESS, attempts))
    if last is not None and last.files == files and not _failed_since(last, failed):
        return Decision(settled, reason="no new or changed files")
    if len(failed) >= MAX_ATTEMPTS:
        return Decision(
            settled,
            reason=(
                f"{len(failed)} runs for these files failed, most recently {failed[0].run_id}: "
                "change the files, or run ingest_and_report_job manually"
            ),
        )
    if failed and now < (retry_at := failed[0].ended_at + retry_delay(len(failed))):
        return Decision(
            settled,
            reason=(
                f"run {failed[0].run_id} failed; attempt {len(failed) + 1} of {MAX_ATTEMPTS} at "
                f"{retry_at:%H:%M:%S} UTC"
            ),
        )
    if files != cursor.seen and unsettled_ticks < MAX_UNSETTLED_TICKS:
        return Decision(FileCursor(files, unsettled_ticks), reason="files are still changing")
    # the last success is part of the key, so that a state seen before gets a new key
    before = [last and last.run_id, newest and newest.run_id]
    key = json.dumps([files_digest(files), *before])
    return Decision(settled, hashlib.sha256(key.encode()).hexdigest()[:16])


def _failed_since(last: IngestRun, failed: Sequence[Attempt]) -> bool:
    """Return whether a run failed after the files were ingested: its report is still missing."""
    return bool(failed) and last.finished_at is not None and failed[0].ended_at > last.finished_at


def _attempts(
    instance: dg.DagsterInstance, files: Fingerprint, last: IngestRun | None
) -> list[Attempt]:
    """Return the runs launched for this state of the files since another state was ingested."""
    since = last.started_at if last is not None and last.files != files else None
    records = instance.get_run_records(
        dg.RunsFilter(tags={FILES_TAG: files_digest(files)}, created_after=since),
        limit=MAX_ATTEMPTS + 1,
    )
    return [
        Attempt(record.dagster_run.run_id, record.dagster_run.status, _ended_at(record))
        for record in records
    ]


def _ended_at(record: dg.RunRecord) -> datetime:
    if record.end_time is not None:
        return datetime.fromtimestamp(record.end_time, UTC)
    at = record.update_timestamp
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def evaluate_directory(
    instance: dg.DagsterInstance, storemon: StoremonResource, cursor: str | None, now: datetime
) -> dg.SensorResult | dg.SkipReason:
    """Evaluate the current state of the data directory."""
    data_dir = storemon.settings.data_dir
    try:
        files = fingerprint(data_dir)
    except IngestionError as error:
        # an unreadable directory is not an empty one: keep the cursor
        return dg.SkipReason(str(error))
    with storemon.database.read() as connection:
        last = latest_success(connection)
    decision = evaluate_files(
        FileCursor.from_cursor(cursor), files, last, _attempts(instance, files, last), now
    )
    requests = []
    if decision.run_key:
        tags = {FILES_TAG: files_digest(files)}
        requests.append(dg.RunRequest(run_key=decision.run_key, tags=tags))
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else f"{data_dir}: {decision.reason}",
        cursor=json.dumps(asdict(decision.cursor)),
    )


@dg.sensor(
    job=ingest_and_report_job,
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Starts ingest_and_report_job when files in the data directory are new or changed and no "
        "longer being written; retries failed runs with back-off."
    ),
)
@skip_if_database_unavailable
def new_files_sensor(
    context: dg.SensorEvaluationContext, storemon: StoremonResource
) -> dg.SensorResult | dg.SkipReason:
    """Start a run if files are new or changed."""
    return evaluate_directory(context.instance, storemon, context.cursor, datetime.now(UTC))
