"""Detection of runs whose process has died: fail their reports and free their slot in the queue.

Dagster itself detects a dead process only while the code server that started it is alive.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime

import dagster as dg

from storemon_pipeline.defs.resources import StoremonResource
from storemon_pipeline.evaluation.stale_runs import (
    HEARTBEAT_INTERVAL,
    PROCESS_DIED,
    expire_stale_reports,
    read_stale_runs,
)
from storemon_pipeline.storage.heartbeats import delete_heartbeats
from storemon_pipeline.storage.report_writer import drop_parts
from storemon_pipeline.storage.reports import CANCELED, find_report

_ACTIVE_STATUSES = [
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dataclass(frozen=True, slots=True)
class Suspect:
    """A run with a stale heartbeat.

    Attributes
    ----------
    beat_at : str
        Last heartbeat, in ISO format.
    since : str
        When the heartbeat was first found to be stale, in ISO format.
    """

    beat_at: str
    since: str


def dead_runs(
    stale: Mapping[str, datetime], before: Mapping[str, Suspect], now: datetime
) -> tuple[dict[str, Suspect], list[str]]:
    """Decide which runs are dead.

    A run is dead if its heartbeat is still stale one heartbeat interval after it was first found
    stale. This gives a live process time for a beat after a database outage or a suspension.

    Parameters
    ----------
    stale : mapping
        Run id -> last heartbeat.
    before : mapping
        Run id -> suspect of the previous tick.
    now : datetime

    Returns
    -------
    suspects : dict
        Run id -> suspect for the next tick.
    dead : list of str
    """
    suspects: dict[str, Suspect] = {}
    dead = []
    for run_id, beat_at in stale.items():
        suspect = before.get(run_id)
        if suspect is None or suspect.beat_at != beat_at.isoformat():
            suspect = Suspect(beat_at.isoformat(), now.isoformat())
        if now - datetime.fromisoformat(suspect.since) >= HEARTBEAT_INTERVAL:
            dead.append(run_id)
        else:
            suspects[run_id] = suspect
    return suspects, dead


def end_dead_runs(
    instance: dg.DagsterInstance, storemon: StoremonResource, cursor: str | None, now: datetime
) -> str:
    """Clean up after dead runs: fail reports and ingests, delete partial files, end Dagster runs.

    The heartbeat is deleted last, so that the next tick repeats an interrupted clean-up.

    Returns
    -------
    str
        The next cursor.
    """
    stored = json.loads(cursor) if cursor else {}
    before = {run_id: Suspect(**suspect) for run_id, suspect in stored.items()}
    with storemon.database.read() as connection:
        stale = read_stale_runs(connection, now)
    suspects, dead = dead_runs(stale, before, now)
    if dead:
        with storemon.database.registry_transaction() as connection:
            expire_stale_reports(connection, now, dead)
        for run_id in dead:
            drop_parts(storemon.settings.reports_path, run_id)
        # runs of another Dagster instance are unknown here
        for run in instance.get_runs(dg.RunsFilter(run_ids=dead, statuses=_ACTIVE_STATUSES)):
            _end_run(instance, storemon, run)
        with storemon.database.registry_transaction() as connection:
            delete_heartbeats(connection, dead)
    return json.dumps({run_id: asdict(suspect) for run_id, suspect in suspects.items()})


def _end_run(instance: dg.DagsterInstance, storemon: StoremonResource, run: dg.DagsterRun) -> None:
    with storemon.database.read() as connection:
        state = find_report(connection, run.run_id)
    is_canceled = state is not None and state.status == CANCELED
    if is_canceled or run.status is dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, PROCESS_DIED)
    else:
        instance.report_run_failed(run, PROCESS_DIED)
