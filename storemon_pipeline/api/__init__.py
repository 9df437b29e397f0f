"""The REST API and its pages: a process that uses the database and Dagster's GraphQL endpoint.

It does not make reports itself: Dagster runs do.

=============================  =================================================================
:mod:`.app`                    the application; :mod:`.__main__` runs it
:mod:`.routes`                 the routes, one module per resource
:mod:`.models`                 response models; :mod:`.openapi` completes the document
:mod:`.dependencies`           state of the application: settings, database, Dagster client
:mod:`.report_lookup`          finds reports by id
:mod:`.report_submission`      submits a report: stored first, then launched
:mod:`.pagination`             cursors and links to the next page
:mod:`.middleware`             request log, metrics, HEAD; also :mod:`.auth`, :mod:`.origin`,
                               :mod:`.body_limit` and :mod:`.security_headers`, on :mod:`.asgi`
:mod:`.problems`               problem documents (RFC 9457); :mod:`.html_responses` for pages
:mod:`.error_handlers`         errors of the framework; :mod:`.database_errors`
:mod:`.file_responses`         files of reports; :mod:`.content_negotiation`
:mod:`.threads`                thread pool of the endpoints that write
:mod:`.expiry`                 background task that expires reports of dead processes
=============================  =================================================================
"""
