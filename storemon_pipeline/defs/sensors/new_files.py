"""The sensor for new files, and the decision it makes.

Which files are done is never known by the cursor alone: it follows from the last ingest that
succeeded (table ``ingest_run``) and from the runs that the sensor launched, which carry the state
of the files as a tag. A cursor that is lost repeats nothing and loses nothing.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime, timedelta
from itertools import takewhile

import dagster as dg

from storemon_pipeline.defs.errors import skipped_while_database_is_away
from storemon_pipeline.defs.jobs import ingest_and_report_job
from storemon_pipeline.defs.resources import StoremonResource
from storemon_pipeline.ingestion.discovery import fingerprint
from storemon_pipeline.ingestion.errors import IngestionError
from storemon_pipeline.runs import FILES_TAG
from storemon_pipeline.storage.ingest_runs import IngestRun, latest_success

Fingerprint = dict[str, list[int]]

MAX_UNSETTLED_TICKS = 10
"""For how many looks in a row a file may go on changing before it is ingested all the same."""

MAX_TRIES = 6
"""Runs for one state of the files; after that it takes a changed file, or a run by hand."""

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
    """The sensor cursor: the state passed from one tick to the next.

    Attributes
    ----------
    seen : dict
        The files as they were at the last tick.
    unsettled : int
        For how many ticks in a row they have differed from the tick before.
    """

    seen: Fingerprint = field(default_factory=dict)
    unsettled: int = 0

    @classmethod
    def from_cursor(cls, cursor: str | None) -> "FileCursor":
        """Read a cursor; fields of other versions are ignored."""
        known = {each.name for each in fields(cls)}
        stored = json.loads(cursor) if cursor else {}
        return cls(**{name: value for name, value in stored.items() if name in known})


@dataclass(frozen=True, slots=True)
class Try:
    """A run that was launched for a state of the files.

    Attributes
    ----------
    run_id : str
    status : DagsterRunStatus
    ended_at : datetime
        When it ended; of a run in progress, when it was last updated.
    """

    run_id: str
    status: dg.DagsterRunStatus
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class Decision:
    """What a tick decides.

    Attributes
    ----------
    watch : FileCursor
        The next cursor.
    run_key : str or None
        Not None if a run is to be launched: the same for the same evaluation, another one for each
        try.
    reason : str
        Why no run is launched.
    """

    watch: FileCursor
    run_key: str | None = None
    reason: str = ""


def digest_of(files: Fingerprint) -> str:
    """A short name for a state of the files."""
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:16]


def retry_delay(failures: int) -> timedelta:
    """How long to wait after so many failed tries.

    Examples
    --------
    >>> [retry_delay(failures) // timedelta(minutes=1) for failures in (1, 2, 3, 4, 5, 6)]
    [1, 2, 4, 8, 15, 15]
    """
    return min(FIRST_RETRY * (1 << (failures - 1)), LONGEST_RETRY)


def decide(  # noqa: PLR0911 - one for each reason to wait
    watch: FileCursor,
    files: Fingerprint,
    last: IngestRun | None,
    tries: Sequence[Try],
    now: datetime,
) -> Decision:
    """Decide whether to launch a run for the files.

    Files are done when a run that read them has succeeded. A failed run is retried with back-off,
    up to :data:`MAX_TRIES` times. A file that is being written is waited for: a run starts when the
    files are as they were at the last tick, or have not come to rest for
    :data:`MAX_UNSETTLED_TICKS` ticks.

    Parameters
    ----------
    watch : FileCursor
        The cursor of the last tick.
    files : dict
        The files now.
    last : IngestRun or None
        The last successful ingest of all files, including runs started by hand.
    tries : sequence of Try
        The runs that were launched for this state of the files since other files were ingested,
        newest first.
    now : datetime

    Returns
    -------
    Decision
    """
    if not files:
        return Decision(FileCursor(), reason="there are no files")
    unsettled = watch.unsettled + 1 if files != watch.seen else 0
    newest = tries[0] if tries else None
    settled = FileCursor(files)
    if newest is not None and newest.status in _IN_PROGRESS:
        return Decision(settled, reason=f"run {newest.run_id} is in progress")
    failed = list(takewhile(lambda each: each.status is not _SUCCESS, tries))
    if last is not None and last.files == files and not _failed_since(last, failed):
        return Decision(settled, reason="nothing is new")
    if len(failed) >= MAX_TRIES:
        return Decision(
            settled,
            reason=(
                f"{len(failed)} runs for these files failed, the last one is {failed[0].run_id}: "
                "change the files, or run ingest_and_report_job by hand"
            ),
        )
    if failed and now < (retry_at := failed[0].ended_at + retry_delay(len(failed))):
        return Decision(
            settled,
            reason=(
                f"run {failed[0].run_id} failed; try {len(failed) + 1} of {MAX_TRIES} follows at "
                f"{retry_at:%H:%M:%S} UTC"
            ),
        )
    if files != watch.seen and unsettled < MAX_UNSETTLED_TICKS:
        return Decision(FileCursor(files, unsettled), reason="files are still changing")
    # the last success is part of the key, so that a state seen before gets a new key
    before = [last and last.run_id, newest and newest.run_id]
    key = json.dumps([digest_of(files), *before])
    return Decision(settled, hashlib.sha256(key.encode()).hexdigest()[:16])


def _failed_since(last: IngestRun, failed: Sequence[Try]) -> bool:
    """Whether a run has failed since the files were ingested: its report is made again."""
    return bool(failed) and last.finished_at is not None and failed[0].ended_at > last.finished_at


def _tries(instance: dg.DagsterInstance, files: Fingerprint, last: IngestRun | None) -> list[Try]:
    """The runs launched for a state of the files, since files in another state were ingested."""
    since = last.started_at if last is not None and last.files != files else None
    records = instance.get_run_records(
        dg.RunsFilter(tags={FILES_TAG: digest_of(files)}, created_after=since), limit=MAX_TRIES + 1
    )
    return [
        Try(record.dagster_run.run_id, record.dagster_run.status, _ended_at(record))
        for record in records
    ]


def _ended_at(record: dg.RunRecord) -> datetime:
    if record.end_time is not None:
        return datetime.fromtimestamp(record.end_time, UTC)
    at = record.update_timestamp
    return at if at.tzinfo else at.replace(tzinfo=UTC)


@dg.sensor(
    job=ingest_and_report_job,
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Starts ingest_and_report_job when a file in the data directory is new or has changed and "
        "is no longer being written; again, with back-off, if the run fails."
    ),
)
@skipped_while_database_is_away
def new_files_sensor(
    context: dg.SensorEvaluationContext, storemon: StoremonResource
) -> dg.SensorResult | dg.SkipReason:
    """Evaluate the data directory."""
    data_dir = storemon.settings.data_dir
    try:
        files = fingerprint(data_dir)
    except IngestionError as error:
        # not the same as no files: the cursor stays
        return dg.SkipReason(str(error))
    with storemon.database.read() as connection:
        last = latest_success(connection)
    decision = decide(
        FileCursor.from_cursor(context.cursor),
        files,
        last,
        _tries(context.instance, files, last),
        datetime.now(UTC),
    )
    requests = []
    if decision.run_key:
        tags = {FILES_TAG: digest_of(files)}
        requests.append(dg.RunRequest(run_key=decision.run_key, tags=tags))
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else f"In {data_dir}, {decision.reason}",
        cursor=json.dumps(asdict(decision.watch)),
    )


SENSORS = [new_files_sensor]
