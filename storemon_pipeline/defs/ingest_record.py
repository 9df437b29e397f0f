"""Recording of ingest outcomes, independent of the ingest's own transaction."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from storemon_pipeline.defs.resources import StoremonResource
from storemon_pipeline.ingestion.discovery import fingerprint
from storemon_pipeline.ingestion.file_errors import IngestionError
from storemon_pipeline.storage.database_faults import DatabaseUnavailableError
from storemon_pipeline.storage.heartbeats import record_heartbeat
from storemon_pipeline.storage.ingest_runs import finish_ingest_run, start_ingest_run

_log = logging.getLogger(__name__)


@contextmanager
def record_ingest(storemon: StoremonResource, run_id: str, *, reads_all: bool) -> Iterator[None]:
    """Record the start and the outcome of an ingest in ``ingest_run``.

    Parameters
    ----------
    storemon : StoremonResource
    run_id : str
    reads_all : bool
        Whether the run ingests all tables. Otherwise the state of the data directory is not
        recorded.
    """
    database = storemon.database
    files = None
    if reads_all:
        with suppress(IngestionError):  # the ingest itself reports it
            files = fingerprint(storemon.settings.data_dir)
    with database.registry_transaction() as connection:
        record_heartbeat(connection, run_id, datetime.now(UTC))
        start_ingest_run(connection, run_id, files, datetime.now(UTC))
    try:
        yield
    except BaseException as error:
        try:
            with database.registry_transaction() as connection:
                finish_ingest_run(connection, run_id, datetime.now(UTC), error=_cause(error))
        except Exception as unrecorded:  # noqa: BLE001 - must not hide why the ingest failed
            _log.warning("The outcome of ingest %s could not be recorded: %s", run_id, unrecorded)
        raise
    with database.registry_transaction() as connection:
        finish_ingest_run(connection, run_id, datetime.now(UTC))


def _cause(error: BaseException) -> str:
    if isinstance(error, IngestionError | DatabaseUnavailableError):
        return str(error)
    if isinstance(error, Exception):
        return f"{type(error).__name__}: {error}"
    return "the run was canceled"
