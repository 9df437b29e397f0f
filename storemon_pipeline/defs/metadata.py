"""How tables look in Dagster's UI: their columns, previews and row counts."""

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
"""The UI shows a preview at once only while it is short."""


def column_schema_from_table(table: Table) -> dg.TableSchema:
    """The columns of a table of the database."""
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


def column_schema(**described: str) -> dg.TableSchema:
    """Columns as ``name="type: description"``."""
    return dg.TableSchema(
        [
            dg.TableColumn(name, type=kind, description=text or None)
            for name, (kind, _, text) in (
                (name, said.partition(": ")) for name, said in described.items()
            )
        ]
    )


def metric_columns(windows: Sequence[Window]) -> dg.TableSchema:
    """The columns of ``report_full.csv`` for some windows."""
    described = {"store_id": "text"}
    for window in windows:
        unit = "minutes" if window is Window.HOUR else "hours"
        described |= {
            f"uptime_{window.suffix}": f"float: {unit}",
            f"downtime_{window.suffix}": f"float: {unit}",
            f"unobserved_{window.suffix}": f"float: {unit} of open time that no poll speaks for",
            f"uptime_pct_{window.suffix}": "float: uptime, % of observed open time",
        }
    described |= {
        "last_poll_utc": "timestamp: the newest poll at or before as_of",
        "timezone": "text: the zone whose clock counts",
        "target_pct": "float: the uptime that it is to have",
    }
    for window in windows:
        unit = "minutes" if window is Window.HOUR else "hours"
        described |= {
            f"met_{window.suffix}": "bool: it was up for at least its target",
            f"downtime_budget_{window.suffix}": f"float: {unit} that the target lets it be down",
            f"budget_left_{window.suffix}": f"float: {unit}; below 0 where it is overdrawn",
            f"outages_{window.suffix}": "int: downtime without any uptime in between",
            f"mean_minutes_to_recovery_{window.suffix}": "float: of outages that are over",
            f"mean_hours_between_outages_{window.suffix}": "float: uptime, by outages",
            f"longest_outage_minutes_{window.suffix}": "float",
        }
    return column_schema(**described)


def preview(table: pd.DataFrame, rows: int = PREVIEW_ROWS) -> dg.MetadataValue:
    """The first rows of a table, as a table to read."""
    shown = table.head(rows).copy()
    for name in shown.select_dtypes("datetimetz").columns:
        shown[name] = shown[name].dt.strftime("%Y-%m-%d %H:%M:%SZ")
    for name in shown.select_dtypes("float").columns:
        shown[name] = [f"{value:.2f}" if pd.notna(value) else "" for value in shown[name]]
    for name in shown.select_dtypes(["object", "str"]).columns:
        shown[name] = [
            shorten(value, SHOWN_CHARACTERS) if isinstance(value, str) else value
            for value in shown[name]
        ]
    return dg.MetadataValue.md(
        shown.to_markdown(index=False, disable_numparse=True, tablefmt="pipe")
    )


def chart_metadata(chart: Chart) -> dg.MetadataValue:
    """A chart of the pages as an image, with what it shows in words."""
    return dg.MetadataValue.md(f"**{chart.title}**\n\n![{chart.description}]({chart.data_uri()})")


def records_metadata(rows: pd.DataFrame) -> dg.MetadataValue:
    """Rows as a table with columns of its own, for lists that people act on."""
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
