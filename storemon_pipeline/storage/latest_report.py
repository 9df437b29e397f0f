"""Publish ``report.csv`` of the newest standard report at a stable path.

A standard report has all stores, default windows and default rules. The file is replaced after a
report is Complete, and never by a report with an older ``as_of``.
"""

from __future__ import annotations

from upath import UPath

from storemon_pipeline.storage.atomic_file import open_atomically
from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.report_writer import ReportFile
from storemon_pipeline.storage.reports import ReportRecord, newest_standard_report


def publish_latest(database: Database, reports_dir: UPath, target: UPath) -> ReportRecord | None:
    """Make ``target`` the ``report.csv`` of the newest standard report.

    Idempotent, and safe with concurrent publishers: after replacing the file, a publisher
    reads the registry once more, so that the last one to replace it has seen the newest report.

    Parameters
    ----------
    database : Database
    reports_dir : UPath
        The directory of all reports.
    target : UPath
        The file to replace; the write is atomic.

    Returns
    -------
    ReportRecord or None
        The report that ``target`` holds now; None if no standard report with files is Complete.
    """

    def source(state: ReportRecord) -> UPath:
        return reports_dir / str(state.run_id) / ReportFile.REPORT

    published: ReportRecord | None = None
    while True:
        with database.read() as connection:
            newest = newest_standard_report(connection, lambda state: source(state).is_file())
        if newest is None or (published and newest.report_id == published.report_id):
            return newest
        _replace(source(newest).read_bytes(), target)
        published = newest


def _replace(content: bytes, target: UPath) -> None:
    if target.is_file() and target.read_bytes() == content:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with open_atomically(target) as file:
        file.write(content)
