"""Uptime and downtime of stores within their opening hours, from polls, as a Dagster pipeline.

This package imports nothing, so that the domain, :mod:`storemon_pipeline.uptime`, can be used alone
in a notebook, in a test or on the workers of a cluster.
"""
