"""Sensors: one module each, with the pure function that makes its decisions."""
