"""Report requests over REST, and the current run of each report."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create report_request and idempotency_key, and add the run to each report."""
    instant = sa.DateTime(timezone=True)
    op.add_column(
        "report",
        sa.Column(
            "run_id", sa.Text, comment="the run that makes it now: another one once it was retried"
        ),
    )
    # so far, a report's id is the id of its only run
    op.execute("UPDATE report SET run_id = report_id")
    op.create_index("report_by_run", "report", ["run_id"])
    op.create_index("report_by_requested_at", "report", ["requested_at"])
    op.create_table(
        "report_request",
        sa.Column("request_id", sa.Text, primary_key=True),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("asked", sa.JSON, nullable=False, comment="what was asked for, as it was asked"),
        sa.Column(
            "digest", sa.Text, nullable=False, comment="the same for all requests that are equal"
        ),
        sa.Column("http_request_id", sa.Text, comment="the X-Request-ID that it came with"),
        sa.Column("requested_at", instant, nullable=False),
        sa.Column("offered_at", instant, comment="when somebody last began to launch a run for it"),
        sa.Column("run_id", sa.Text, comment="the run that was launched for it: its report's id"),
        sa.Column("error", sa.Text),
        sa.CheckConstraint(
            "status IN ('Waiting', 'Launched', 'Failed', 'Canceled')",
            name="report_request_status_is_known",
        ),
        comment="Reports that were asked for over REST: kept before a run is launched for them.",
    )
    op.create_index("report_request_by_digest", "report_request", ["digest"])
    op.create_index("report_request_by_run", "report_request", ["run_id"])
    op.create_table(
        "idempotency_key",
        sa.Column("idempotency_key", sa.Text, primary_key=True),
        sa.Column(
            "digest", sa.Text, nullable=False, comment="of the request that it first came with"
        ),
        sa.Column(
            "request_id", sa.Text, sa.ForeignKey("report_request.request_id"), nullable=False
        ),
        comment="Keys by which clients repeat a request without asking for another report.",
    )
    op.create_index("idempotency_key_by_request", "idempotency_key", ["request_id"])
