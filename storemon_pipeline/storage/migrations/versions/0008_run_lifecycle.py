"""Heartbeats of runs, outcomes of ingests, and alerts about them."""

import sqlalchemy as sa
from alembic import op

from storemon_pipeline.storage.schema_version import holds

revision = "0008"
down_revision = "0007"

_KINDS = "kind IN ('down', 'recovered', 'ingest_failed', 'ingest_recovered')"


def upgrade() -> None:
    """Create the tables next to ``report``, and allow alerts about the ingest."""
    if not holds("report"):
        return
    instant = sa.DateTime(timezone=True)
    op.create_table(
        "ingest_run",
        sa.Column("run_id", sa.Text, primary_key=True, comment="the id of the Dagster run"),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column(
            "files",
            sa.JSON(none_as_null=True),
            comment="name -> size and modification time when it started; null: only some were read",
        ),
        sa.Column("started_at", instant, nullable=False),
        sa.Column("finished_at", instant),
        sa.Column("error", sa.Text),
        sa.CheckConstraint(
            "status IN ('Running', 'Succeeded', 'Failed')", name="ingest_run_status_is_known"
        ),
        comment="Every run that read the raw files, and its outcome.",
    )
    op.create_index("ingest_run_by_finished_at", "ingest_run", ["finished_at"])
    op.create_table(
        "run_heartbeat",
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("beat_at", instant, nullable=False),
        comment="Runs in progress: when each last showed that its process is alive.",
    )
    store_id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    with op.batch_alter_table("alert") as alert:
        alert.drop_constraint("alert_kind_is_known", type_="check")
        alert.create_check_constraint("alert_kind_is_known", _KINDS)
        alert.alter_column(
            "store_id", existing_type=store_id, nullable=True, comment="null: of the ingest"
        )
        alert.alter_column(
            "down_since",
            existing_type=instant,
            existing_nullable=False,
            comment="of the ingest: failed since",
        )
    if op.get_bind().dialect.name == "postgresql":
        op.create_table_comment(
            "alert", "The outbox: alerts about stores and about the ingest, and their delivery."
        )
