"""Tests of intake: what raw files become, and what is told of those that cannot be used."""
