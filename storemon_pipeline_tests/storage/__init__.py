"""Tests of storage: what goes into the tables and files comes out of them."""
