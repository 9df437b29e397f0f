"""Hypothesis strategies for random cases of the report, biased towards edge cases.

They draw the inputs of `reference_report`. Cases favour what the rules define: clock changes
(including at midnight), openings that overlap, touch or run past midnight, special hours, calendar
windows at their first and last midnights, polls exactly on an edge, corrections, stores without
hours, polls or a time zone.

Draws are few and coarse (a row of hours for several weekdays, a series of polls at a constant interval),
so that a case is quick to generate and shrinks to a few polls and rows. The tests define the
expected properties.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from itertools import product
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from storemon_pipeline_tests.uptime.reference import (
    CALENDAR_WINDOWS,
    DAY,
    HOUR,
    MICROSECOND,
    HoursRow,
    Poll,
    ReferenceRules,
    SpecialRow,
    WallTimes,
    Window,
    bounds,
    calendar_day,
    first_instant,
    instant_of_wall_time,
    wall_clock,
    zone_of,
)


@dataclass(frozen=True)
class Case:
    """Inputs of `reference_report`."""

    polls: list[Poll]
    hours: list[HoursRow]
    special: list[SpecialRow]
    zones: dict[str, str]
    as_of: datetime
    windows: dict[str, Window]
    rules: ReferenceRules


# As text, 10 sorts before 9, and the longest exceeds 2^53, so ids treated as numbers fail.
STORE_IDS = ("9", "10", "9222367000000000001", "b1f6e0c4-7d0a-4d52-8c1e-3a9b2f7d5e60")

CLOCK_CHANGES = tuple(
    (zone, datetime.fromisoformat(instant))
    for zone, instant in (
        ("America/New_York", "2024-03-10T07:00:00Z"),
        ("America/New_York", "2024-11-03T06:00:00Z"),
        ("America/New_York", "2034-11-05T06:00:00Z"),
        ("Asia/Beirut", "2023-03-25T22:00:00Z"),  # 00:00 -> 01:00
        ("Asia/Beirut", "2022-10-29T21:00:00Z"),  # 00:00 -> 23:00 the day before
        ("America/Sao_Paulo", "2018-02-18T02:00:00Z"),  # 00:00 -> 23:00 the day before
        ("America/Sao_Paulo", "2018-11-04T03:00:00Z"),  # 00:00 -> 01:00
        ("America/Havana", "2019-03-10T05:00:00Z"),  # 00:00 -> 01:00
        ("America/Havana", "2019-11-03T05:00:00Z"),  # 01:00 -> 00:00, midnight twice
        ("Africa/Cairo", "2014-06-26T21:00:00Z"),  # back for Ramadan, forward in July
        ("Africa/Cairo", "2023-04-27T22:00:00Z"),  # 00:00 -> 01:00
        ("America/Asuncion", "2023-10-01T04:00:00Z"),  # 00:00 -> 01:00
        ("America/Asuncion", "2024-03-24T03:00:00Z"),  # 00:00 -> 23:00 the day before
        ("Pacific/Apia", "2011-12-30T10:00:00Z"),  # a whole Friday is skipped
        ("Pacific/Apia", "2011-09-24T14:00:00Z"),
        ("Australia/Lord_Howe", "2024-04-06T15:00:00Z"),  # half an hour back
        ("Australia/Lord_Howe", "2024-10-05T15:30:00Z"),  # half an hour forward
        ("Asia/Kathmandu", "2024-01-01T00:00:00Z"),  # no change, but 5:45 ahead of UTC
        ("America/St_Johns", "2010-11-07T02:31:00Z"),  # 00:01 -> 23:01 the day before
        ("America/St_Johns", "2011-03-13T03:31:00Z"),  # 00:01 -> 01:01
        ("America/St_Johns", "2024-11-03T04:30:00Z"),
        ("Europe/Dublin", "2024-03-31T01:00:00Z"),  # its summer time is the standard time
        ("Europe/Dublin", "2024-10-27T01:00:00Z"),
        ("Africa/Casablanca", "2024-03-10T02:00:00Z"),  # back for Ramadan, forward in April
        ("Africa/Casablanca", "2030-01-27T02:00:00Z"),
        ("America/Chicago", "2024-03-10T08:00:00Z"),  # also that of stores without a time zone
    )
)
ZONES = tuple(dict.fromkeys(zone for zone, _ in CLOCK_CHANGES))
UNKNOWN_ZONES = ("America/Gotham", "Not a zone")

FIRST_AS_OF = datetime(2010, 1, 1, tzinfo=UTC)
LAST_AS_OF = datetime(2035, 12, 31, tzinfo=UTC)
ROLLING_WINDOWS = {"hour": HOUR, "day": DAY, "week": 7 * DAY, "month": 30 * DAY}

SECOND_OF_CLOCK = 1_000_000
NOTABLE_TIMES = tuple(
    (3600 * hour + 60 * minute + second) * SECOND_OF_CLOCK
    for hour, minute, second in (
        (10, 0, 0),
        (0, 0, 0),
        (0, 30, 0),
        (1, 30, 0),
        (2, 0, 0),
        (2, 15, 0),
        (9, 0, 0),
        (18, 0, 0),
        (22, 30, 0),
        (23, 30, 0),
        (23, 58, 59),
        (23, 59, 0),
        (23, 59, 59),
    )
)
MIDNIGHT_END = 24 * 3600 * SECOND_OF_CLOCK

# Intervals between polls of a series; with the odd ones, midpoints are not whole seconds.
STEPS = (
    timedelta(minutes=1),
    timedelta(seconds=1, microseconds=1),
    timedelta(minutes=7, microseconds=333_333),
    timedelta(minutes=30),
)

ALL_RULES = tuple(
    ReferenceRules(*choice)
    for choice in product(
        ("previous", "nearest"), ("ignore", "use"), ("open", "closed"), ("midnight", "literal")
    )
)
CARRIES = tuple(
    Fraction(text) for text in ("6", "36", "3", "1", "1/2", "1/4", "720", "9/2", "1/512")
)  # exact as floats and as whole microseconds


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw a case of one to four stores around one reference instant."""
    changing_zone, change = draw(st.sampled_from(CLOCK_CHANGES))
    as_of = draw(reference_instants(changing_zone, change))
    rules = draw(report_rules())
    windows = draw(windows_before(as_of))
    polls: list[Poll] = []
    hours: list[HoursRow] = []
    special: list[SpecialRow] = []
    zones: dict[str, str] = {}
    for store_id in STORE_IDS[: draw(st.integers(1, len(STORE_IDS)))]:
        name = draw(zone_names(changing_zone))
        if name is not None:
            zones[store_id] = name
        zone = zone_of(store_id, zones)
        times = NOTABLE_TIMES + times_of_change(changing_zone, change)
        weekly = draw(weekly_hours(times))
        edges = [edge for window in windows.values() for edge in bounds(window, as_of, zone)]
        notable_days = [calendar_day(instant, zone) for instant in (as_of, change, *edges)]
        dates = draw(special_hours(times, notable_days))
        edges += [as_of, *draw(opening_edges(weekly, dates, zone, as_of))]
        hours += [(store_id, *row) for row in weekly]
        special += [(store_id, *row) for row in dates]
        polls += [(store_id, *poll) for poll in draw(store_polls(as_of, edges, rules))]
    if draw(st.booleans()):
        # Files are unordered; the order of two polls at one instant decides which one wins.
        polls.reverse()
        special.reverse()
    return Case(polls, hours, special, zones, as_of, windows, rules)


