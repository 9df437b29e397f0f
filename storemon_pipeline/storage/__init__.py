"""The tables, on PostgreSQL or SQLite: how they look, and how they are filled and read.

======================  ========================================================================
:mod:`.schema`          the tables, declared with SQLAlchemy
:mod:`.database`        a database: connections, transactions, its schema
:mod:`.errors`          database errors as one sentence, transient or not
:mod:`.sqlite`          SQLite's two files: the data, and the registry of reports and requests
:mod:`.schema_version`         the schema's versions, and how a database gets to the newest
:mod:`.polls`           store_status: upsert, read, the stores that were polled
:mod:`.poll_estimate`   about how many polls each store has in a span of time
:mod:`.bulk_load`            many rows into the database at once
:mod:`.poll_lookback`        the polls that a report needs, and no others
:mod:`.reference_data`       business_hours and store_timezone: replaced whole, read whole
:mod:`.ingest_log`        ingested_file and quarantined_row: what was read, what was set aside
:mod:`.unread_files`    unread_file: files that the last ingest did not read
:mod:`.unmatched_snapshots`       snapshots of whose stores hardly any was polled
:mod:`.reports`        report: every report that was ever started, and what became of it
:mod:`.heartbeats`      run_heartbeat: which runs have a living process
:mod:`.ingest_runs`     ingest_run: every run that read the raw files, and its outcome
:mod:`.latest_report`   report.csv of the newest standard report, at a path that does not change
:mod:`.store_states`          how all stores are at the newest poll, for the alerts
:mod:`.alert_outbox`          alert: kept before they are sent, and until they were
:mod:`.removal`         polls that are taken out of store_status by hand
:mod:`.retention`       what is dropped of all these once it is old
======================  ========================================================================

What the rows mean is decided by :mod:`storemon_pipeline.uptime`, and which rows are good by
:mod:`storemon_pipeline.ingestion`; here they are only kept.
"""
