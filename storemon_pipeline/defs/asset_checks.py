"""Checks of the tables: what does not stop a report but should be known to those who read it.

Checks of single rows ride on the assets of :mod:`.raw`, checks of the figures on those of
:mod:`.report`.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import pandas as pd

from storemon_pipeline.defs.errors import as_dagster_failure
from storemon_pipeline.defs.metadata import records_metadata
from storemon_pipeline.defs.resources import StoremonResource
from storemon_pipeline.evaluation.unmatched_snapshots import MIN_POLLED_SHARE, unmatched_snapshots
from storemon_pipeline.storage.polls import read_polled_stores, stores_never_polled
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
        """Every store was polled within the day before the newest poll. A silent store keeps its
        last status in the figures.""",
    ),
    "every_store_has_hours": (
        "business_hours",
        "Every polled store has opening hours. One without is taken to be always open.",
    ),
    "every_weekday_has_hours": (
        "business_hours",
        """Every store with opening hours has some on each weekday. By default a weekday without
        is taken to be open all day (rule missing_day).""",
    ),
    "every_store_has_a_timezone": (
        "store_timezones",
        """Every polled store has a time zone that is known. One without is taken to be in
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
            description="Every store that the file names was polled: no id has a slip in it.",
        )
        for asset in _OPTIONAL_TABLES
    ]
    + [
        dg.AssetCheckSpec(
            _STORES_MATCH,
            asset=asset,
            description=(
                f"At least {MIN_POLLED_SHARE:.0%} of the stores that the file names were ever "
                "polled. If not, its ids are not those of the polls: rounded by a spreadsheet?"
            ),
        )
        for asset in _SNAPSHOTS
    ]
    + [
        dg.AssetCheckSpec(
            _FILES_ARE_READ,
            asset="store_status",
            description="Every file of the data directory that looks like data is read.",
        )
    ],
    can_subset=True,
)
def table_checks(
    context: dg.AssetCheckExecutionContext, storemon: StoremonResource
) -> Iterator[dg.AssetCheckResult]:
    """Look for stores about which the tables say too little, and for those nobody has polled."""
    with as_dagster_failure(), storemon.database.read() as connection:
        stores = read_polled_stores(connection, datetime.now(UTC))
        weekdays = count_weekdays_with_hours(connection)
        zones = read_timezones(connection)
        unpolled = {
            asset: stores_never_polled(connection, table)
            for asset, table in _OPTIONAL_TABLES.items()
        }
        unmatched = {each.table_name: each for each in unmatched_snapshots(connection)}
        unread = unread_files(connection)
    found = find_incomplete_stores(stores, weekdays, zones)
    selected = {(key.asset_key.path[-1], key.name) for key in context.selected_asset_check_keys}
    for name, (asset, _) in _SPECS.items():
        if (asset, name) in selected:
            told = f"{len(found[name]):,} of {pluralize(len(stores), 'polled store')}."
            yield _result(name, asset, found[name], len(stores), told)
    for asset, failing in unpolled.items():
        if (asset, _ONLY_POLLED) in selected:
            told = f"Never polled: {pluralize(len(failing), 'store')}."
            yield _result(_ONLY_POLLED, asset, failing, len(stores), told)
    for asset, table in _SNAPSHOTS.items():
        if (asset, _STORES_MATCH) in selected:
            trouble = unmatched.get(table.name)
            yield _warning(
                _STORES_MATCH, asset, trouble.sentence if trouble else "", "Store ids match."
            )
    if ("store_status", _FILES_ARE_READ) in selected:
        text = "; ".join(f"{file}: {reason}" for file, reason in unread.items())
        yield _warning(_FILES_ARE_READ, "store_status", text, "Every file is read.")


def find_incomplete_stores(
    stores: pd.DataFrame, weekdays: pd.DataFrame, zones: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """The stores that fail each check, with what is known of them.

    Parameters
    ----------
    stores : DataFrame
        ``store_id``, ``last_poll_utc``.
    weekdays : DataFrame
        ``store_id``, ``weekdays``: on how many it has opening hours.
    zones : DataFrame
        ``store_id``, ``timezone_str``.

    Returns
    -------
    dict
        Check's name -> DataFrame with ``store_id`` and one more column.
    """
    known = stores.merge(weekdays, on="store_id", how="left").merge(
        zones, on="store_id", how="left"
    )
    silent = known[known["last_poll_utc"] < known["last_poll_utc"].max() - timedelta(days=1)]
    without_hours = known[known["weekdays"].isna()]
    missing = known[known["weekdays"] < _WEEKDAYS]
    missing = missing.assign(
        weekdays_without_hours=(_WEEKDAYS - missing["weekdays"]).astype("int64")
    )
    unknown = known[canonical_timezones(known["timezone_str"]).isna()]
    return {
        "polled_within_a_day": silent[["store_id", "last_poll_utc"]],
        "every_store_has_hours": without_hours[["store_id", "last_poll_utc"]],
        "every_weekday_has_hours": missing[["store_id", "weekdays_without_hours"]],
        "every_store_has_a_timezone": unknown[["store_id", "timezone_str"]].fillna(""),
    }


def _result(
    name: str, asset: str, failing: pd.DataFrame, stores: int, told: str
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=name,
        asset_key=asset,
        passed=failing.empty,
        severity=dg.AssetCheckSeverity.WARN,
        description=told,
        metadata={
            "stores": len(failing),
            "share": len(failing) / stores if stores else 0.0,
            "polled_stores": stores,
            "first_stores": records_metadata(failing.head(MAX_LISTED_STORES)),
        },
    )


def _warning(name: str, asset: str, trouble: str, otherwise: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=name,
        asset_key=asset,
        passed=not trouble,
        severity=dg.AssetCheckSeverity.WARN,
        description=trouble or otherwise,
    )


CHECKS = [table_checks]
