"""How Alembic reaches the database: by the connection, and in the transaction, that it is given."""

from alembic import context

from storemon_pipeline.storage.schema import metadata
from storemon_pipeline.storage.schema_version import include_in_autogenerate

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    include_name=include_in_autogenerate,
)
context.run_migrations()
