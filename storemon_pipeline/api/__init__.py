"""The REST API: a process that knows the database and Dagster's GraphQL endpoint, nothing else.

======================  ========================================================================
:mod:`.app`             the application: its routes, its documentation, what surrounds a request
:mod:`.__main__`        ``python -m storemon_pipeline.api``: the process
:mod:`.dependencies`        what the endpoints work with: settings, database, Dagster
:mod:`.dagster_graphql`         Dagster's GraphQL endpoint
:mod:`.expiry`          reports of processes that have died
:mod:`.report_submission`          asking for a report: on record first, then launched
:mod:`.reports`         /v1/reports
:mod:`.rows`            the rows of a report as JSON
:mod:`.file_responses`           the files of a report, over HTTP
:mod:`.stores`          /v1/stores
:mod:`.legacy`           the endpoints of the two systems that this one replaces
:mod:`.ingest`          POST /ingest
:mod:`.health`          /healthz, /readyz, /metrics
:mod:`.models`       the resources as JSON
:mod:`.errors`        errors as problem documents (RFC 9457)
:mod:`.openapi`         what the OpenAPI document says beyond what the endpoints say
:mod:`.middleware`    what every request goes through: id, log, metrics, tokens
:mod:`.body_limit`          how long a body may be, and how long it may take
:mod:`.origin`          which hosts are answered for, and what pages of other sites may do
:mod:`.security_headers`         headers of every response
======================  ========================================================================

It makes no report itself: a report is a run of Dagster's, whoever asked for it.
"""
