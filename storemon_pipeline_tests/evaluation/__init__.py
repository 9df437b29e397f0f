"""Tests of evaluation: stored data is judged by the rules."""
