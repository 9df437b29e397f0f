"""Decorator for assets that are tables of one run, stored as Parquet under the run's id."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dagster as dg

from storemon_pipeline.defs.metadata import OWNERS, column_schema


def run_table(
    *, schema: dict[str, str], **options: Any
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Declare an asset whose value is a table of the run.

    Parameters
    ----------
    schema : dict
        Column -> ``type: description``, as for
        :func:`~storemon_pipeline.defs.metadata.column_schema`.
    **options
        Other arguments of ``dagster.asset``.
    """
    decorate: Callable[[Callable[..., Any]], dg.AssetsDefinition] = dg.asset(
        owners=OWNERS,
        io_manager_key="table_io",
        metadata={"dagster/column_schema": column_schema(**schema)},
        **options,
    )
    return decorate
