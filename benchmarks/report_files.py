"""Benchmark of all files of a report against ``report.csv`` alone, each in its own process.

``python -m benchmarks.report_files alone|all`` makes the report of all stores from the tables of
``STOREMON_DATABASE_URL`` in ``STOREMON_REPORTS_DIR``: in batches, with the functions that the
assets call, but without Dagster. ``alone`` writes only ``report.csv``, and reads and computes only
what it needs; ``all`` writes all five files, as the asset ``report`` does.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import pandas as pd
from sqlalchemy import Connection

from storemon_pipeline.concurrency import prefetch
from storemon_pipeline.evaluation.data_quality import read_data_quality
from storemon_pipeline.evaluation.poll_lookback import read_polls_with_lookback
from storemon_pipeline.evaluation.store_states import read_current_status
from storemon_pipeline.settings import Settings
from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.polled_stores import newest_poll, read_polled_stores
from storemon_pipeline.storage.reference_data import (
    read_business_hours,
    read_service_levels,
    read_special_hours,
    read_timezones,
)
from storemon_pipeline.storage.report_writer import (
    ReportFile,
    ReportWriter,
    csv_files,
    join_report_parts,
    write_report_parts,
)
from storemon_pipeline.uptime.assumptions import summarize_assumptions
from storemon_pipeline.uptime.batches import batch_stores
from storemon_pipeline.uptime.evaluate import StoreResults, observe_tables, store_results
from storemon_pipeline.uptime.fleet import FleetSummary
from storemon_pipeline.uptime.metrics import compute_metrics, round_metrics
from storemon_pipeline.uptime.opening_hours import OpeningHours, open_hours
from storemon_pipeline.uptime.report_request import ReportRequest, ReportSpec, resolve_spec
from storemon_pipeline.uptime.status_intervals import status_intervals
from storemon_pipeline.uptime.time_zones import resolve_timezones

_NOTHING = pd.DataFrame()
Batch = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]
"""A batch of stores, with their open hours and status intervals."""


class Tables:
    """Inputs of a report: its request, and its stores with their time zones and opening hours.

    Attributes
    ----------
    request : ReportRequest
    stores : DataFrame
        ``store_id``, ``first_poll_utc``, ``last_poll_utc``, ``timezone_str``, ``timezone``.
    """

    def __init__(self, database: Database, connection: Connection) -> None:
        self._database = database
        now = datetime.now(UTC)
        newest = newest_poll(database.polls, connection, now)
        if newest is None:
            msg = "there are no polls: run ingest_job first"
            raise RuntimeError(msg)
        self.request: ReportRequest = resolve_spec(ReportSpec(), newest_poll=newest, now=now)
        self.hours = OpeningHours(read_business_hours(connection), read_special_hours(connection))
        stores = read_polled_stores(database.polls, connection, self.request.as_of)
        stores = stores.merge(read_timezones(connection), on="store_id", how="left")
        self.stores = stores.assign(timezone=resolve_timezones(stores["timezone_str"]))

    def batches(self) -> Iterator[Batch]:
        """Read the polls and compute the intervals, batch by batch."""
        request, rules = self.request, self.request.rules
        start, as_of = map(pd.Timestamp, request.span)

        def read(stores: pd.DataFrame) -> tuple[pd.DataFrame, OpeningHours, pd.DataFrame]:
            hours = OpeningHours(
                _of_stores(self.hours.weekly, stores), _of_stores(self.hours.special, stores)
            )
            polls = read_polls_with_lookback(
                self._database.polls, stores, hours, start, as_of, rules
            )
            return stores, hours, polls

        parts = batch_stores(self.stores, request.span)
        with prefetch(read, parts, depth=2) as batches:
            for stores, hours, polls in batches:
                open_time = open_hours(stores, hours, start, as_of, rules)
                status = status_intervals(stores, polls, open_time, hours, start, as_of, rules)
                yield stores, open_time, status

    def current_status(self, stores: pd.DataFrame) -> pd.DataFrame:
        """Return the status of some stores at as_of."""
        request, no_data_after = self.request, Settings().no_data_after
        as_of = pd.Timestamp(request.as_of)
        return read_current_status(
            self._database.polls, stores, self.hours, as_of, request.rules, no_data_after
        )


def _of_stores(hours: pd.DataFrame, stores: pd.DataFrame) -> pd.DataFrame:
    first, last = stores["store_id"].iloc[0], stores["store_id"].iloc[-1]
    return hours[hours["store_id"].between(first, last)].reset_index(drop=True)


def write_alone(database: Database, files: ReportWriter) -> None:
    """Write only ``report.csv``."""
    with database.read() as connection:
        tables = Tables(database, connection)
    names = csv_files([ReportFile.REPORT])
    with files.open([*names]) as open_files, files.open_parts() as parts:
        for number, (stores, open_time, status) in enumerate(tables.batches()):
            time = observe_tables(stores, open_time, status, tables.request)
            exact = compute_metrics(time, tables.request, stores)
            figures = round_metrics(stores, exact, tables.request)
            results = StoreResults(figures, exact, *[_NOTHING] * 5)
            write_report_parts(parts, number, names, results)
        join_report_parts(parts, open_files, number + 1)


def write_all(database: Database, files: ReportWriter, target_pct: float) -> None:
    """Write all five files.

    Parameters
    ----------
    database : Database
    files : ReportWriter
    target_pct : float
        SLO target of stores without an individual one.
    """
    # imported here, since `write_alone` does not need it
    from storemon_pipeline.pages.report_html import ReportCharts, render_report_html  # noqa: PLC0415

    with database.read() as connection:
        tables = Tables(database, connection)
        targets = read_service_levels(connection)
        assumptions = summarize_assumptions(
            tables.stores, tables.hours.weekly, tables.request.rules.missing_day
        )
        quality = read_data_quality(connection, assumptions)
    tables.stores = tables.stores.merge(targets, on="store_id", how="left")
    tables.stores["target_pct"] = tables.stores["target_pct"].fillna(target_pct)
    fleet = FleetSummary(tables.request)
    names = csv_files(ReportFile)
    with files.open(list(ReportFile)) as open_files, files.open_parts() as parts:
        for number, (stores, open_time, status) in enumerate(tables.batches()):
            current = tables.current_status(stores)
            results = store_results(stores, open_time, status, current, tables.request)
            write_report_parts(parts, number, names, results)
            fleet.add(results)
        join_report_parts(parts, open_files, number + 1)
        page = render_report_html(fleet, ReportCharts(fleet), files.directory.name, quality=quality)
        open_files[ReportFile.PAGE].write(page.encode())


def main(argv: Sequence[str] | None = None) -> None:
    """Make a report in a subdirectory of the reports directory: ``alone`` or ``all``."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("which", choices=["alone", "all"])
    which = parser.parse_args(argv).which
    settings = Settings()
    database = Database(settings.database_url)
    files = ReportWriter(settings.reports_path, which)
    if which == "alone":
        write_alone(database, files)
    else:
        write_all(database, files, settings.target_pct)
    database.close()


if __name__ == "__main__":
    main()
