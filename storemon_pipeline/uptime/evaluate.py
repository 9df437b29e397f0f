"""The evaluation of stores: from polls and opening hours to all results.

:func:`evaluate_slice` composes the stages for a slice, a range of stores; the results do not depend
on how stores are divided into slices. If the stages run separately, with tables stored in between,
:func:`store_results` continues from these tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import pandas as pd

from storemon_pipeline.uptime.conversions import (
    frame_to_intervals,
    intervals_to_frame,
    span_key,
)
from storemon_pipeline.uptime.current_status import status_at
from storemon_pipeline.uptime.downtime import downtime_by_hour, downtime_events, stores_down_now
from storemon_pipeline.uptime.interval_arithmetic import Intervals, StoreTimeKey
from storemon_pipeline.uptime.metrics import (
    ObservedTime,
    compute_metrics,
    observe_open_time,
    round_metrics,
)
from storemon_pipeline.uptime.opening_hours import OpeningHours, OpeningSchedule
from storemon_pipeline.uptime.report_request import ReportRequest
from storemon_pipeline.uptime.rules import UptimeRules
from storemon_pipeline.uptime.slo import service_levels
from storemon_pipeline.uptime.status_intervals import (
    Polls,
    StatusIntervals,
    frame_to_status,
    interpolate_polls,
    sorted_polls,
    status_to_frame,
)


@dataclass(frozen=True, slots=True)
class StoreIntervals:
    """Open and status intervals of stores over a span.

    Attributes
    ----------
    key : StoreTimeKey
        Covers the span.
    open : Intervals
    status : StatusIntervals
    """

    key: StoreTimeKey
    open: Intervals
    status: StatusIntervals

    def observed(self) -> ObservedTime:
        """Intersect status intervals with open time."""
        return observe_open_time(self.open, self.status, self.key)

    def open_hours(self, stores: pd.DataFrame) -> pd.DataFrame:
        """Convert the open intervals to a table: ``store_id``, ``open_utc``, ``close_utc``."""
        return intervals_to_frame(self.open, stores, "open_utc", "close_utc")

    def status_intervals(self, stores: pd.DataFrame) -> pd.DataFrame:
        """Convert the status intervals to a table.

        See :func:`~storemon_pipeline.uptime.status_intervals.status_intervals`.
        """
        return status_to_frame(self.status, stores)


@dataclass(frozen=True, slots=True)
class StoreResults:
    """Results of a batch of stores.

    Attributes
    ----------
    metrics : DataFrame
        Result of :func:`~storemon_pipeline.uptime.metrics.round_metrics`.
    metrics_us : DataFrame
        The same, unrounded: :func:`~storemon_pipeline.uptime.metrics.compute_metrics`.
    slo : DataFrame
        Result of :func:`~storemon_pipeline.uptime.slo.service_levels`, one row per store.
    events : DataFrame
        Result of :func:`~storemon_pipeline.uptime.downtime.downtime_events`.
    by_hour : DataFrame
        Result of :func:`~storemon_pipeline.uptime.downtime.downtime_by_hour`.
    current : DataFrame
        Result of :func:`~storemon_pipeline.uptime.current_status.current_status`, one row per
        store.
    down_now : DataFrame
        Result of :func:`~storemon_pipeline.uptime.downtime.stores_down_now`.
    """

    metrics: pd.DataFrame
    metrics_us: pd.DataFrame
    slo: pd.DataFrame
    events: pd.DataFrame
    by_hour: pd.DataFrame
    current: pd.DataFrame
    down_now: pd.DataFrame


def evaluate_intervals(
    stores: pd.DataFrame,
    hours: OpeningHours,
    polls: pd.DataFrame,
    span: tuple[datetime, datetime],
    rules: UptimeRules,
) -> StoreIntervals:
    """Compute the open and the status intervals of stores within ``[start, end)`` (rules 3 to 7).

    Parameters
    ----------
    stores, hours, polls
        As for :func:`~storemon_pipeline.uptime.status_intervals.status_intervals`.
    span : tuple of datetime
        Start and end; UTC.
    rules : UptimeRules
    """
    key = span_key(span, len(stores))
    schedule = OpeningSchedule(stores, hours, rules)
    return _intervals(sorted_polls(polls, stores, key.end), schedule, key, rules)


def _intervals(
    polls: Polls, schedule: OpeningSchedule, key: StoreTimeKey, rules: UptimeRules
) -> StoreIntervals:
    is_open = schedule.intervals(key.start, key.end)
    return StoreIntervals(key, is_open, interpolate_polls(polls, is_open, schedule, key, rules))


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All stages of the evaluation of a slice.

    Attributes
    ----------
    intervals : StoreIntervals
    observed : ObservedTime
    results : StoreResults
    """

    intervals: StoreIntervals
    observed: ObservedTime
    results: StoreResults


def evaluate_slice(
    stores: pd.DataFrame,
    hours: OpeningHours,
    polls: pd.DataFrame,
    request: ReportRequest,
    no_data_after: timedelta,
) -> Evaluation:
    """Compute all results of a slice of stores from their polls and opening hours.

    Parameters
    ----------
    stores : DataFrame
        As for :func:`store_results`.
    hours, polls
        As for :func:`~storemon_pipeline.uptime.status_intervals.status_intervals`.
    request : ReportRequest
    no_data_after : timedelta
        As for :func:`~storemon_pipeline.uptime.current_status.current_status`.
    """
    rules, key = request.rules, span_key(request.span, len(stores))
    schedule = OpeningSchedule(stores, hours, rules)
    known_polls = sorted_polls(polls, stores, key.end)
    intervals = _intervals(known_polls, schedule, key, rules)
    observed = intervals.observed()
    # the span ends at as_of
    current = status_at(key.end, known_polls, schedule, stores, rules, no_data_after)
    return Evaluation(intervals, observed, _results(stores, observed, current, request))


def store_results(
    stores: pd.DataFrame,
    open_hours: pd.DataFrame,
    status_intervals: pd.DataFrame,
    current: pd.DataFrame,
    request: ReportRequest,
) -> StoreResults:
    """Compute all results of a batch of stores from the tables of the earlier stages.

    Parameters
    ----------
    stores : DataFrame
        ``store_id`` (text, sorted, unique), ``timezone``, ``last_poll_utc``,
        ``target_pct``.
    open_hours, status_intervals : DataFrame
        For these stores and the request's span.
    current : DataFrame
        Result of :func:`~storemon_pipeline.uptime.current_status.current_status` for these stores
        at the request's as_of.
    request : ReportRequest
    """
    time = observe_tables(stores, open_hours, status_intervals, request)
    return _results(stores, time, current, request)


def observe_tables(
    stores: pd.DataFrame,
    open_hours: pd.DataFrame,
    status_intervals: pd.DataFrame,
    request: ReportRequest,
) -> ObservedTime:
    """Intersect status intervals with open time, both as tables; see :func:`store_results`."""
    return observe_open_time(
        frame_to_intervals(open_hours, stores, "open_utc", "close_utc"),
        frame_to_status(status_intervals, stores),
        span_key(request.span, len(stores)),
    )


def _results(
    stores: pd.DataFrame, time: ObservedTime, current: pd.DataFrame, request: ReportRequest
) -> StoreResults:
    exact = compute_metrics(time, request, stores)
    events = downtime_events(stores, time, request, current)
    return StoreResults(
        round_metrics(stores, exact, request),
        exact,
        service_levels(stores, time, exact, request),
        events,
        downtime_by_hour(stores, time, request),
        current,
        stores_down_now(stores, time, request, current, events),
    )
