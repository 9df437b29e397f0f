"""The package and the reference implementation agree to the microsecond on any input."""

from dataclasses import fields
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from math import floor
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings

from storemon_pipeline.uptime.conversions import to_microseconds
from storemon_pipeline.uptime.current_status import current_status
from storemon_pipeline.uptime.evaluate import StoreResults, evaluate_slice, store_results
from storemon_pipeline.uptime.opening_hours import open_hours
from storemon_pipeline.uptime.report_request import ReportRequest, ReportSpec, resolve_spec
from storemon_pipeline.uptime.status_intervals import status_intervals
from storemon_pipeline.uptime.windows import Window
from storemon_pipeline_tests.helpers.case_tables import request_of, tables_of, target_of
from storemon_pipeline_tests.uptime.reference import (
    CALENDAR_WINDOWS,
    MICROSECOND,
    NO_DATA_AFTER,
    ReferenceStore,
    bounds,
    length_of,
    outages_within,
    reference_report,
    service_level,
    zone_of,
)
from storemon_pipeline_tests.uptime.strategies import CLOCK_CHANGES, Case, cases

HOUR = 3_600_000_000
MINUTE = HOUR // 60


def microseconds(instant: datetime) -> int:
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // MICROSECOND


def computed(case: Case, request: ReportRequest) -> tuple[pd.DataFrame, StoreResults]:
    stores, polls, hours = tables_of(case)
    start, end = map(pd.Timestamp, request.span)
    opened = open_hours(stores, hours, start, end, request.rules)
    status = status_intervals(stores, polls, opened, hours, start, end, request.rules)
    current = current_status(stores, polls, hours, end, request.rules, NO_DATA_AFTER)
    return stores, store_results(stores, opened, status, current, request)


def rounded(amount: int, unit: int) -> float:
    """Convert an amount to a unit, rounded half up to hundredths."""
    return float(floor(Fraction(100 * amount, unit) + Fraction(1, 2))) / 100


def agrees(case: Case) -> None:
    request = request_of(case)
    expected = reference_report(
        case.polls,
        case.hours,
        case.zones,
        special=case.special,
        as_of=case.as_of,
        windows=case.windows,
        rules=case.rules,
    )
    stores, results = computed(case, request)
    assert stores["store_id"].tolist() == sorted(expected)
    for position, store_id in enumerate(stores["store_id"]):
        figures_agree(expected[store_id], results, position, request)
        outages_agree(expected[store_id], results, store_id)
        levels_agree(expected[store_id], results, position, store_id, case)
    events_sum_to_downtime(results, request, stores)


def figures_agree(
    expected: ReferenceStore, results: StoreResults, position: int, request: ReportRequest
) -> None:
    exact, shown = results.metrics_us.iloc[position], results.metrics.iloc[position]
    for window in request.windows:
        of = expected.figures[window.value]
        got = [
            exact[f"{figure}_{window.suffix}"]
            for figure in ("uptime", "downtime", "unobserved", "open_time")
        ]
        assert got == [of.uptime, of.downtime, of.unobserved, of.open_time]
        unit = MINUTE if window.value == "hour" else HOUR
        assert shown[f"uptime_{window.suffix}"] == rounded(of.uptime, unit)
        assert shown[f"unobserved_{window.suffix}"] == rounded(of.unobserved, unit)
        observed = of.uptime + of.downtime
        if observed:
            assert shown[f"uptime_pct_{window.suffix}"] == rounded(100 * of.uptime, observed)
        else:
            assert pd.isna(shown[f"uptime_pct_{window.suffix}"])
    assert shown["last_poll_utc"] == expected.last_poll
    assert results.current["status"].iloc[position] == expected.now


def outages_agree(expected: ReferenceStore, results: StoreResults, store_id: str) -> None:
    events = results.events[results.events["store_id"] == store_id]
    got = list(zip(events["start_utc"], events["end_utc"], events["ongoing"], strict=True))
    assert got == expected.events
    first_up = min((start for start, _ in expected.up), default=expected.span[1])
    down = [
        (
            outage[0][0],
            outage[0][0] < first_up,
            rounded(length_of(outage[:number]), MINUTE),
        )
        for outage in outages_within(expected.span, expected)
        for number in range(1, len(outage) + 1)
    ]
    values = (events[name] for name in ("down_since_utc", "down_before", "down_minutes"))
    assert list(zip(*values, strict=True)) == down
    by_hour = results.by_hour[results.by_hour["store_id"] == store_id]
    assert {
        (row.day_of_week, row.hour): (row.open_minutes, row.downtime_minutes)
        for row in by_hour.itertuples()
    } == {
        hour: (rounded(opened, MINUTE), rounded(down, MINUTE))
        for hour, (opened, down) in expected.by_hour.items()
    }


