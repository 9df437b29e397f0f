"""Dagster definitions: assets, checks, jobs, schedules, sensors, resources, IO managers.

An asset calls functions of :mod:`storemon_pipeline.ingestion`, :mod:`storemon_pipeline.evaluation`,
:mod:`storemon_pipeline.storage` or :mod:`storemon_pipeline.uptime`, and reports the result. Only
:mod:`storemon_pipeline.definitions` imports this package.

=============================  =================================================================
:mod:`.assets`                 one module per asset group; :mod:`.run_table` is their decorator
:mod:`.sensors`                one module per sensor, with its pure decision function
:mod:`.asset_checks`           checks of the tables
:mod:`.jobs`                   asset jobs; op jobs are :mod:`.retention_job` and
                               :mod:`.remove_polls_job`
:mod:`.schedules`              schedules
:mod:`.resources`              settings and database
:mod:`.io_managers`            Parquet between the assets of a run; :mod:`.run_storage`
:mod:`.metadata`               previews, columns and charts; :mod:`.report_summary` for the log
:mod:`.project_runs`           finds and deletes Dagster runs of this project
:mod:`.report_lifecycle`       status of the report of a run
:mod:`.heartbeat`              heartbeat of a run; :mod:`.dead_runs` ends dead runs
:mod:`.ingest_record`          records the outcome of an ingest
:mod:`.failures`               user-correctable errors as ``dg.Failure``
=============================  =================================================================
"""
