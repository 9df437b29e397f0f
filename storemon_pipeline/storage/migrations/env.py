"""Environment of Alembic: migrations run on the caller's connection, in its transaction."""

from alembic import context

from storemon_pipeline.storage.schema import metadata
from storemon_pipeline.storage.schema_version import include_in_autogenerate

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    include_name=include_in_autogenerate,
)
context.run_migrations()
