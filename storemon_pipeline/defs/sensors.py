"""The sensor for new files, and the decision it makes."""

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace

import dagster as dg

from storemon_pipeline.defs.jobs import ingest_and_report_job
from storemon_pipeline.intake.errors import IntakeError
from storemon_pipeline.intake.recognition import fingerprint
from storemon_pipeline.settings import Settings

Fingerprint = dict[str, list[int]]

PATIENCE = 10
"""For how many looks in a row a file may go on changing before it is ingested all the same."""


@dataclass(frozen=True, slots=True)
class Watch:
    """What the sensor knows from one look at the data directory to the next.

    Attributes
    ----------
    ingested : dict
        The files as they were when a run was last started for them.
    seen : dict
        The files as they were at the last look.
    unsettled : int
        For how many looks in a row they have differed from the look before.
    runs : int
        How many runs were started: part of each one's key, since files may be what they once were.
    """

    ingested: Fingerprint = field(default_factory=dict)
    seen: Fingerprint = field(default_factory=dict)
    unsettled: int = 0
    runs: int = 0


def look(watch: Watch, files: Fingerprint) -> tuple[Watch, str | None]:
    """Decide whether to start a run.

    A file that is being written is waited for: a run starts when the files differ from those that
    were ingested, but not from those of the last look; or when they have not come to rest for
    ``PATIENCE`` looks.

    Parameters
    ----------
    watch : Watch
        What was known.
    files : dict
        The files now.

    Returns
    -------
    watch : Watch
        What is known now.
    run_key : str or None
        Not None when a run is to start; another one for every run, and the same for the same look.
    """
    if files == watch.ingested or not files:
        return replace(watch, seen=files, unsettled=0), None
    unsettled = watch.unsettled + 1 if files != watch.seen else 0
    if files != watch.seen and unsettled < PATIENCE:
        return replace(watch, seen=files, unsettled=unsettled), None
    after = Watch(files, files, runs=watch.runs + 1)
    text = json.dumps([after.runs, files], sort_keys=True)
    return after, hashlib.sha256(text.encode()).hexdigest()[:16]


@dg.sensor(
    job=ingest_and_report_job,
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Starts ingest_and_report_job when a file in the data directory is new or has changed, "
        "once a change, when it is no longer being written."
    ),
)
def new_files_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Look at the data directory."""
    data_dir = Settings().data_dir
    try:
        files = fingerprint(data_dir)
    except IntakeError as error:
        # not the same as no files: what is known stays known
        return dg.SkipReason(str(error))
    before = Watch(**json.loads(context.cursor)) if context.cursor else Watch()
    after, run_key = look(before, files)
    requests = [dg.RunRequest(run_key=run_key)] if run_key else []
    waiting = "files are still changing" if after.unsettled else "nothing is new"
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else f"In {data_dir}, {waiting}",
        cursor=json.dumps(asdict(after)),
    )


SENSORS = [new_files_sensor]
