"""Metadata for Dagster's UI: column schemas, previews, records and charts."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg
import pandas as pd
from sqlalchemy import Table

from storemon_pipeline.pages.vega import Chart
from storemon_pipeline.storage.ingest_log import SHOWN_CHARACTERS
from storemon_pipeline.uptime.messages import shorten
from storemon_pipeline.uptime.windows import Window

OWNERS = ["team:operations"]

PREVIEW_ROWS = 5
"""The UI shows only short previews inline."""


def column_schema_from_table(table: Table) -> dg.TableSchema:
    """Return the column schema of a database table."""
    return dg.TableSchema(
        [
            dg.TableColumn(
                column.name,
                type=str(column.type).lower(),
                description=column.comment,
                constraints=dg.TableColumnConstraints(
                    nullable=bool(column.nullable),
                    unique=len(table.primary_key) == 1 and column.primary_key,
                ),
            )
            for column in table.columns
        ]
    )


def column_schema(**columns: str) -> dg.TableSchema:
    """Return a column schema from ``name="type: description"`` pairs."""
    return dg.TableSchema(
        [
            dg.TableColumn(name, type=kind, description=text or None)
            for name, (kind, _, text) in (
                (name, value.partition(": ")) for name, value in columns.items()
            )
        ]
    )


def metric_columns(windows: Sequence[Window]) -> dg.TableSchema:
    """Return the column schema of ``report_full.csv`` for some windows."""
    columns = {"store_id": "text"}
    for window in windows:
        unit = "minutes" if window is Window.HOUR else "hours"
        columns |= {
            f"uptime_{window.suffix}": f"float: {unit}",
            f"downtime_{window.suffix}": f"float: {unit}",
            f"unobserved_{window.suffix}": f"float: {unit} of open time without a status",
            f"uptime_pct_{window.suffix}": "float: uptime, % of observed open time",
        }
    columns |= {
        "last_poll_utc": "timestamp: the newest poll at or before as_of",
        "timezone": "text: the IANA time zone that is used",
        "target_pct": "float: SLO target, % of observed open time",
    }
    for window in windows:
        unit = "minutes" if window is Window.HOUR else "hours"
        columns |= {
            f"met_{window.suffix}": "bool: uptime is at least the SLO target",
            f"downtime_budget_{window.suffix}": f"float: error budget, {unit} of downtime",
            f"budget_left_{window.suffix}": f"float: remaining error budget, {unit}",
            f"outages_{window.suffix}": "int: periods of downtime not interrupted by uptime",
            f"mean_minutes_to_recovery_{window.suffix}": "float: MTTR of finished outages",
            f"mean_hours_between_outages_{window.suffix}": "float: MTBF, uptime per outage",
            f"longest_outage_minutes_{window.suffix}": "float",
        }
    return column_schema(**columns)


def preview(table: pd.DataFrame, rows: int = PREVIEW_ROWS) -> dg.MetadataValue:
    """Format the first rows of a table as Markdown."""
    sample = table.head(rows).copy()
    for name in sample.select_dtypes("datetimetz").columns:
        sample[name] = sample[name].dt.strftime("%Y-%m-%d %H:%M:%SZ")
    for name in sample.select_dtypes("float").columns:
        sample[name] = [f"{value:.2f}" if pd.notna(value) else "" for value in sample[name]]
    for name in sample.select_dtypes(["object", "str"]).columns:
        sample[name] = [
            shorten(value, SHOWN_CHARACTERS) if isinstance(value, str) else value
            for value in sample[name]
        ]
    return dg.MetadataValue.md(
        sample.to_markdown(index=False, disable_numparse=True, tablefmt="pipe")
    )


def chart_metadata(chart: Chart) -> dg.MetadataValue:
    """Embed a chart of the pages as an image with its description."""
    return dg.MetadataValue.md(f"**{chart.title}**\n\n![{chart.description}]({chart.data_uri()})")


def records_metadata(rows: pd.DataFrame) -> dg.MetadataValue:
    """Return rows as table metadata, which the UI shows as a table."""
    return dg.MetadataValue.table(
        [
            dg.TableRecord({str(name): _to_table_value(value) for name, value in row.items()})
            for row in rows.to_dict("records")
        ],
        schema=column_schema(**dict.fromkeys(map(str, rows.columns), "text")),
    )


def _to_table_value(value: object) -> str | int | float | bool:
    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m-%d %H:%M:%SZ}"
    if isinstance(value, int | float | bool):
        return value
    return shorten(str(value), SHOWN_CHARACTERS)
