"""Clients of other services over HTTP: Dagster's GraphQL endpoint and the alert webhook."""
