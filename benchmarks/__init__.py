"""Benchmarks, run by ``make bench``. Nothing in the package imports them."""
