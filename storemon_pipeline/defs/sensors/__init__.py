"""Sensors; their decisions are pure functions beside them."""