@st.composite
def reference_instants(draw: st.DrawFn, zone: str, change: datetime) -> datetime:
    """Draw an as_of near a clock change, at a start of a day near it, or within 25 years."""
    nearness = draw(st.sampled_from((DAY, 2 * HOUR, 8 * DAY, 62 * DAY, None)))
    if nearness is None:
        as_of = FIRST_AS_OF + draw(lengths(LAST_AS_OF - FIRST_AS_OF))
    else:
        as_of = change - HOUR + draw(lengths(nearness))
    beginning = draw(st.sampled_from((None, None, None, "day", "week", "month")))
    if beginning is None:
        return as_of
    day = calendar_day(as_of, ZoneInfo(zone))
    if beginning == "week":
        day -= day.weekday() * DAY
    elif beginning == "month":
        day = day.replace(day=1)
    # On the day itself, on the last one before, and at the midnight between them.
    off = draw(st.sampled_from((*[timedelta()] * 3, MICROSECOND, -MICROSECOND, HOUR, -HOUR, None)))
    if off is None:
        off = draw(lengths(2 * DAY)) - DAY
    return first_instant(day, ZoneInfo(zone)) + off


def times_of_change(zone: str, change: datetime) -> tuple[int, ...]:
    """Times of the wall clock that a change skips or repeats: its two edges and half way."""
    before, after = (
        wall_clock(instant, zone_of(zone, {zone: zone})) for instant in (change - HOUR, change)
    )
    before += HOUR
    return tuple(
        (wall - datetime.combine(wall, time())) // MICROSECOND
        for wall in (before, before + (after - before) / 2, after)
    )


