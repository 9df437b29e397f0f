"""The state of each store, kept between evaluations of alerts, and what invalidates it."""

import sqlalchemy as sa
from alembic import op

from storemon_pipeline.storage.schema_version import holds

revision = "0013"
down_revision = "0012"

_STORE_ID = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Create the states next to ``alert``, and the revisions next to ``polled_store``."""
    if holds("polled_store"):
        op.create_table(
            "store_revision",
            sa.Column("store_id", _STORE_ID, primary_key=True, comment="empty: every store"),
            sa.Column(
                "revision", sa.BigInteger, nullable=False, comment="the highest is the newest"
            ),
            sa.Column(
                "removed_until",
                sa.DateTime(timezone=True),
                comment="its newest poll before polls were removed",
            ),
            comment="Stores whose inputs changed other than by newer polls, by their last change.",
        )
        op.create_index("store_revision_by_revision", "store_revision", ["revision"])
    if not holds("alert"):
        return
    op.create_table(
        "state_evaluation",
        sa.Column("as_of", sa.DateTime(timezone=True), primary_key=True),
        sa.Column("revision", sa.BigInteger, nullable=False, comment="of store_revision"),
        comment="The evaluation that the rows of store_state result from: one row, or none.",
    )
    op.create_table(
        "store_state",
        sa.Column("store_id", _STORE_ID, primary_key=True),
        sa.Column("known_from", sa.BigInteger, nullable=False, comment="start of the span read"),
        sa.Column("is_down", sa.SmallInteger, nullable=False, comment="the newest counted poll"),
        sa.Column("since", sa.BigInteger, nullable=False, comment="start of the last run"),
        sa.Column("up_since", sa.BigInteger, nullable=False, comment="start of the last uptime"),
        sa.Column("length", sa.BigInteger, nullable=False, comment="open time of the last run"),
        sa.Column("runs", sa.BigInteger, nullable=False, comment="within the span read"),
        sa.Column("poll", sa.BigInteger, nullable=False, comment="the newest counted poll"),
        sa.Column("is_open", sa.SmallInteger, nullable=False),
        sa.Column("open_until", sa.BigInteger, nullable=False, comment="is_open holds until then"),
        sqlite_with_rowid=False,
        comment="The state of each store at state_evaluation.as_of; instants and lengths in "
        "microseconds since 1970, 0: none.",
    )
