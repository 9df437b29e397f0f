"""Tests of the uptime domain: the reference, the golden cases, the properties."""