def lengths(longest: timedelta) -> st.SearchStrategy[timedelta]:
    """Zero to `longest`: whole hours (where edges meet), or any microsecond."""
    return st.one_of(
        st.integers(0, longest // HOUR).map(lambda number: number * HOUR),
        st.integers(0, longest // MICROSECOND).map(lambda number: number * MICROSECOND),
    )


@st.composite
def report_rules(draw: st.DrawFn) -> ReferenceRules:
    """Every combination of the rules."""
    rules = draw(st.sampled_from(ALL_RULES))
    carry = draw(st.none() | st.sampled_from(CARRIES))
    before = draw(st.sampled_from(("backfill", "unobserved")))
    return ReferenceRules(
        rules.interpolation, rules.closed_polls, rules.missing_day, rules.day_end, carry, before
    )


@st.composite
def windows_before(draw: st.DrawFn, as_of: datetime) -> dict[str, Window]:
    """Draw one to five windows before as_of: real-time, calendar, or both."""
    of_real_time = (*ROLLING_WINDOWS, "range")
    kinds = st.sampled_from((of_real_time, CALENDAR_WINDOWS, of_real_time + CALENDAR_WINDOWS))
    names = draw(st.lists(st.sampled_from(draw(kinds)), min_size=1, max_size=5, unique=True))
    windows: dict[str, Window] = {}
    for name in names:
        if name in CALENDAR_WINDOWS:
            windows[name] = name
        elif name == "range":
            windows[name] = (as_of - MICROSECOND - draw(lengths(40 * DAY)), as_of)
        else:
            windows[name] = (as_of - ROLLING_WINDOWS[name], as_of)
    return windows


def zone_names(changing_zone: str) -> st.SearchStrategy[str | None]:
    """Draw mostly the zone with the clock change; else any, an unknown zone, or none."""
    return st.sampled_from((changing_zone,) * 20 + ZONES + UNKNOWN_ZONES + (None, None))


@st.composite
def openings(draw: st.DrawFn, times: tuple[int, ...], number: int) -> list[WallTimes]:
    """Draw the openings of one day, as written in a file."""
    times_of_day: list[WallTimes] = []
    any_time = st.sampled_from(times) | st.integers(0, 86_399).map(
        lambda second: second * SECOND_OF_CLOCK
    )
    previous_end = 0
    for _ in range(number):
        shape = draw(st.sampled_from(("plain",) * 3 + ("touches the last", "equal", "to midnight")))
        start = draw(any_time) if shape != "touches the last" else previous_end
        end = start if shape == "equal" else draw(any_time)
        if shape == "to midnight":
            end = MIDNIGHT_END
        times_of_day.append((start, end))
        previous_end = end % MIDNIGHT_END
    return times_of_day


@st.composite
def weekly_hours(draw: st.DrawFn, times: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """Draw the rows of one store: none, or up to four openings, each on some of the weekdays."""
    rows: list[tuple[int, int, int]] = []
    # Mostly few and plain: a store that is always open has no openings to test.
    for opening in draw(openings(times, draw(st.sampled_from((0, 1, 1, 1, 2, 2, 3, 4))))):
        # A bit for each weekday without this row: one draw, and it shrinks to every day.
        left_out = draw(st.integers(0, 126))
        rows += [(day, *opening) for day in range(7) if not left_out >> day & 1]
    return rows


@st.composite
def special_hours(
    draw: st.DrawFn, times: tuple[int, ...], notable_days: list[date]
) -> list[tuple[date, WallTimes | None]]:
    """Draw the rows of one store: mostly none, or some dates in a row, closed or with openings."""
    rows: list[tuple[date, WallTimes | None]] = []
    for _ in range(draw(st.sampled_from((0, 0, 1, 1, 2, 3)))):
        day = draw(st.sampled_from(notable_days))
        # On and around the day of a window's edge; within the windows; far away.
        distance = draw(st.sampled_from((1, 1, 35, 4500)))
        day += draw(st.integers(-distance, 1 if distance == 35 else distance)) * DAY
        of_one_day: list[WallTimes | None] = []
        of_one_day += draw(openings(times, draw(st.sampled_from((0, 1, 1, 2, 3)))))
        # A date with a closed row and openings has the openings.
        if not of_one_day or draw(st.integers(0, 9)) == 9:
            of_one_day.append(None)
        length = draw(st.sampled_from((1, 1, 2, 4)))
        rows += [(day + number * DAY, times) for number in range(length) for times in of_one_day]
    return rows


@st.composite
def opening_edges(
    draw: st.DrawFn,
    weekly: list[tuple[int, int, int]],
    special: list[tuple[date, WallTimes | None]],
    zone: ZoneInfo,
    as_of: datetime,
) -> list[datetime]:
    """Draw instants at which a store opens or closes, or would without special hours.

    Weekly hours give those of a date up to five weeks before as_of, special hours those of their
    date, however far away, including its start and end.
    """
    walls: list[tuple[date, int]] = []
    today = as_of.astimezone(zone).date()
    if weekly:
        for _ in range(draw(st.integers(1, 4))):
            _, start, end = draw(st.sampled_from(weekly))
            day = today - draw(st.integers(-1, 35)) * DAY
            walls.append((day, draw(st.sampled_from((start, end)))))
    if special:
        for _ in range(draw(st.integers(1, 3))):
            day, times = draw(st.sampled_from(special))
            walls.append((day, draw(st.sampled_from((*(times or ()), 0, MIDNIGHT_END)))))
    return [
        instant_of_wall_time(datetime.combine(day, time()) + wall * MICROSECOND, zone)
        for day, wall in walls
    ]


@st.composite
def store_polls(
    draw: st.DrawFn, as_of: datetime, edges: list[datetime], rules: ReferenceRules
) -> list[tuple[datetime, str]]:
    """Draw the polls of one store in file order, which is not chronological."""
    when = draw(st.sampled_from(("around",) * 8 + ("long ago", "later")))
    if when == "long ago":
        origin = as_of - timedelta(days=draw(st.integers(365, 4500)))
    elif when == "later":
        origin = as_of + 60 * DAY
    else:
        origin = as_of
    instants: list[datetime] = []
    for _ in range(draw(st.integers(1, 3))):
        # Steps from minutes to weeks: dense polls and sparse ones, over closed hours and days.
        first = origin - draw(lengths(60 * DAY))
        step = draw(st.integers(1, 24 * 60)) * draw(st.sampled_from(STEPS))
        instants += [first + number * step for number in range(draw(st.integers(1, 16)))]
    if when == "around":
        for _ in range(draw(st.integers(0, 6))):
            instants.append(draw(st.sampled_from(edges)) + draw(st.sampled_from(nudges(rules))))
    elif when == "later":
        instants = [max(instant, as_of + MICROSECOND) for instant in instants]
    # A bit for each poll, all active at the simplest.
    statuses = draw(st.integers(0, 2 ** len(instants) - 1))
    polls = [
        (instant, "inactive" if statuses >> number & 1 else "active")
        for number, instant in enumerate(instants)
    ]
    for _ in range(draw(st.integers(0, 2))):
        instant, status = draw(st.sampled_from(polls))
        polls.append((instant, "active" if status == "inactive" else "inactive"))
    return polls


def nudges(rules: ReferenceRules) -> list[timedelta]:
    """Return zero, one microsecond either way, and the reach of a poll."""
    near = [timedelta(), timedelta(), MICROSECOND, -MICROSECOND]
    if rules.reach is not None:
        near += [rules.reach, -rules.reach]
    return near
