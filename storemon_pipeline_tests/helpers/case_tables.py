"""Convert generated cases to the tables and requests of the package."""

from __future__ import annotations

from fractions import Fraction

import pandas as pd

from storemon_pipeline.uptime.opening_hours import OpeningHours
from storemon_pipeline.uptime.report_request import ReportRequest, ReportSpec, resolve_spec
from storemon_pipeline.uptime.rules import UptimeRules
from storemon_pipeline.uptime.time_zones import resolve_timezone
from storemon_pipeline_tests.uptime.strategies import Case

TARGETS = ("99", "99.999", "50", "100", "0", "66.667")


def request_of(case: Case) -> ReportRequest:
    ranged = case.windows.get("range")
    spec = ReportSpec(
        as_of="latest" if ranged else case.as_of,
        windows=list(case.windows),
        start=ranged[0] if ranged else None,
        end=ranged[1] if ranged else None,
        rules=UptimeRules(
            interpolation=case.rules.interpolation,
            closed_polls=case.rules.closed_polls,
            missing_day=case.rules.missing_day,
            day_end=case.rules.day_end,
            max_carry_hours=case.rules.max_carry_hours and float(case.rules.max_carry_hours),
            before_first_poll=case.rules.before_first_poll,
        ),
    )
    return resolve_spec(spec, newest_poll=case.as_of, now=case.as_of)


def target_of(position: int) -> Fraction:
    """Return the target of the store at a position; all differ."""
    return Fraction(TARGETS[position % len(TARGETS)])


def tables_of(case: Case) -> tuple[pd.DataFrame, pd.DataFrame, OpeningHours]:
    """Convert stores, polls and opening hours of a case to tables."""
    polls = pd.DataFrame(case.polls, columns=["store_id", "timestamp_utc", "status"])
    polls["timestamp_utc"] = pd.to_datetime(polls["timestamp_utc"], utc=True).astype(
        "datetime64[us, UTC]"
    )
    known = polls[polls["timestamp_utc"] <= case.as_of]
    last = known.groupby("store_id")["timestamp_utc"].max().sort_index()
    stores = pd.DataFrame({"store_id": last.index.astype("str"), "last_poll_utc": last.array})
    stores["timezone"] = [resolve_timezone(case.zones.get(s)) for s in stores["store_id"]]
    stores["target_pct"] = [float(target_of(place)) for place in range(len(stores))]
    weekly = pd.DataFrame(
        case.hours, columns=["store_id", "day_of_week", "start_time_local", "end_time_local"]
    )
    special = pd.DataFrame(
        [(store_id, day, *(times or (None, None))) for store_id, day, times in case.special],
        columns=["store_id", "date", "start_time_local", "end_time_local"],
    )
    special["date"] = pd.to_datetime(special["date"]).astype("datetime64[s]")
    for table in (weekly, special):
        for column in ("start_time_local", "end_time_local"):
            table[column] = pd.to_timedelta(table[column].astype("Int64"), unit="us").astype(
                "timedelta64[us]"
            )
    return stores, polls, OpeningHours(weekly, special)
