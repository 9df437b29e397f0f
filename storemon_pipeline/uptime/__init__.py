"""The domain: tables in, tables out.

Only this package decides what a figure means. It knows no Dagster, database, file or clock, and
needs only numpy, pandas, pydantic, tzdata and tzlocal. The stages, in order:

======================  ========================================================================
:mod:`.rules`           every choice that the figures depend on, named
:mod:`.report_request`         what a report is asked for, and the windows that it is resolved to
:mod:`.time_zones`       names of time zones, and the zone whose clock counts for a store
:mod:`.utc_offsets`      local times of time zones <-> instants
:mod:`.intervals`       sets of intervals of many stores, and what is computed with them
:mod:`.opening_hours`      opening hours + time zones -> when each store is open
:mod:`.status_intervals`          polls + open hours -> when each store is up or down
:mod:`.metrics`          both, and the windows -> the figures of each store
:mod:`.downtime`         both -> downtime events, and downtime by local hour of the week
:mod:`.fleet`           all of that of some stores, and of all stores together
:mod:`.outage_alerts`          stores' newest states -> what there is to tell of them
:mod:`.ingest_alerts`   ingests that failed -> the alert that is due
:mod:`.messages`        values and texts of bounded length, for messages
:mod:`.batches`          which stores are worked through together
:mod:`.conversions`          between tables and arrays
======================  ========================================================================

Instants are microseconds since 1970-01-01 UTC as ``int64`` inside, and ``datetime64[us, UTC]`` in
every table that comes in or goes out. Stores are rows of a table of stores sorted by ``store_id``;
inside, a store is its position in that table, its *code*.
"""
