"""Log lines about the result of an ingest."""

from __future__ import annotations

import logging
from pathlib import Path

from storemon_pipeline.ingestion.discovery import SourceFiles
from storemon_pipeline.ingestion.results import TableResult
from storemon_pipeline.ingestion.sources import SourceFile
from storemon_pipeline.uptime.messages import pluralize, quote_value

_CHANGES = {"new": "is new", "appended": "has new lines", "changed": "has changed"}


def log_result(
    result: TableResult,
    kind: SourceFile,
    source: SourceFiles,
    data_dir: Path,
    log: logging.Logger,
) -> None:
    """Log the result of one table."""
    if not result.files and (result.table_rows or not kind.is_optional):
        log.warning(
            "No %s in %s: %s is unchanged, with %s",
            " or ".join(f"{name}.csv" for name in kind.names),
            data_dir,
            result.table_name,
            pluralize(result.table_rows, "row"),
        )
    if source.by_header:
        log.warning(
            "%s is read as %s.csv because its header has %s; rename it to make this explicit",
            source.paths[0].name,
            kind.names[0],
            ", ".join(kind.columns),
        )
    for file in result.files:
        if file.reading == "unchanged":
            log.info("%s is unchanged: skipped", file.file)
        else:
            log.info(
                "%s %s: %s read, %s quarantined, %s superseded by a later row; %s now has %s",
                file.file,
                _CHANGES[file.reading],
                pluralize(file.rows, "row"),
                f"{file.bad_rows:,}",
                f"{file.superseded:,}",
                result.table_name,
                pluralize(result.table_rows, "row"),
            )
        if file.partial_line is not None:
            log.warning(
                "%s ends with %s, which has no newline and may be incomplete; it is read once a "
                "newline follows",
                file.file,
                quote_value(file.partial_line, 200),
            )
