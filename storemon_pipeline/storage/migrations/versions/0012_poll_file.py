"""The catalogue of Parquet files of polls."""

import sqlalchemy as sa
from alembic import op

from storemon_pipeline.storage.schema_version import holds

revision = "0012"
down_revision = "0011"

_STORE_ID = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the catalogue beside the table of polls."""
    if not holds("store_status"):
        return
    op.create_table(
        "poll_file",
        sa.Column("poll_file_id", sa.Integer, primary_key=True),
        sa.Column("day", sa.Text, nullable=False, comment="YYYY-MM-DD, UTC"),
        sa.Column(
            "name", sa.Text, nullable=False, unique=True, comment="path below STOREMON_POLLS_URL"
        ),
        sa.Column(
            "sequence", sa.BigInteger, nullable=False, comment="of two files the higher one wins"
        ),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column(
            "new_rows",
            sa.BigInteger,
            nullable=False,
            comment="rows whose key no file of lower sequence has",
        ),
        sa.Column("first_store", _STORE_ID, nullable=False),
        sa.Column("last_store", _STORE_ID, nullable=False),
        sa.Column("first_poll_utc", _INSTANT, nullable=False),
        sa.Column("last_poll_utc", _INSTANT, nullable=False),
        sa.Column("replaced_at", _INSTANT, comment="since when another file holds its polls"),
        comment="Catalogue of the Parquet files of polls: a file that is not in it does not count.",
    )
    op.create_index("poll_file_by_day", "poll_file", ["day"])
