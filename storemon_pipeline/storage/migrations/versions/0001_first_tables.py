"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create all tables; on PostgreSQL store_status is partitioned by time."""
    instant = sa.DateTime(timezone=True)
    # sort and compare by code points, as everywhere in the project
    store_id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.create_table(
        "store_status",
        sa.Column("store_id", store_id, primary_key=True),
        sa.Column("timestamp_utc", instant, primary_key=True),
        sa.Column("status", sa.Text, nullable=False),
        sa.CheckConstraint("status IN ('active', 'inactive')", name="store_status_is_known"),
        sqlite_with_rowid=False,
        postgresql_partition_by="RANGE (timestamp_utc)",
        comment="Polls: was the store active or inactive at that instant.",
    )
    op.create_table(
        "polled_store",
        sa.Column("store_id", store_id, primary_key=True),
        sa.Column("first_poll_utc", instant, nullable=False),
        sa.Column("last_poll_utc", instant, nullable=False),
        comment="Every store in store_status, with its oldest and its newest poll.",
    )
    op.create_table(
        "business_hours",
        sa.Column("store_id", store_id, primary_key=True),
        sa.Column("day_of_week", sa.SmallInteger, primary_key=True, comment="0 = Monday"),
        sa.Column("start_time_local", sa.Text, primary_key=True, comment="HH:MM:SS[.ffffff]"),
        sa.Column(
            "end_time_local",
            sa.Text,
            primary_key=True,
            comment="HH:MM:SS[.ffffff], up to 24:00:00",
        ),
        comment="Weekly openings in local time; several rows a day are several openings.",
    )
    op.create_table(
        "store_timezone",
        sa.Column("store_id", store_id, primary_key=True),
        sa.Column("timezone_str", sa.Text, nullable=False),
        comment="Each store's time zone as the file names it, known or not.",
    )
    op.create_table(
        "ingested_file",
        sa.Column("ingested_file_id", sa.Integer, primary_key=True),
        sa.Column("file", sa.Text, nullable=False),
        sa.Column("table_name", sa.Text, nullable=False),
        sa.Column(
            "sha256",
            sa.Text,
            nullable=False,
            comment="of what was read: the content, uncompressed",
        ),
        sa.Column("first_line", sa.BigInteger, nullable=False, comment="where this reading began"),
        sa.Column(
            "bytes", sa.BigInteger, nullable=False, comment="how much of the content was read"
        ),
        sa.Column("lines", sa.BigInteger, nullable=False, comment="how many lines that was"),
        sa.Column(
            "rows",
            sa.BigInteger,
            nullable=False,
            comment="rows in the file so far, bad ones included",
        ),
        sa.Column("bad_rows", sa.BigInteger, nullable=False, comment="bad rows in the file so far"),
        sa.Column("ingested_at", instant, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        comment="Every time that a file, or what had been added to it, was read.",
    )
    op.create_index("ingested_file_by_file", "ingested_file", ["file"])
    op.create_table(
        "quarantined_row",
        sa.Column("quarantined_row_id", sa.Integer, primary_key=True),
        sa.Column(
            "ingested_file_id",
            sa.Integer,
            sa.ForeignKey("ingested_file.ingested_file_id"),
            nullable=False,
        ),
        sa.Column("file", sa.Text, nullable=False),
        sa.Column("line_number", sa.BigInteger, nullable=False, comment="the header is line 1"),
        sa.Column("row_text", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("quarantined_at", instant, nullable=False),
        comment="Rows that broke a rule, word for word, with the reason.",
    )
    op.create_index("quarantined_row_by_ingested_file", "quarantined_row", ["ingested_file_id"])
    op.create_table(
        "report",
        sa.Column("report_id", sa.Text, primary_key=True, comment="the id of the Dagster run"),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("request", sa.JSON, comment="what was asked for, every question answered"),
        sa.Column("as_of", instant),
        sa.Column("requested_at", instant, nullable=False),
        sa.Column("finished_at", instant),
        sa.Column("stores", sa.Integer),
        sa.Column("error", sa.Text),
        sa.CheckConstraint(
            "status IN ('Queued', 'Running', 'Complete', 'Failed', 'Canceled')",
            name="report_status_is_known",
        ),
        comment="Every report that was started, whoever started it.",
    )
