"""The domain: tables in, tables out.

Only this package decides what a figure means. It does not use Dagster, databases, files or
the clock, and needs only numpy, pandas, pydantic, tzdata and tzlocal. The stages, in order:

=============================  =================================================================
:mod:`.rules`                  the rules, with their defaults
:mod:`.report_request`         the spec of a report and its resolution; :mod:`.windows`
:mod:`.time_zones`             names of time zones; :mod:`.utc_offsets` computes local times
:mod:`.opening_hours`          open intervals
:mod:`.status_intervals`       status intervals, interpolated from polls
:mod:`.metrics`                uptime, downtime and unobserved time
:mod:`.downtime`               downtime events, and downtime by hour of the week
:mod:`.slo`                    service levels: SLO targets, error budgets, MTTR, MTBF
:mod:`.current_status`         the status of each store at as_of
:mod:`.fleet`                  results of a batch of stores, and of the fleet
:mod:`.past_reports`           histories and comparisons of past reports
:mod:`.assumptions`            stores for which rule 3 makes an assumption
:mod:`.outage_alerts`          which alerts are due; :mod:`.ingest_alerts`, :mod:`.alert_record`
:mod:`.batches`                batches of stores of bounded size
:mod:`.interval_arithmetic`    arithmetic on intervals of many stores; :mod:`.conversions`
                               between tables and arrays
:mod:`.messages`               parts of messages
=============================  =================================================================

Inside, an instant is an ``int64`` of microseconds since 1970-01-01 UTC; in every table it is
``datetime64[us, UTC]``. A store is its position in a table of stores sorted by ``store_id``: its
*code*.
"""
