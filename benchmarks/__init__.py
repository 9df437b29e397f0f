"""Benchmarks that anyone can run: ``make bench``. Nothing in the package imports them."""
