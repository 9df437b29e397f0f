"""Tests of Dagster's side, on real instances and real processes."""
