"""How Alembic reaches the database: by the connection, and in the transaction, that it is given."""

from alembic import context

from storemon_pipeline.storage.migrate import is_declared
from storemon_pipeline.storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    include_name=is_declared,
)
context.run_migrations()
