"""The decorator of assets that are tables of one run: Parquet under the run's id."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dagster as dg

from storemon_pipeline.defs.failures import record_failed_report
from storemon_pipeline.defs.show import OWNERS, columns


def run_table(
    *, schema: dict[str, str], **options: Any
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Declare an asset whose value is a table of the run.

    Parameters
    ----------
    schema : dict
        Column -> ``type: description``, as :func:`~storemon_pipeline.defs.show.columns` takes them.
    **options
        The other arguments of ``dagster.asset``.
    """
    decorate: Callable[[Callable[..., Any]], dg.AssetsDefinition] = dg.asset(
        owners=OWNERS,
        io_manager_key="table_io",
        hooks={record_failed_report},
        metadata={"dagster/column_schema": columns(**schema)},
        **options,
    )
    return decorate
