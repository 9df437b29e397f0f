"""Tests of storage: tables and files return what was stored."""
