"""The files that an ingest did not read."""

import sqlalchemy as sa
from alembic import op

from storemon_pipeline.storage.schema_version import holds

revision = "0010"
down_revision = "0008"


def upgrade() -> None:
    """Create the table next to the ingested data."""
    if not holds("store_status"):
        return
    op.create_table(
        "unread_file",
        sa.Column("file", sa.Text, primary_key=True),
        sa.Column("reason", sa.Text, nullable=False, comment="why, and what to do if it is meant"),
        comment="Files of the data directory that look like data and were not read, last time.",
    )
