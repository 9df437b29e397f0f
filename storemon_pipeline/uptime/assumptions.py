"""Assumptions about stores without opening hours or a time zone (rule 3)."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from storemon_pipeline.uptime.rules import MissingDay
from storemon_pipeline.uptime.time_zones import canonical_timezones

_WEEKDAYS = 7


@dataclass(frozen=True, slots=True)
class Assumptions:
    """Numbers of stores for which a report makes an assumption.

    Attributes
    ----------
    stores : int
        Stores in the report.
    without_hours : int
        Stores without opening hours: always open.
    without_timezone : int
        Stores without a known time zone: in the default zone.
    with_missing_days : int
        Stores with opening hours on some weekdays only.
    missing_day : MissingDay
        How their other weekdays are treated.
    """

    stores: int
    without_hours: int
    without_timezone: int
    with_missing_days: int
    missing_day: MissingDay


def summarize_assumptions(
    stores: pd.DataFrame, weekly_hours: pd.DataFrame, missing_day: MissingDay
) -> Assumptions:
    """Count the stores for which rule 3 makes an assumption.

    Parameters
    ----------
    stores : DataFrame
        ``store_id``, ``timezone_str`` (text, as in the file; missing if unknown).
    weekly_hours : DataFrame
        ``store_id``, ``day_of_week`` of openings; other stores are ignored.
    missing_day : MissingDay
        The rule.
    """
    rows = weekly_hours[weekly_hours["store_id"].isin(stores["store_id"])]
    weekdays = rows.groupby("store_id", observed=True)["day_of_week"].nunique()
    known = canonical_timezones(stores["timezone_str"]).notna()
    return Assumptions(
        stores=len(stores),
        without_hours=len(stores) - len(weekdays),
        without_timezone=int((~known).sum()),
        with_missing_days=int((weekdays < _WEEKDAYS).sum()),
        missing_day=missing_day,
    )
