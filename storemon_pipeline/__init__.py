"""Uptime and downtime of stores within their opening hours, from polls, as a Dagster pipeline.

Nothing is imported here, so that :mod:`storemon_pipeline.uptime`, the domain, can be used alone:
in a notebook, in a test, on a cluster's workers.
"""
