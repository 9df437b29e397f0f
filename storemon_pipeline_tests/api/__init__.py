"""Tests of the REST API, as a real process on real databases."""
