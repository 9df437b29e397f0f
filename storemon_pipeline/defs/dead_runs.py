"""Runs whose process has died: their reports fail, and they give up their place in Dagster's queue.

Dagster itself notices a dead process only while the code server that started it lives.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime

import dagster as dg

from storemon_pipeline.defs.resources import StoremonResource
from storemon_pipeline.storage.heartbeats import (
    HEARTBEAT_INTERVAL,
    PROCESS_DIED,
    delete_heartbeats,
    expire_stale_reports,
    stale_heartbeats,
)
from storemon_pipeline.storage.report_writer import drop_parts
from storemon_pipeline.storage.reports import CANCELED, find_report

_ACTIVE_STATUSES = [
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dataclass(frozen=True, slots=True)
class Suspect:
    """A run without a heartbeat for a minute.

    Attributes
    ----------
    beat_at : str
        Its last heartbeat, in ISO format.
    since : str
        When it was first seen to be stale.
    """

    beat_at: str
    since: str


def dead_runs(
    stale: Mapping[str, datetime], before: Mapping[str, Suspect], now: datetime
) -> tuple[dict[str, Suspect], list[str]]:
    """Decide which runs are dead.

    A run is dead if it is still stale one heartbeat interval after it was first seen to be: after a
    database that was unavailable, or a machine that was suspended, a living process has had the
    time to show itself.

    Parameters
    ----------
    stale : mapping
        Run's id -> its last heartbeat.
    before : mapping
        The suspects of the last tick, by run's id.
    now : datetime

    Returns
    -------
    suspects : dict
        Those to wait for, for the next tick.
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
    """End what dead runs have left: reports, ingests, unfinished files, runs of Dagster's.

    The heartbeat goes last, so that whatever stops this half way, the next tick repeats it.

    Returns
    -------
    str
        The next cursor.
    """
    known = json.loads(cursor) if cursor else {}
    before = {run_id: Suspect(**suspect) for run_id, suspect in known.items()}
    with storemon.database.read() as connection:
        stale = stale_heartbeats(connection, now)
    suspects, dead = dead_runs(stale, before, now)
    if dead:
        with storemon.database.registry_transaction() as connection:
            expire_stale_reports(connection, now, dead)
        for run_id in dead:
            drop_parts(storemon.settings.reports_path, run_id)
        # those of another history of Dagster's are not in this one
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
