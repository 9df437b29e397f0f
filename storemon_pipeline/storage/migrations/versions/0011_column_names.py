"""Standard terms for columns of the ingest log, the requests and the alerts."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from storemon_pipeline.storage.schema_version import holds

revision = "0011"
down_revision = "0010"

_INSTANT = sa.DateTime(timezone=True)
_INGESTED_FILE = {"first_line": "from_line", "bytes": "bytes_read", "lines": "lines_read"}
_STATUSES = "status IN ('Pending', 'Launched', 'Failed', 'Canceled')"


def upgrade() -> None:
    """Rename columns and the status of pending requests, and reword comments."""
    if holds("ingested_file"):
        for old, new in _INGESTED_FILE.items():
            op.alter_column("ingested_file", old, new_column_name=new)
    if not holds("report"):
        return
    op.alter_column("alert", "alert_number", new_column_name="id")
    op.alter_column("alert", "noticed_at", new_column_name="created_at")
    op.alter_column("report_request", "asked", new_column_name="spec")
    op.alter_column("report_request", "offered_at", new_column_name="launch_attempted_at")
    _rename_status()
    if op.get_bind().dialect.name == "postgresql":
        _set_comments()


def _rename_status() -> None:
    # SQLite rebuilds the table, which foreign keys prevent while rows refer to it
    keys = sa.table(
        "idempotency_key",
        sa.column("idempotency_key"),
        sa.column("digest"),
        sa.column("request_id"),
    )
    connection = op.get_bind()
    is_sqlite = connection.dialect.name == "sqlite"
    rows = (
        [dict(row) for row in connection.execute(sa.select(keys)).mappings()] if is_sqlite else []
    )
    if is_sqlite:
        connection.execute(keys.delete())
    with op.batch_alter_table("report_request") as request:
        request.drop_constraint("report_request_status_is_known", type_="check")
    op.execute("UPDATE report_request SET status = 'Pending' WHERE status = 'Waiting'")
    with op.batch_alter_table("report_request") as request:
        request.create_check_constraint("report_request_status_is_known", _STATUSES)
    if rows:
        connection.execute(keys.insert(), rows)


_TABLE_COMMENTS = {
    "store_status": "Polls: whether the store was active or inactive at an instant.",
    "polled_store": "Every store in store_status, with its oldest and newest poll.",
    "store_timezone": (
        "Time zone of each store: an IANA name, or the text of the file (earlier versions)."
    ),
    "service_level": "SLO target of each store that has an individual one.",
    "ingested_file": "Every reading of a file, or of what was appended to it.",
    "quarantined_row": "Rows that broke a rule, unchanged, with the reason.",
    "unread_file": "Files that look like data but were not read by the latest ingest.",
    "report": "Every report that was started.",
    "report_request": "Reports requested over REST, stored before a run is launched.",
    "idempotency_key": "Idempotency keys, by which clients repeat a request safely.",
    "report_figure": "Exact metrics of complete reports of all stores, for trends and comparisons.",
    "fleet_figure": "Metrics of a report over all stores.",
    "fleet_hour": "Open time and downtime of a report over all stores, by local hour.",
    "run_heartbeat": "Runs in progress, and when their process was last alive.",
}


def _set_comments() -> None:
    columns: dict[str, dict[str, tuple[Any, str]]] = {
        "ingested_file": {
            "sha256": (sa.Text, "of the content read, uncompressed"),
            "from_line": (sa.BigInteger, "first line of this reading"),
            "bytes_read": (sa.BigInteger, "bytes of the content read"),
            "lines_read": (sa.BigInteger, "lines of the content read"),
            "rows": (sa.BigInteger, "rows in the file so far, including bad ones"),
        },
        "unread_file": {"reason": (sa.Text, "why, and how to have it read")},
        "report_figure": {"uptime": (sa.BigInteger, "microseconds, as the other metrics")},
        "fleet_figure": {"uptime": (sa.BigInteger, "microseconds, as the other metrics")},
        "report": {
            "request": (sa.JSON(none_as_null=True), "the resolved request"),
            "run_id": (sa.Text, "the latest run that makes it"),
        },
        "report_request": {
            "spec": (sa.JSON, "the report as specified by the client"),
            "digest": (sa.Text, "equal for equivalent specs"),
            "launch_attempted_at": (_INSTANT, "start of the last attempt to launch a run"),
            "run_id": (sa.Text, "the launched run: the id of its report"),
        },
        "idempotency_key": {
            "digest": (sa.Text, "of the request that it was first used with"),
        },
        "alert": {
            "id": (sa.Integer, "in order of creation"),
            "alert_id": (sa.Text, "the id that the receiver sees"),
            "as_of": (_INSTANT, "the newest poll when it was created"),
            "attempts": (sa.Integer, "started, including those without outcome"),
            "sent_at": (_INSTANT, "when the webhook confirmed it"),
        },
    }
    for table, of_table in columns.items():
        for column, (kind, comment) in of_table.items():
            op.alter_column(table, column, existing_type=kind, comment=comment)
    for table, comment in _TABLE_COMMENTS.items():
        op.create_table_comment(table, comment)
