"""Heartbeat of a run's process: a thread that records every few seconds that it is alive."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime

import dagster as dg
from pydantic import PrivateAttr, ValidationError

from storemon_pipeline.defs.resources import StoremonResource
from storemon_pipeline.evaluation.stale_runs import HEARTBEAT_INTERVAL
from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.database_faults import DatabaseUnavailableError
from storemon_pipeline.storage.heartbeats import end_heartbeat, record_heartbeat
from storemon_pipeline.storage.schema_version import NewerDatabaseError

_log = logging.getLogger(__name__)


class Heartbeat:
    """Update a run's row in ``run_heartbeat`` until stopped.

    An unavailable database costs a beat, never the run.

    Parameters
    ----------
    database : Database
    run_id : str
    interval : float
        Seconds between beats.
    """

    def __init__(
        self,
        database: Database,
        run_id: str,
        interval: float = HEARTBEAT_INTERVAL.total_seconds(),
    ) -> None:
        self._database, self._run_id, self._interval = database, run_id, interval
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Record the first beat, then start the thread."""
        self._beat()
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread and delete the row."""
        self._stopped.set()
        self._thread.join()
        try:
            with self._database.registry_transaction() as connection:
                end_heartbeat(connection, self._run_id)
        except Exception as error:  # noqa: BLE001 - the row becomes stale by itself
            _log.debug("Heartbeat of run %s could not be deleted: %s", self._run_id, error)

    def _run(self) -> None:
        while not self._stopped.wait(self._interval):
            self._beat()

    def _beat(self) -> None:
        try:
            with self._database.registry_transaction() as connection:
                record_heartbeat(connection, self._run_id, datetime.now(UTC))
        except Exception as error:  # noqa: BLE001 - the run must not end because of its heartbeat
            _log.debug("Heartbeat of run %s could not be recorded: %s", self._run_id, error)


class RunHeartbeat(dg.ConfigurableResource[None]):
    """Heartbeat of a run, from before its first step until after its last one."""

    _heartbeat: Heartbeat | None = PrivateAttr(default=None)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Start the heartbeat, if there is a run."""
        if context.run is None:
            return
        try:
            database = StoremonResource().database
        except (DatabaseUnavailableError, NewerDatabaseError, ValidationError):
            return  # the first step reports it
        self._heartbeat = Heartbeat(database, context.run.run_id)
        self._heartbeat.start()

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002 - as Dagster calls it
        """Stop the heartbeat."""
        if self._heartbeat is not None:
            self._heartbeat.stop()
