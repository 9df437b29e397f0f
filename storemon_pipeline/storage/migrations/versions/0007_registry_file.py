"""On SQLite: a separate registry file for the tables that requests write.

On PostgreSQL, one database keeps all tables.
"""

from alembic import context, op
from sqlalchemy import text

revision = "0007"
down_revision = "0004"

# each after the tables that it references
_REGISTRY = (
    "report",
    "report_request",
    "idempotency_key",
    "report_figure",
    "fleet_figure",
    "fleet_hour",
    "alert",
)
_DATA = (
    "store_status",
    "polled_store",
    "business_hours",
    "store_timezone",
    "special_hours",
    "service_level",
    "ingested_file",
    "quarantined_row",
)


def upgrade() -> None:
    """Copy the registry's tables into its file, and drop each table from the other file."""
    part = context.config.attributes["part"]
    if part == "registry":
        _copy()
        _drop(_DATA)
    elif part == "data":
        _drop(_REGISTRY)


def _copy() -> None:
    """Copy from the data file, attached as ``data``, if it has the tables."""
    connection = op.get_bind()
    held = set(connection.execute(text("SELECT name FROM data.sqlite_master")).scalars())
    for table in _REGISTRY:
        if table not in held:
            continue
        columns = connection.execute(
            text("SELECT name FROM pragma_table_info(:table, 'data')"), {"table": table}
        ).scalars()
        names = ", ".join(f'"{name}"' for name in columns)
        op.execute(f"INSERT INTO main.{table} ({names}) SELECT {names} FROM data.{table}")  # noqa: S608 - our own names


def _drop(tables: tuple[str, ...]) -> None:
    for table in reversed(tables):
        op.execute(f"DROP TABLE main.{table}")
