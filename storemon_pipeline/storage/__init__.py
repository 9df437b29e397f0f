"""Storage: database tables on PostgreSQL or SQLite, and the files of reports.

This package only stores. :mod:`storemon_pipeline.uptime` decides what rows mean,
:mod:`storemon_pipeline.evaluation` which to drop and which runs to expire, and
:mod:`storemon_pipeline.ingestion` which rows are valid.

=============================  =================================================================
:mod:`.schema`                 declarations of all tables; :mod:`.schema_version` migrates them
:mod:`.database`               connections and transactions; :mod:`.sqlite` is one of its backends
:mod:`.database_faults`        messages for database faults
:mod:`.poll_store`             polls: :mod:`.sql_polls` or :mod:`.parquet_polls`; also
                               :mod:`.polled_stores` and :mod:`.poll_removal`
:mod:`.bulk_load`              bulk load into each database; :mod:`.bulk_read`
:mod:`.reference_data`         opening hours, time zones, service levels
:mod:`.stores`                 details and search of stores
:mod:`.ingest_log`             ingested files and quarantined rows; also :mod:`.unread_files`
                               and :mod:`.ingest_runs`
:mod:`.reports`                reports and their status; :mod:`.report_requests` over REST
:mod:`.report_writer`          files of reports; :mod:`.csv_format` and :mod:`.report_reader`
:mod:`.latest_report`          ``report.csv`` of the newest standard report
:mod:`.report_history`         metrics of past reports
:mod:`.alert_outbox`           transactional outbox of alerts
:mod:`.store_states`           states of stores between evaluations; :mod:`.store_revisions`
:mod:`.heartbeats`             heartbeats of runs
:mod:`.retention`              removal of old data
=============================  =================================================================
"""
