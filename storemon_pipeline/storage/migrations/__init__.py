"""Alembic's migrations of the tables; run by :mod:`storemon_pipeline.storage.schema_version`."""
