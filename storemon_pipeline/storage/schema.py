"""The tables, declared once for PostgreSQL and SQLite.

Names are contracts: scripts and dashboards of users read them. Instants are UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
)
from sqlalchemy.types import JSON, TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """An instant: ``timestamptz`` on PostgreSQL; on SQLite text in UTC with six digits of fraction.

    Values are aware UTC datetimes on both.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to an aware datetime for PostgreSQL, and a naive one for SQLite."""
        if value is None:
            return None
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Make every datetime aware and UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData()

StoreId = Text().with_variant(Text(collation="C"), "postgresql")
"""Compared by code points on both databases, as in the reports."""

store_status = Table(
    "store_status",
    metadata,
    Column("store_id", StoreId, primary_key=True),
    Column("timestamp_utc", UtcDateTime, primary_key=True),
    Column("status", Text, nullable=False),
    CheckConstraint("status IN ('active', 'inactive')", name="store_status_is_known"),
    # the key is the table: SQLite stores the rows in its order, once
    sqlite_with_rowid=False,
    # by month, created on demand: windows read only their months, and old months are dropped
    postgresql_partition_by="RANGE (timestamp_utc)",
    comment="Polls: whether the store was active or inactive at an instant.",
)

poll_file = Table(
    "poll_file",
    metadata,
    Column("poll_file_id", Integer, primary_key=True),
    Column("day", Text, nullable=False, comment="YYYY-MM-DD, UTC"),
    Column("name", Text, nullable=False, unique=True, comment="path below STOREMON_POLLS_URL"),
    Column("sequence", BigInteger, nullable=False, comment="of two files the higher one wins"),
    Column("rows", BigInteger, nullable=False),
    Column(
        "new_rows",
        BigInteger,
        nullable=False,
        comment="rows whose key no file of lower sequence has",
    ),
    Column("first_store", StoreId, nullable=False),
    Column("last_store", StoreId, nullable=False),
    Column("first_poll_utc", UtcDateTime, nullable=False),
    Column("last_poll_utc", UtcDateTime, nullable=False),
    Column("replaced_at", UtcDateTime, comment="since when another file holds its polls"),
    Index("poll_file_by_day", "day"),
    comment="Catalogue of the Parquet files of polls: a file that is not in it does not count.",
)

polled_store = Table(
    "polled_store",
    metadata,
    Column("store_id", StoreId, primary_key=True),
    Column("first_poll_utc", UtcDateTime, nullable=False),
    Column("last_poll_utc", UtcDateTime, nullable=False),
    comment="Every store in store_status, with its oldest and newest poll.",
)

store_revision = Table(
    "store_revision",
    metadata,
    Column("store_id", StoreId, primary_key=True, comment="empty: every store"),
    Column("revision", BigInteger, nullable=False, comment="the highest is the newest"),
    Column("removed_until", UtcDateTime, comment="its newest poll before polls were removed"),
    Index("store_revision_by_revision", "revision"),
    comment="Stores whose inputs changed other than by newer polls, by their last change.",
)

business_hours = Table(
    "business_hours",
    metadata,
    Column("store_id", StoreId, primary_key=True),
    Column("day_of_week", SmallInteger, primary_key=True, comment="0 = Monday"),
    Column("start_time_local", Text, primary_key=True, comment="HH:MM:SS[.ffffff]"),
    Column("end_time_local", Text, primary_key=True, comment="HH:MM:SS[.ffffff], up to 24:00:00"),
    comment="Weekly openings in local time; several rows a day are several openings.",
)

store_timezone = Table(
    "store_timezone",
    metadata,
    Column("store_id", StoreId, primary_key=True),
    Column("timezone_str", Text, nullable=False),
    comment="Time zone of each store: an IANA name, or the text of the file (earlier versions).",
)

special_hours = Table(
    "special_hours",
    metadata,
    Column("store_id", StoreId, primary_key=True),
    Column("date", Text, primary_key=True, comment="YYYY-MM-DD, in the store's calendar"),
    Column("start_time_local", Text, primary_key=True, comment="HH:MM:SS[.ffffff], empty: closed"),
    Column("end_time_local", Text, primary_key=True, comment="as the start, up to 24:00:00"),
    comment="Openings of single dates, in place of the weekday's.",
)

service_level = Table(
    "service_level",
    metadata,
    Column("store_id", StoreId, primary_key=True),
    Column("target_pct", Float(53), nullable=False, comment="uptime, % of observed open time"),
    comment="SLO target of each store that has an individual one.",
)

ingested_file = Table(
    "ingested_file",
    metadata,
    Column("ingested_file_id", Integer, primary_key=True),
    Column("file", Text, nullable=False),
    Column("table_name", Text, nullable=False),
    Column("sha256", Text, nullable=False, comment="of the content read, uncompressed"),
    Column("from_line", BigInteger, nullable=False, comment="first line of this reading"),
    Column("bytes_read", BigInteger, nullable=False, comment="bytes of the content read"),
    Column("lines_read", BigInteger, nullable=False, comment="lines of the content read"),
    Column(
        "rows", BigInteger, nullable=False, comment="rows in the file so far, including bad ones"
    ),
    Column("bad_rows", BigInteger, nullable=False, comment="bad rows in the file so far"),
    Column("ingested_at", UtcDateTime, nullable=False),
    Column("run_id", Text, nullable=False),
    Index("ingested_file_by_file", "file"),
    comment="Every reading of a file, or of what was appended to it.",
)

quarantined_row = Table(
    "quarantined_row",
    metadata,
    Column("quarantined_row_id", Integer, primary_key=True),
    Column("ingested_file_id", ForeignKey(ingested_file.c.ingested_file_id), nullable=False),
    Column("file", Text, nullable=False),
    Column("line_number", BigInteger, nullable=False, comment="the header is line 1"),
    Column("row_text", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("quarantined_at", UtcDateTime, nullable=False),
    Index("quarantined_row_by_ingested_file", "ingested_file_id"),
    comment="Rows that broke a rule, unchanged, with the reason.",
)

unread_file = Table(
    "unread_file",
    metadata,
    Column("file", Text, primary_key=True),
    Column("reason", Text, nullable=False, comment="why, and how to have it read"),
    comment="Files that look like data but were not read by the latest ingest.",
)

report = Table(
    "report",
    metadata,
    Column("report_id", Text, primary_key=True, comment="the id of the Dagster run"),
    Column("status", Text, nullable=False),
    Column(
        "request",
        JSON(none_as_null=True),
        comment="the resolved request",
    ),
    Column("as_of", UtcDateTime),
    Column("requested_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Column("stores", Integer),
    Column("error", Text),
    Column("run_id", Text, comment="the latest run that makes it"),
    CheckConstraint(
        "status IN ('Queued', 'Running', 'Complete', 'Failed', 'Canceled')",
        name="report_status_is_known",
    ),
    Index("report_by_run", "run_id"),
    Index("report_by_requested_at", "requested_at"),
    Index("report_by_as_of", "as_of"),
    comment="Every report that was started.",
)

report_request = Table(
    "report_request",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("status", Text, nullable=False),
    Column("spec", JSON, nullable=False, comment="the report as specified by the client"),
    Column("digest", Text, nullable=False, comment="equal for equivalent specs"),
    Column("http_request_id", Text, comment="the X-Request-ID that it came with"),
    Column("requested_at", UtcDateTime, nullable=False),
    Column("launch_attempted_at", UtcDateTime, comment="start of the last attempt to launch a run"),
    Column("run_id", Text, comment="the launched run: the id of its report"),
    Column("error", Text),
    CheckConstraint(
        "status IN ('Pending', 'Launched', 'Failed', 'Canceled')",
        name="report_request_status_is_known",
    ),
    Index("report_request_by_digest", "digest"),
    Index("report_request_by_run", "run_id"),
    comment="Reports requested over REST, stored before a run is launched.",
)

idempotency_key = Table(
    "idempotency_key",
    metadata,
    Column("idempotency_key", Text, primary_key=True),
    Column("digest", Text, nullable=False, comment="of the request that it was first used with"),
    Column("request_id", ForeignKey(report_request.c.request_id), nullable=False),
    Index("idempotency_key_by_request", "request_id"),
    comment="Idempotency keys, by which clients repeat a request safely.",
)

report_figure = Table(
    "report_figure",
    metadata,
    # clustered by report: rows are written, compared and deleted per report, and the history of a
    # store is a lookup in each of the newest reports
    Column("report_id", ForeignKey(report.c.report_id, ondelete="CASCADE"), primary_key=True),
    Column("window_name", Text, primary_key=True, comment="as in the names of report columns"),
    Column("store_id", StoreId, primary_key=True),
    Column("uptime", BigInteger, nullable=False, comment="microseconds, as the other metrics"),
    Column("downtime", BigInteger, nullable=False),
    Column("unobserved", BigInteger, nullable=False),
    sqlite_with_rowid=False,
    comment="Exact metrics of complete reports of all stores, for trends and comparisons.",
)

fleet_figure = Table(
    "fleet_figure",
    metadata,
    Column("report_id", ForeignKey(report.c.report_id, ondelete="CASCADE"), primary_key=True),
    Column("window_name", Text, primary_key=True, comment="as in the names of report columns"),
    Column("uptime", BigInteger, nullable=False, comment="microseconds, as the other metrics"),
    Column("downtime", BigInteger, nullable=False),
    Column("unobserved", BigInteger, nullable=False),
    comment="Metrics of a report over all stores.",
)

fleet_hour = Table(
    "fleet_hour",
    metadata,
    Column("report_id", ForeignKey(report.c.report_id, ondelete="CASCADE"), primary_key=True),
    Column("day_of_week", SmallInteger, primary_key=True, comment="0 = Monday, local"),
    Column("hour", SmallInteger, primary_key=True, comment="0 to 23, local"),
    Column("open_minutes", Float(53), nullable=False),
    Column("downtime_minutes", Float(53), nullable=False),
    comment="Open time and downtime of a report over all stores, by local hour.",
)

alert = Table(
    "alert",
    metadata,
    Column("id", Integer, primary_key=True, comment="in order of creation"),
    Column("alert_id", Text, nullable=False, comment="the id that the receiver sees"),
    Column("store_id", StoreId, comment="null: of the ingest"),
    Column("kind", Text, nullable=False),
    Column("down_since", UtcDateTime, nullable=False, comment="of the ingest: failed since"),
    Column("as_of", UtcDateTime, nullable=False, comment="the newest poll when it was created"),
    Column("created_at", UtcDateTime, nullable=False),
    Column("payload", JSON, nullable=False, comment="what is sent"),
    Column("attempts", Integer, nullable=False, comment="started, including those without outcome"),
    Column("next_attempt_at", UtcDateTime, comment="null: sent"),
    Column("sent_at", UtcDateTime, comment="when the webhook confirmed it"),
    Column("last_error", Text),
    CheckConstraint(
        "kind IN ('down', 'recovered', 'ingest_failed', 'ingest_recovered')",
        name="alert_kind_is_known",
    ),
    Index("alert_by_id", "alert_id", unique=True),
    Index("alert_by_store", "store_id", "id"),
    Index("alert_by_next_attempt", "next_attempt_at"),
    comment="The outbox: alerts about stores and about the ingest, and their delivery.",
)

state_evaluation = Table(
    "state_evaluation",
    metadata,
    Column("as_of", UtcDateTime, primary_key=True),
    Column("revision", BigInteger, nullable=False, comment="of store_revision"),
    comment="The evaluation that the rows of store_state result from: one row, or none.",
)

store_state = Table(
    "store_state",
    metadata,
    Column("store_id", StoreId, primary_key=True),
    # numbers, which take a third of the time of timestamps to read and write
    Column("known_from", BigInteger, nullable=False, comment="start of the span read"),
    Column("is_down", SmallInteger, nullable=False, comment="the newest counted poll"),
    Column("since", BigInteger, nullable=False, comment="start of the last run"),
    Column("up_since", BigInteger, nullable=False, comment="start of the last uptime"),
    Column("length", BigInteger, nullable=False, comment="open time of the last run"),
    Column("runs", BigInteger, nullable=False, comment="within the span read"),
    Column("poll", BigInteger, nullable=False, comment="the newest counted poll"),
    Column("is_open", SmallInteger, nullable=False),
    Column("open_until", BigInteger, nullable=False, comment="is_open holds until then"),
    # every row changes at each evaluation: read and written in the order of its key
    sqlite_with_rowid=False,
    comment="The state of each store at state_evaluation.as_of; instants and lengths in "
    "microseconds since 1970, 0: none.",
)

ingest_run = Table(
    "ingest_run",
    metadata,
    Column("run_id", Text, primary_key=True, comment="the id of the Dagster run"),
    Column("status", Text, nullable=False),
    Column(
        "files",
        JSON(none_as_null=True),
        comment="name -> size and modification time when it started; null: only some were read",
    ),
    Column("started_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Column("error", Text),
    CheckConstraint(
        "status IN ('Running', 'Succeeded', 'Failed')", name="ingest_run_status_is_known"
    ),
    Index("ingest_run_by_finished_at", "finished_at"),
    comment="Every run that read the raw files, and its outcome.",
)

run_heartbeat = Table(
    "run_heartbeat",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("beat_at", UtcDateTime, nullable=False),
    comment="Runs in progress, and when their process was last alive.",
)

REGISTRY_TABLES = (
    report,
    report_request,
    idempotency_key,
    report_figure,
    fleet_figure,
    fleet_hour,
    alert,
    state_evaluation,
    store_state,
    ingest_run,
    run_heartbeat,
)
"""The tables that requests, reports and alerts write; ingestion writes all others."""
