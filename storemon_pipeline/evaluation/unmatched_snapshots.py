"""Find reference tables whose store ids hardly match those of the polls."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from storemon_pipeline.storage.polled_stores import stores_never_polled
from storemon_pipeline.storage.reference_data import count_distinct_stores, count_polled_stores
from storemon_pipeline.storage.schema import (
    business_hours,
    service_level,
    special_hours,
    store_timezone,
)
from storemon_pipeline.storage.stores import count_stores
from storemon_pipeline.uptime.messages import pluralize

SNAPSHOTS = (business_hours, store_timezone, special_hours, service_level)

# for pages, which show no table names
_CONTENTS = {
    "business_hours": "opening hours",
    "store_timezone": "a time zone",
    "special_hours": "special hours",
    "service_level": "an SLO target",
}

MIN_POLLED_SHARE = 0.05
"""A table with a smaller share of polled stores does not match the polls."""

_ROUNDED = re.compile(r"[1-9]\d{11,}0{3,}|\d(?:\.\d+)?[eE]\d{2}")
_SAMPLED_IDS = 200


@dataclass(frozen=True, slots=True)
class UnmatchedSnapshot:
    """A reference table whose stores do not match the polls.

    Attributes
    ----------
    table_name : str
    stores, polled : int
        Number of stores in the table, and how many of them were ever polled.
    example : str
        A store that was never polled.
    is_rounded : bool
        Whether the ids look rounded by a spreadsheet.
    """

    table_name: str
    stores: int
    polled: int
    example: str
    is_rounded: bool

    @property
    def sentence(self) -> str:
        """Return the problem and its remedy."""
        cause = (
            "the ids look rounded by a spreadsheet: export them as text"
            if self.is_rounded
            else "check that the ids match those of the polls"
        )
        polled = f"only {self.polled:,}" if self.polled else "none"
        return (
            f"{polled} of {pluralize(self.stores, 'store')} with {_CONTENTS[self.table_name]} "
            f"{'was' if self.polled <= 1 else 'were'} ever polled "
            f"({self.example}, for example, was not): {cause}"
        )


def unmatched_snapshots(connection: Connection) -> list[UnmatchedSnapshot]:
    """Return the reference tables with a share of polled stores below :data:`MIN_POLLED_SHARE`."""
    if not count_stores(connection):
        return []
    unmatched = []
    for table in SNAPSHOTS:
        stores = count_distinct_stores(connection, table)
        polled = count_polled_stores(connection, table)
        if stores and polled < MIN_POLLED_SHARE * stores:
            examples = (
                stores_never_polled(connection, table)["store_id"].head(_SAMPLED_IDS).tolist()
            )
            unmatched.append(
                UnmatchedSnapshot(table.name, stores, polled, examples[0], _look_rounded(examples))
            )
    return unmatched


def _look_rounded(store_ids: Sequence[str]) -> bool:
    """Return whether most ids are long numbers that end in zeros, or have an exponent."""
    rounded = sum(_ROUNDED.fullmatch(store_id) is not None for store_id in store_ids)
    return 2 * rounded > len(store_ids)
