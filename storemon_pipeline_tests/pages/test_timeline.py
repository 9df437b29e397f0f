"""The bars of a timeline, worked out by hand, and their rendering in the page."""

import re
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from markupsafe import Markup

from storemon_pipeline.pages.charts.store_timeline import store_timeline
from storemon_pipeline.pages.timeline import local_days, store_states_over_time, timeline
from storemon_pipeline.uptime.conversions import to_microseconds
from storemon_pipeline.uptime.interval_arithmetic import Intervals, StoreTimeKey
from storemon_pipeline.uptime.metrics import ObservedTime

ZONE = "America/New_York"


def of(*spans: tuple[str, str]) -> Intervals:
    start, end = (
        to_microseconds(pd.to_datetime([span[side] for span in spans], utc=True)) for side in (0, 1)
    )
    return Intervals(np.zeros(len(spans), np.int64), start, end)


def open_time(span: tuple[str, str], opened, up, down) -> ObservedTime:
    whole = of(span)
    line = StoreTimeKey(int(whole.start[0]), int(whole.end[0]), 1)
    return ObservedTime(line, of(*opened), of(*up), of(*down))


@pytest.fixture
def two_days() -> ObservedTime:
    """Open 12 to 22 h UTC, which is 7 to 17 h in New York; first day down 2 h, then not polled."""
    return open_time(
        ("2023-01-24 05:00", "2023-01-25 20:00"),
        [("2023-01-24 12:00", "2023-01-24 22:00"), ("2023-01-25 12:00", "2023-01-25 20:00")],
        [("2023-01-24 12:00", "2023-01-24 15:00"), ("2023-01-25 12:00", "2023-01-25 20:00")],
        [("2023-01-24 15:00", "2023-01-24 17:00")],
    )


def rows(bars: pd.DataFrame) -> list[tuple[str, float, float, str]]:
    columns = ["day", "from_hour", "to_hour", "state"]
    return [tuple(row) for row in bars[columns].itertuples(index=False)]


def test_each_bar_is_at_the_hours_of_its_local_day(two_days: ObservedTime):
    assert rows(timeline(two_days, ZONE)) == [
        ("Tue 24 Jan", 0, 7, "closed"),
        ("Tue 24 Jan", 7, 10, "up"),
        ("Tue 24 Jan", 10, 12, "down"),
        ("Tue 24 Jan", 12, 17, "unobserved"),
        ("Tue 24 Jan", 17, 24, "closed"),
        ("Wed 25 Jan", 0, 7, "closed"),
        ("Wed 25 Jan", 7, 15, "up"),
    ]


def test_a_stretch_over_midnight_is_a_bar_on_each_day():
    night = ("2023-01-24 20:00", "2023-01-25 07:00")
    time = open_time(("2023-01-24 18:00", "2023-01-25 08:00"), [night], [], [night])
    assert rows(timeline(time, "UTC")) == [
        ("Tue 24 Jan", 18, 20, "closed"),
        ("Tue 24 Jan", 20, 24, "down"),
        ("Wed 25 Jan", 0, 7, "down"),
        ("Wed 25 Jan", 7, 8, "closed"),
    ]


def test_store_without_polls_is_unobserved_while_open():
    time = open_time(
        ("2023-01-24 00:00", "2023-01-25 00:00"), [("2023-01-24 06:00", "2023-01-24 09:00")], [], []
    )
    assert rows(timeline(time, "UTC")) == [
        ("Tue 24 Jan", 0, 6, "closed"),
        ("Tue 24 Jan", 6, 9, "unobserved"),
        ("Tue 24 Jan", 9, 24, "closed"),
    ]


def test_two_openings_that_follow_each_other_are_two_bars():
    spans = [("2023-01-24 00:00", "2023-01-24 04:00"), ("2023-01-24 04:00", "2023-01-24 08:00")]
    time = open_time(("2023-01-24 00:00", "2023-01-24 08:00"), spans, [], spans)
    assert rows(timeline(time, "UTC")) == [
        ("Tue 24 Jan", 0, 4, "down"),
        ("Tue 24 Jan", 4, 8, "down"),
    ]


@pytest.mark.parametrize(
    ("start", "end", "hours"),
    [
        ("2024-03-10 05:00", "2024-03-11 04:00", [23]),
        ("2024-11-03 04:00", "2024-11-04 05:00", [25]),
        ("2024-11-03 12:00", "2024-11-05 12:00", [25, 24, 24]),
    ],
)
def test_a_day_on_which_the_clocks_change_has_its_own_length(start, end, hours):
    span = of((start, end))
    days = local_days(int(span.start[0]), int(span.end[0]), ZONE)
    assert days["hours"].tolist() == hours


def test_every_instant_of_a_long_day_has_a_place_of_its_own():
    day = ("2024-11-03 04:00", "2024-11-04 05:00")
    time = open_time(
        day, [day], [("2024-11-03 04:00", "2024-11-03 06:30")], [("2024-11-03 06:30", day[1])]
    )
    assert rows(timeline(time, ZONE)) == [
        ("Sun 3 Nov", 0, 2.5, "up"),
        ("Sun 3 Nov", 2.5, 25, "down"),
    ]


def test_states_are_without_gaps(two_days: ObservedTime):
    states = store_states_over_time(two_days)
    assert states["start"].iloc[0] == two_days.key.start
    assert states["end"].iloc[-1] == two_days.key.end
    assert all(one == other for one, other in pairwise(_edges(states)))


def _edges(states: pd.DataFrame) -> list[int]:
    ends, starts = states["end"].tolist()[:-1], states["start"].tolist()[1:]
    return [edge for pair in zip(ends, starts, strict=True) for edge in pair][:2]


def test_the_chart_draws_the_bars_at_their_hours(two_days: ObservedTime):
    bars = timeline(two_days, ZONE)
    svg = Markup(store_timeline(bars, ZONE))
    rectangles = re.findall(r'<path d="M([\d.]+),[\d.]+h([\d.]+)v[^"]*" fill="var\(--(\w+)\)"', svg)
    an_hour = max(float(left) + float(width) for left, width, _ in rectangles) / 24
    rendered = sorted(
        (round(float(x) / an_hour, 2), round(float(w) / an_hour, 2), s) for x, w, s in rectangles
    )
    assert rendered == sorted(
        (row.from_hour, row.to_hour - row.from_hour, row.state) for row in bars.itertuples()
    )
    assert "up for 11 h, down for 2 h, unobserved for 5 h" in svg
    assert "<title>down: Tue 24 Jan 10:00 to Tue 24 Jan 12:00, 2 h</title>" in svg
