"""The tests of storemon_pipeline; the folders mirror the package."""
