"""Special hours, service levels, figures of past reports, and alerts."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def _report_id() -> sa.Column[str]:
    return sa.Column(
        "report_id",
        sa.Text,
        sa.ForeignKey("report.report_id", ondelete="CASCADE"),
        primary_key=True,
    )


def _figures() -> list[sa.Column[int]]:
    return [
        sa.Column("uptime", sa.BigInteger, nullable=False, comment="microseconds, as all of them"),
        sa.Column("downtime", sa.BigInteger, nullable=False),
        sa.Column("unobserved", sa.BigInteger, nullable=False),
    ]


def upgrade() -> None:
    """Create the tables, and the index for finding the newest reports."""
    instant = sa.DateTime(timezone=True)
    # sort and compare by code points, as everywhere in the project
    store_id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.create_table(
        "special_hours",
        sa.Column("store_id", store_id, primary_key=True),
        sa.Column("date", sa.Text, primary_key=True, comment="YYYY-MM-DD, in the store's calendar"),
        sa.Column(
            "start_time_local",
            sa.Text,
            primary_key=True,
            comment="HH:MM:SS[.ffffff], empty: closed",
        ),
        sa.Column(
            "end_time_local", sa.Text, primary_key=True, comment="as the start, up to 24:00:00"
        ),
        comment="Openings of single dates, in place of the weekday's.",
    )
    op.create_table(
        "service_level",
        sa.Column("store_id", store_id, primary_key=True),
        sa.Column(
            "target_pct", sa.Float(53), nullable=False, comment="uptime, % of observed open time"
        ),
        comment="Each store's target, where it is another than the fleet's.",
    )
    op.create_index("report_by_as_of", "report", ["as_of"])
    op.create_table(
        "report_figure",
        _report_id(),
        sa.Column(
            "window_name",
            sa.Text,
            primary_key=True,
            comment="as in the names of report columns",
        ),
        sa.Column("store_id", store_id, primary_key=True),
        *_figures(),
        sqlite_with_rowid=False,
        comment="Figures of complete reports of all stores, exact: for trends and comparisons.",
    )
    op.create_table(
        "fleet_figure",
        _report_id(),
        sa.Column(
            "window_name",
            sa.Text,
            primary_key=True,
            comment="as in the names of report columns",
        ),
        *_figures(),
        comment="The figures of all stores of a report together.",
    )
    op.create_table(
        "fleet_hour",
        _report_id(),
        sa.Column(
            "day_of_week",
            sa.SmallInteger,
            primary_key=True,
            autoincrement=False,
            comment="0 = Monday, local",
        ),
        sa.Column(
            "hour",
            sa.SmallInteger,
            primary_key=True,
            autoincrement=False,
            comment="0 to 23, local",
        ),
        sa.Column("open_minutes", sa.Float(53), nullable=False),
        sa.Column("downtime_minutes", sa.Float(53), nullable=False),
        comment="Open time and downtime of all stores of a report together, by local hour.",
    )
    op.create_table(
        "alert",
        sa.Column(
            "alert_number",
            sa.Integer,
            primary_key=True,
            comment="in the order they were noticed",
        ),
        sa.Column("alert_id", sa.Text, nullable=False, comment="what the receiver knows it by"),
        sa.Column("store_id", store_id, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("down_since", instant, nullable=False),
        sa.Column("as_of", instant, nullable=False, comment="the newest poll when it was noticed"),
        sa.Column("noticed_at", instant, nullable=False),
        sa.Column("payload", sa.JSON, nullable=False, comment="what is sent"),
        sa.Column(
            "attempts",
            sa.Integer,
            nullable=False,
            comment="begun, also those of unknown outcome",
        ),
        sa.Column("next_attempt_at", instant, comment="null: sent"),
        sa.Column("sent_at", instant, comment="when the webhook said that it has it"),
        sa.Column("last_error", sa.Text),
        sa.CheckConstraint("kind IN ('down', 'recovered')", name="alert_kind_is_known"),
        comment="Stores that were noticed to be down for long, or up again, and who was told when.",
    )
    op.create_index("alert_by_id", "alert", ["alert_id"], unique=True)
    op.create_index("alert_by_store", "alert", ["store_id", "alert_number"])
    op.create_index("alert_by_next_attempt", "alert", ["next_attempt_at"])
