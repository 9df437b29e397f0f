"""Checks of the tables: data problems that do not stop a report but affect its interpretation.

Checks of rows are part of the assets in :mod:`.assets.raw`, checks of metrics of those in
:mod:`.assets.report`.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import pandas as pd

from storemon_pipeline.defs.failures import as_dagster_failure
from storemon_pipeline.defs.metadata import records_metadata
from storemon_pipeline.defs.resources import StoremonResource
from storemon_pipeline.evaluation.unmatched_snapshots import MIN_POLLED_SHARE, unmatched_snapshots
from storemon_pipeline.storage.polled_stores import read_polled_stores, stores_never_polled
from storemon_pipeline.storage.reference_data import count_weekdays_with_hours, read_timezones
from storemon_pipeline.storage.schema import (
    business_hours,
    service_level,
    special_hours,
    store_timezone,
)
from storemon_pipeline.storage.unread_files import unread_files
from storemon_pipeline.uptime.messages import pluralize
from storemon_pipeline.uptime.time_zones import canonical_timezones

MAX_LISTED_STORES = 20
_WEEKDAYS = 7
_ONLY_POLLED = "only_polled_stores"
_FILES_ARE_READ = "every_file_is_read"
_STORES_MATCH = "store_ids_match_polls"
_SNAPSHOTS = {
    "business_hours": business_hours,
    "store_timezones": store_timezone,
    "special_hours": special_hours,
    "service_levels": service_level,
}
_OPTIONAL_TABLES = {"special_hours": special_hours, "service_levels": service_level}
_SPECS: dict[str, tuple[str, str]] = {
    "polled_within_a_day": (
        "store_status",
        """Every store was polled within the day before the newest poll. The last status of a
        silent store still counts.""",
    ),
    "every_store_has_hours": (
        "business_hours",
        "Every polled store has opening hours. A store without any is assumed to be always open.",
    ),
    "every_weekday_has_hours": (
        "business_hours",
        """Every store with opening hours has some on each weekday. By default a weekday without any
        is assumed to be open all day (rule missing_day).""",
    ),
    "every_store_has_a_timezone": (
        "store_timezones",
        """Every polled store has a valid time zone. A store without one is assumed to be in
        America/Chicago.""",
    ),
}


@dg.multi_asset_check(
    name="table_checks",
    specs=[
        dg.AssetCheckSpec(name, asset=asset, description=" ".join(description.split()))
        for name, (asset, description) in _SPECS.items()
    ]
    + [
        dg.AssetCheckSpec(
            _ONLY_POLLED,
            asset=asset,
            description="Every store in the file was polled, so no id is misspelled.",
        )
        for asset in _OPTIONAL_TABLES
    ]
    + [
        dg.AssetCheckSpec(
            _STORES_MATCH,
            asset=asset,
            description=(
                f"At least {MIN_POLLED_SHARE:.0%} of the stores in the file were ever polled. "
                "Otherwise its ids do not match: a spreadsheet may have rounded them."
            ),
        )
        for asset in _SNAPSHOTS
    ]
    + [
        dg.AssetCheckSpec(
            _FILES_ARE_READ,
            asset="store_status",
            description="Every file in the data directory that looks like data is ingested.",
        )
    ],
    can_subset=True,
)
def table_checks(
    context: dg.AssetCheckExecutionContext, storemon: StoremonResource
) -> Iterator[dg.AssetCheckResult]:
    """Check for stores with missing data, and for data of stores that were never polled."""
    with as_dagster_failure(), storemon.database.read() as connection:
        stores = read_polled_stores(storemon.database.polls, connection, datetime.now(UTC))
        weekdays = count_weekdays_with_hours(connection)
        zones = read_timezones(connection)
        unpolled = {
            asset: stores_never_polled(connection, table)
            for asset, table in _OPTIONAL_TABLES.items()
        }
        unmatched = {snapshot.table_name: snapshot for snapshot in unmatched_snapshots(connection)}
        unread = unread_files(connection)
    incomplete = find_incomplete_stores(stores, weekdays, zones)
    selected = {(key.asset_key.path[-1], key.name) for key in context.selected_asset_check_keys}
    for name, (asset, _) in _SPECS.items():
        if (asset, name) in selected:
            description = f"{len(incomplete[name]):,} of {pluralize(len(stores), 'polled store')}."
            yield _result(name, asset, incomplete[name], len(stores), description)
    for asset, failing in unpolled.items():
        if (asset, _ONLY_POLLED) in selected:
            description = f"Never polled: {pluralize(len(failing), 'store')}."
            yield _result(_ONLY_POLLED, asset, failing, len(stores), description)
    for asset, table in _SNAPSHOTS.items():
        if (asset, _STORES_MATCH) in selected:
            snapshot = unmatched.get(table.name)
            problem = snapshot.sentence if snapshot else ""
            yield _warning(_STORES_MATCH, asset, problem, "Store ids match.")
    if ("store_status", _FILES_ARE_READ) in selected:
        problem = "; ".join(f"{file}: {reason}" for file, reason in unread.items())
        yield _warning(_FILES_ARE_READ, "store_status", problem, "Every file is ingested.")


def find_incomplete_stores(
    stores: pd.DataFrame, weekdays: pd.DataFrame, zones: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """Return the stores that fail each check, with the relevant column.

    Parameters
    ----------
    stores : DataFrame
        ``store_id``, ``last_poll_utc``.
    weekdays : DataFrame
        ``store_id``, ``weekdays``: the number of weekdays with opening hours.
    zones : DataFrame
        ``store_id``, ``timezone_str``.

    Returns
    -------
    dict
        Check name -> DataFrame with ``store_id`` and one more column.
    """
    merged = stores.merge(weekdays, on="store_id", how="left").merge(
        zones, on="store_id", how="left"
    )
    silent = merged[merged["last_poll_utc"] < merged["last_poll_utc"].max() - timedelta(days=1)]
    without_hours = merged[merged["weekdays"].isna()]
    missing = merged[merged["weekdays"] < _WEEKDAYS]
    missing = missing.assign(
        weekdays_without_hours=(_WEEKDAYS - missing["weekdays"]).astype("int64")
    )
    unknown = merged[canonical_timezones(merged["timezone_str"]).isna()]
    return {
        "polled_within_a_day": silent[["store_id", "last_poll_utc"]],
        "every_store_has_hours": without_hours[["store_id", "last_poll_utc"]],
        "every_weekday_has_hours": missing[["store_id", "weekdays_without_hours"]],
        "every_store_has_a_timezone": unknown[["store_id", "timezone_str"]].fillna(""),
    }


def _result(
    name: str, asset: str, failing: pd.DataFrame, stores: int, description: str
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=name,
        asset_key=asset,
        passed=failing.empty,
        severity=dg.AssetCheckSeverity.WARN,
        description=description,
        metadata={
            "stores": len(failing),
            "share": len(failing) / stores if stores else 0.0,
            "polled_stores": stores,
            "first_stores": records_metadata(failing.head(MAX_LISTED_STORES)),
        },
    )


def _warning(name: str, asset: str, problem: str, success: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=name,
        asset_key=asset,
        passed=not problem,
        severity=dg.AssetCheckSeverity.WARN,
        description=problem or success,
    )
