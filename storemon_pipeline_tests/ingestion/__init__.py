"""Tests of ingestion: raw files to tables, and the errors for unusable files."""