def levels_agree(
    expected: ReferenceStore, results: StoreResults, position: int, store_id: str, case: Case
) -> None:
    shown = results.slo.iloc[position]
    assert shown["target_pct"] == float(target_of(position))
    for name, window in case.windows.items():
        column, unit = Window(name).suffix, MINUTE if name == "hour" else HOUR
        limits = bounds(window, case.as_of, zone_of(store_id, case.zones))
        figures = expected.figures[name]
        level = service_level(expected, name, limits, target_of(position))
        count, over = len(level.lengths), len(level.until_over)
        if level.met is None:
            assert pd.isna(shown[f"met_{column}"])
        else:
            assert shown[f"met_{column}"] == level.met
        assert shown[f"downtime_budget_{column}"] == rounded(level.budget, unit)
        assert shown[f"budget_left_{column}"] == rounded(level.budget_left, unit)
        assert shown[f"outages_{column}"] == count
        assert sum(level.lengths) == figures.downtime
        for mean, total, number in (
            ("mean_minutes_to_recovery", sum(level.until_over), over * MINUTE),
            ("mean_hours_between_outages", figures.uptime, count * HOUR),
            ("longest_outage_minutes", max(level.lengths, default=0), min(count, 1) * MINUTE),
        ):
            got = shown[f"{mean}_{column}"]
            assert got == rounded(total, number) if number else pd.isna(got)


def events_sum_to_downtime(
    results: StoreResults, request: ReportRequest, stores: pd.DataFrame
) -> None:
    """Check that the events within each window, and so the span, add up to the downtime."""
    events = results.events
    code = stores["store_id"].searchsorted(events["store_id"].astype("str"))
    for window in request.windows:
        start, end = request.bounds(window, stores["timezone"])
        first = np.maximum(to_microseconds(events["start_utc"]), start[code])
        last = np.minimum(to_microseconds(events["end_utc"]), end[code])
        within = np.bincount(code, np.maximum(last - first, 0), minlength=len(stores))
        assert within.tolist() == results.metrics_us[f"downtime_{window.suffix}"].tolist()


@pytest.mark.parametrize("minutes", [-60, 0, 30, 1440])
def test_calendar_windows_agree_near_clock_changes(minutes: int) -> None:
    # A random as_of is seldom within the hour that a clock shows twice over midnight.
    for zone, change in CLOCK_CHANGES:
        for off in (-MICROSECOND, timedelta()):
            as_of = change + timedelta(minutes=minutes) + off
            spec = ReportSpec(as_of=as_of, windows=[Window(name) for name in CALENDAR_WINDOWS])
            request = resolve_spec(spec, newest_poll=as_of, now=as_of)
            for name in CALENDAR_WINDOWS:
                start, end = bounds(name, as_of, ZoneInfo(zone))
                got = request.bounds(Window(name), pd.Series([zone]))
                assert (*got[0], *got[1]) == (microseconds(start), microseconds(end)), (zone, name)
                assert request.span[0] <= start <= end <= request.span[1]


@given(cases())
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
def test_package_agrees_with_reference(case: Case) -> None:
    agrees(case)


@given(cases())
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_evaluate_equals_the_separate_stages(case: Case) -> None:
    request = request_of(case)
    stores, polls, hours = tables_of(case)
    at_once = evaluate_slice(stores, hours, polls, request, NO_DATA_AFTER).results
    _, by_stage = computed(case, request)
    for result in fields(StoreResults):
        pd.testing.assert_frame_equal(
            getattr(at_once, result.name), getattr(by_stage, result.name), obj=result.name
        )


@pytest.mark.slow
@given(cases())
@settings(max_examples=5000, deadline=None, suppress_health_check=list(HealthCheck))
def test_package_agrees_with_reference_on_many_cases(case: Case) -> None:
    agrees(case)
