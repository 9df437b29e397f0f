"""How the outcome of an ingest gets on record, whatever becomes of its transaction."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from storemon_pipeline.defs.resources import StoremonResource
from storemon_pipeline.ingestion.discovery import fingerprint
from storemon_pipeline.ingestion.errors import IngestionError
from storemon_pipeline.storage.errors import DatabaseUnavailableError
from storemon_pipeline.storage.heartbeats import record_heartbeat
from storemon_pipeline.storage.ingest_runs import finish_ingest_run, start_ingest_run

_log = logging.getLogger(__name__)


@contextmanager
def record_ingest(storemon: StoremonResource, run_id: str, *, reads_all: bool) -> Iterator[None]:
    """Record in ``ingest_run`` that a run reads the raw files, and how that ended.

    Parameters
    ----------
    storemon : StoremonResource
    run_id : str
    reads_all : bool
        Whether the run reads the files of all tables; one that reads some says nothing about the
        state of the data directory.
    """
    database = storemon.database
    files = None
    if reads_all:
        with suppress(IngestionError):  # the ingest itself says what is wrong
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
            _log.warning("The outcome of ingest %s is not on record: %s", run_id, unrecorded)
        raise
    with database.registry_transaction() as connection:
        finish_ingest_run(connection, run_id, datetime.now(UTC))


def _cause(error: BaseException) -> str:
    if isinstance(error, IngestionError | DatabaseUnavailableError):
        return str(error)
    if isinstance(error, Exception):
        return f"{type(error).__name__}: {error}"
    return "the run was canceled"
