"""Dagster's side: assets, checks, jobs, schedules, sensors, resources, IO.

Thin on purpose: an asset calls one function of :mod:`storemon_pipeline.ingestion`,
:mod:`storemon_pipeline.storage` or :mod:`storemon_pipeline.uptime` and reports what came of it.
Nothing imports this package but :mod:`storemon_pipeline.definitions`.

======================  ========================================================================
:mod:`.raw`        store_status, business_hours, store_timezones
:mod:`.request`       report_request, polled_stores, weekly_hours
:mod:`.intervals`        open_hours, status_intervals, current_status
:mod:`.run_table`       the decorator of assets that are tables of one run
:mod:`.report`        uptime_report, downtime_events, downtime_by_hour
:mod:`.asset_checks`          what is checked of the tables
:mod:`.jobs`            the jobs of the assets and their schedule
:mod:`.removal`         the job that removes polls by hand
:mod:`.retention`       the job, and its schedule, that drops what is old
:mod:`.new_files`         the sensor for new files
:mod:`.outage_alerts`          the sensor that tells a webhook of outages
:mod:`.resources`       settings and the database
:mod:`.io_managers`              what passes between the assets of a run: Parquet under the run's id
:mod:`.metadata`            previews, columns, charts and other metadata
:mod:`.report_summary`         a report in a few lines, for the log
:mod:`.heartbeat`       the thread that shows that a run's process is alive
:mod:`.dead_runs`       what becomes of runs whose process has died
:mod:`.ingest_record`   how the outcome of an ingest gets on record
:mod:`.errors`        what a person is told when a run fails
======================  ========================================================================
"""

import gc

# what Dagster has loaded stays until the process ends: Python's garbage collector, which would go
# through all of it again and again while the rest is loaded, and at the end, need not look at it
gc.freeze()
