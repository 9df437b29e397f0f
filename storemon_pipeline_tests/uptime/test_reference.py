"""The reference compared with the golden cases, known local calendars, and itself.

These tests establish that `reference.py` can be trusted. They read the golden files with a separate
CSV reader, so that a mistake in the package's ingestion cannot hide in the comparison.
`test_against_reference.py` compares the package with the reference.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml  # type: ignore[import-untyped, unused-ignore]
from hypothesis import given, settings

from storemon_pipeline_tests.uptime.reference import (
    CALENDAR_WINDOWS,
    DAY,
    HOUR,
    MICROSECOND,
    HoursRow,
    Interval,
    OpeningHours,
    Poll,
    ReferenceRules,
    ReferenceStore,
    SpecialRow,
    StoreFigures,
    bounds,
    instant_of_wall_time,
    reference_report,
    time_by_hour,
    zone_of,
)
from storemon_pipeline_tests.uptime.strategies import Case, cases

GOLDEN = Path(__file__).parents[1] / "golden"
GOLDEN_CASES = sorted(folder.name for folder in GOLDEN.iterdir() if folder.is_dir())
WITH_HOURS_OF_THE_WEEK = [
    name for name in GOLDEN_CASES if (GOLDEN / name / "expected_by_hour.csv").exists()
]
ROLLING_WINDOWS = {"hour": HOUR, "day": DAY, "week": 7 * DAY, "month": 30 * DAY}

# A figure rounded to two decimals is at most half a hundredth away from the exact one.
ROUNDING = Fraction(1, 200)


# Reading a golden case: the section Inputs of the rules

STORE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
TIMESTAMP = re.compile(
    r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?(?: ?UTC|(Z)|([+-]\d\d:\d\d))?"
)
WALL_TIME = re.compile(r"(\d\d):([0-5]\d):([0-5]\d)")
WEEKDAY_COLUMNS = ("dayOfWeek", "day", "day_of_week")


def read_rows(path: Path) -> Iterator[dict[str, str]]:
    """Yield rows by column name; missing fields of a short row are empty."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from csv.DictReader(file, restval="")


def parse_timestamp(text: str) -> datetime:
    """Parse an instant in UTC, to the microsecond; raise ValueError for anything else."""
    match = TIMESTAMP.fullmatch(text)
    if match is None:
        raise ValueError(text)
    day, clock, fraction, _, offset = match.groups()
    written = f"{day}T{clock}.{(fraction or '').ljust(6, '0')}{offset or '+00:00'}"
    return datetime.fromisoformat(written).astimezone(UTC)


def parse_wall_time(text: str, latest: int) -> int:
    """Return microseconds since 00:00, at most `latest`; raise ValueError for others."""
    match = WALL_TIME.fullmatch(text)
    if match is None:
        raise ValueError(text)
    hour, minute, second = (int(part) for part in match.groups())
    microseconds = (3600 * hour + 60 * minute + second) * 1_000_000
    if microseconds > latest:
        raise ValueError(text)
    return microseconds


def check_store_id(text: str) -> str:
    """Return a valid id unchanged; raise ValueError for an invalid one."""
    if not STORE_ID.fullmatch(text):
        raise ValueError(text)
    return text


def read_polls(path: Path) -> list[Poll]:
    """Return the valid polls in file order; invalid rows affect nothing else."""
    polls: list[Poll] = []
    for row in read_rows(path):
        try:
            store_id = check_store_id(row["store_id"])
            instant = parse_timestamp(row["timestamp_utc"])
        except ValueError:
            continue
        status = row["status"].strip().lower()
        if status in ("active", "inactive"):
            polls.append((store_id, instant, status))
    return polls


def read_hours(path: Path) -> list[HoursRow]:
    """Return the valid rows of opening hours; 24:00:00 is accepted as an end only."""
    hours: list[HoursRow] = []
    day_length = DAY // MICROSECOND
    for row in read_rows(path):
        weekday = next(row[column] for column in WEEKDAY_COLUMNS if column in row)
        try:
            store_id = check_store_id(row["store_id"])
            start = parse_wall_time(row["start_time_local"], day_length - 1)
            end = parse_wall_time(row["end_time_local"], day_length)
        except ValueError:
            continue
        if weekday in "0123456" and len(weekday) == 1:
            hours.append((store_id, int(weekday), start, end))
    return hours


def read_special_hours(path: Path) -> list[SpecialRow]:
    """Return the valid rows of special hours, if any; both times empty means closed."""
    special: list[SpecialRow] = []
    for row in read_rows(path) if path.exists() else ():
        try:
            store_id = check_store_id(row["store_id"])
            day = date.fromisoformat(row["date"])
            if row["start_time_local"] == row["end_time_local"] == "":
                special.append((store_id, day, None))
                continue
            start = parse_wall_time(row["start_time_local"], DAY // MICROSECOND - 1)
            end = parse_wall_time(row["end_time_local"], DAY // MICROSECOND)
        except ValueError:
            continue
        special.append((store_id, day, (start, end)))
    return special


def read_zones(path: Path) -> dict[str, str]:
    """Return the time zones as written; the rules decide whether one exists."""
    return {row["store_id"]: row["timezone_str"] for row in read_rows(path)}


def read_golden(name: str) -> Case:
    """Read the inputs and the request of a golden case."""
    folder = GOLDEN / name
    request: dict[str, Any] = yaml.safe_load((folder / "request.yaml").read_text("utf-8"))
    polls = read_polls(folder / "store_status.csv")
    if "as_of" in request:
        as_of = parse_timestamp(request["as_of"])
    else:
        as_of = max(instant for _, instant, _ in polls)  # `latest`; all of it is in the past
    choices = dict(request.get("rules", {}))
    if "max_carry_hours" in choices:
        choices["max_carry_hours"] = Fraction(choices["max_carry_hours"])
    return Case(
        polls=polls,
        hours=read_hours(folder / "menu_hours.csv"),
        special=read_special_hours(folder / "special_hours.csv"),
        zones=read_zones(folder / "timezones.csv"),
        as_of=as_of,
        windows={
            window: (as_of - ROLLING_WINDOWS[window], as_of)
            if window in ROLLING_WINDOWS
            else window
            for window in request["windows"]
        },
        rules=ReferenceRules(**choices),
    )


def report_on(case: Case) -> dict[str, ReferenceStore]:
    """Compute the reference report of a case."""
    return reference_report(
        case.polls,
        case.hours,
        case.zones,
        special=case.special,
        as_of=case.as_of,
        windows=case.windows,
        rules=case.rules,
    )


def is_rounded(written: str, microseconds: int, unit: timedelta) -> bool:
    """Return whether an expected figure equals a length in a unit, to two decimals."""
    exact = Fraction(microseconds, unit // MICROSECOND)
    return abs(Fraction(Decimal(written)) - exact) <= ROUNDING


# Worked cases


@pytest.mark.parametrize("name", GOLDEN_CASES)
def test_metrics_equal_the_golden_case(name: str) -> None:
    case = read_golden(name)
    report = report_on(case)
    expected = list(read_rows(GOLDEN / name / "expected.csv"))

    assert [row["store_id"] for row in expected] == list(report)
    for row in expected:
        columns = {"store_id"}
        for window, figures in report[row["store_id"]].figures.items():
            unit = timedelta(minutes=1) if window == "hour" else HOUR
            for figure in ("uptime", "downtime", "unobserved"):
                column = (
                    f"{figure}_last_{window}" if window in ROLLING_WINDOWS else f"{figure}_{window}"
                )
                columns.add(column)
                assert is_rounded(row[column], getattr(figures, figure), unit), (row, column)
        assert columns == set(row), "a column that nothing was held against"


@pytest.mark.parametrize("name", GOLDEN_CASES)
def test_events_equal_the_golden_case(name: str) -> None:
    case = read_golden(name)
    report = report_on(case)
    expected = list(read_rows(GOLDEN / name / "expected_events.csv"))
    events = [(store_id, *event) for store_id, store in report.items() for event in store.events]

    assert len(expected) == len(events)
    for row, (store_id, start, end, ongoing) in zip(expected, events, strict=True):
        zone = zone_of(store_id, case.zones)
        assert row["store_id"] == store_id
        assert datetime.fromisoformat(row["start_utc"]) == start
        assert datetime.fromisoformat(row["end_utc"]) == end
        assert row["start_local"] == start.astimezone(zone).isoformat()
        assert row["end_local"] == end.astimezone(zone).isoformat()
        assert is_rounded(row["minutes"], (end - start) // MICROSECOND, timedelta(minutes=1))
        assert row["ongoing"] == ("true" if ongoing else "false")


@pytest.mark.parametrize("name", WITH_HOURS_OF_THE_WEEK)
def test_downtime_by_hour_equals_the_golden_case(name: str) -> None:
    report = report_on(read_golden(name))
    expected = list(read_rows(GOLDEN / name / "expected_by_hour.csv"))
    hours = [
        (store_id, *hour, *lengths)
        for store_id, store in report.items()
        for hour, lengths in store.by_hour.items()
    ]

    assert len(expected) == len(hours)
    for row, (store_id, weekday, hour, open_time, downtime) in zip(expected, hours, strict=True):
        assert row["store_id"] == store_id
        assert (int(row["day_of_week"]), int(row["hour"])) == (weekday, hour)
        assert is_rounded(row["open_minutes"], open_time, timedelta(minutes=1))
        assert is_rounded(row["downtime_minutes"], downtime, timedelta(minutes=1))
        assert is_rounded(row["downtime_pct"], 100 * downtime, open_time * MICROSECOND)


def test_all_golden_cases_are_present() -> None:
    assert len(GOLDEN_CASES) == 22
    assert len(WITH_HOURS_OF_THE_WEEK) == 3


# Clock changes, compared with local calendars


@pytest.mark.parametrize(
    ("zone", "wall", "instant"),
    [
        # New York skips 02:00-03:00 in spring and repeats 01:00-02:00 in autumn.
        ("America/New_York", "2024-03-10T01:59:59", "2024-03-10T06:59:59Z"),
        ("America/New_York", "2024-03-10T02:00:00", "2024-03-10T07:00:00Z"),
        ("America/New_York", "2024-03-10T02:59:59", "2024-03-10T07:00:00Z"),
        ("America/New_York", "2024-03-10T03:00:00", "2024-03-10T07:00:00Z"),
        ("America/New_York", "2024-11-03T00:59:59", "2024-11-03T04:59:59Z"),
        ("America/New_York", "2024-11-03T01:00:00", "2024-11-03T05:00:00Z"),
        ("America/New_York", "2024-11-03T01:59:59", "2024-11-03T05:59:59Z"),
        ("America/New_York", "2024-11-03T02:00:00", "2024-11-03T07:00:00Z"),
        # Sao Paulo's Saturday has 23:00-24:00 twice, so its Sunday begins once, after both.
        ("America/Sao_Paulo", "2018-02-17T23:30:00", "2018-02-18T01:30:00Z"),
        ("America/Sao_Paulo", "2018-02-18T00:00:00", "2018-02-18T03:00:00Z"),
        # Havana has midnight twice; St John's too, and is back on Saturday in between.
        ("America/Havana", "2019-11-03T00:00:00", "2019-11-03T04:00:00Z"),
        ("America/St_Johns", "2010-11-07T00:00:00", "2010-11-07T02:30:00Z"),
        ("America/St_Johns", "2010-11-06T23:30:00", "2010-11-07T02:00:00Z"),
        # Beirut's Sunday begins at 01:00.
        ("Asia/Beirut", "2023-03-26T00:00:00", "2023-03-25T22:00:00Z"),
        # Lord Howe changes by half an hour.
        ("Australia/Lord_Howe", "2024-10-06T02:10:00", "2024-10-05T15:30:00Z"),
        ("Australia/Lord_Howe", "2024-04-07T01:30:00", "2024-04-06T14:30:00Z"),
        # Dublin's summer time is its standard time: the fold must not be read the other way round.
        ("Europe/Dublin", "2024-10-27T01:30:00", "2024-10-27T00:30:00Z"),
        ("Africa/Casablanca", "2024-03-10T02:30:00", "2024-03-10T01:30:00Z"),
        # Apia went from Thursday to Saturday.
        ("Pacific/Apia", "2011-12-30T00:00:00", "2011-12-30T10:00:00Z"),
        ("Pacific/Apia", "2011-12-30T17:00:00", "2011-12-30T10:00:00Z"),
        ("Pacific/Apia", "2011-12-31T00:00:00", "2011-12-30T10:00:00Z"),
    ],
)
def test_local_time_at_clock_change_maps_to_earliest_instant(
    zone: str, wall: str, instant: str
) -> None:
    found = instant_of_wall_time(datetime.fromisoformat(wall), ZoneInfo(zone))
    assert found == datetime.fromisoformat(instant)


def opening_hours(
    zone: str,
    *rows: tuple[int, str, str],
    special: Sequence[tuple[str, str, str]] = (),
    **rules: str,
) -> OpeningHours:
    """Return the opening hours of one store from dates and times as text."""
    day_length = DAY // MICROSECOND

    def wall_times(start: str, end: str) -> tuple[int, int]:
        return parse_wall_time(start, day_length), parse_wall_time(end, day_length)

    return OpeningHours(
        [(weekday, *wall_times(start, end)) for weekday, start, end in rows],
        [
            (date.fromisoformat(day), wall_times(start, end) if start else None)
            for day, start, end in special
        ],
        ZoneInfo(zone),
        ReferenceRules(**rules),  # type: ignore[arg-type]
    )


def interval(start: str, end: str) -> Interval:
    return datetime.fromisoformat(start), datetime.fromisoformat(end)


def day_of(day: str, zone: str) -> Interval:
    """Return the interval from a local date's first instant to that of the next date."""
    midnight = datetime.combine(date.fromisoformat(day), datetime.min.time())
    start, end = (instant_of_wall_time(midnight + days * DAY, ZoneInfo(zone)) for days in (0, 1))
    return start, end


@pytest.mark.parametrize(
    ("day", "zone", "hours"),
    [
        ("2024-03-10", "America/New_York", 23),
        ("2024-11-03", "America/New_York", 25),
        ("2023-03-26", "Asia/Beirut", 23),
        ("2022-10-29", "Asia/Beirut", 25),
        ("2019-11-03", "America/Havana", 25),
        ("2010-11-06", "America/St_Johns", 24),  # its Sunday begins, goes back, and begins again
        ("2010-11-07", "America/St_Johns", 25),
        ("2011-12-30", "Pacific/Apia", 0),
        ("2024-04-07", "Australia/Lord_Howe", 24.5),
    ],
)
def test_missing_day_is_open_until_the_next_day_begins(day: str, zone: str, hours: float) -> None:
    start, end = day_of(day, zone)
    assert (end - start) / HOUR == hours
    missing = date.fromisoformat(day).weekday()
    rows = [(weekday, "10:00:00", "11:00:00") for weekday in range(7) if weekday != missing]
    store = opening_hours(zone, *rows)
    assert store.between(start, end) == ([(start, end)] if hours else [])
    assert store.is_open(start) == (hours > 0)
    assert not store.is_open(start - MICROSECOND)
    assert not store.is_open(end)
    assert not opening_hours(zone, *rows, missing_day="closed").is_open(start)


@pytest.mark.parametrize(
    ("start", "end", "day_end", "opened", "closed"),
    [
        ("10:00:00", "18:00:00", "midnight", "03T10:00:00", "03T18:00:00"),
        ("18:00:00", "02:00:00", "midnight", "03T18:00:00", "04T02:00:00"),
        ("10:00:00", "10:00:00", "midnight", "03T10:00:00", "04T10:00:00"),
        ("00:00:00", "00:00:00", "literal", "03T00:00:00", "04T00:00:00"),
        ("18:00:00", "24:00:00", "literal", "03T18:00:00", "04T00:00:00"),
        ("18:00:00", "23:58:59", "midnight", "03T18:00:00", "03T23:58:59"),
        ("18:00:00", "23:59:00", "midnight", "03T18:00:00", "04T00:00:00"),
        ("18:00:00", "23:59:00", "literal", "03T18:00:00", "03T23:59:00"),
        ("23:59:00", "23:59:00", "midnight", "03T23:59:00", "04T00:00:00"),
        ("23:59:00", "23:59:00", "literal", "03T23:59:00", "04T23:59:00"),
    ],
)
def test_opening_end_follows_day_end(
    start: str, end: str, day_end: str, opened: str, closed: str
) -> None:
    monday = (0, start, end)  # 2022-01-03
    store = opening_hours("UTC", monday, missing_day="closed", day_end=day_end)
    around = interval("2022-01-02T00:00:00Z", "2022-01-06T00:00:00Z")
    expected = interval(f"2022-01-{opened}Z", f"2022-01-{closed}Z")
    assert store.between(*around) == [expected]
    assert store.is_open(expected[0])
    assert not store.is_open(expected[0] - MICROSECOND)
    assert store.is_open(expected[1] - MICROSECOND)
    assert not store.is_open(expected[1])


def test_openings_touching_at_midnight_are_merged() -> None:
    store = opening_hours(
        "UTC", (0, "18:00:00", "23:59:00"), (1, "00:00:00", "02:00:00"), missing_day="closed"
    )
    assert store.between(*interval("2022-01-03T00:00:00Z", "2022-01-05T00:00:00Z")) == [
        interval("2022-01-03T18:00:00Z", "2022-01-04T02:00:00Z")
    ]


def test_opening_into_a_skipped_day_ends_with_its_own_day() -> None:
    store = opening_hours("Pacific/Apia", (3, "22:00:00", "02:00:00"), missing_day="closed")
    assert store.between(*interval("2011-12-29T00:00:00Z", "2012-01-02T00:00:00Z")) == [
        interval("2011-12-30T08:00:00Z", "2011-12-30T10:00:00Z")
    ]


@pytest.mark.parametrize(
    ("zone", "as_of", "window", "start", "end"),
    [
        # Wednesday the 20th begins at a different instant in each zone.
        ("America/Los_Angeles", "20T05:30", "today", "19T07:00", "20T05:30"),
        ("Australia/Sydney", "20T05:30", "today", "19T13:00", "20T05:30"),
        ("UTC", "20T05:30", "yesterday", "19T00:00", "20T00:00"),
        ("UTC", "20T05:30", "last_calendar_week", "11T00:00", "18T00:00"),
        ("UTC", "20T05:30", "this_calendar_month", "01T00:00", "20T05:30"),
        # Clocks go forward on the 10th: that day has 23 hours, its week 167.
        ("America/New_York", "11T04:00", "yesterday", "10T05:00", "11T04:00"),
        ("America/New_York", "11T04:00", "last_calendar_week", "04T05:00", "11T04:00"),
        # At a day's first instant, today is empty and yesterday is complete.
        ("UTC", "11T00:00", "today", "11T00:00", "11T00:00"),
        ("UTC", "11T00:00", "last_calendar_week", "04T00:00", "11T00:00"),
        ("UTC", "10T23:59:59.999999", "yesterday", "09T00:00", "10T00:00"),
        ("UTC", "10T23:59:59.999999", "last_calendar_week", "2024-02-26T00:00", "04T00:00"),
        ("UTC", "01T00:00", "this_calendar_month", "01T00:00", "01T00:00"),
        ("UTC", "01T00:00", "last_calendar_month", "2024-02-01T00:00", "01T00:00"),
        ("UTC", "2024-02-29T23:59", "last_calendar_month", "2024-01-01T00:00", "2024-02-01T00:00"),
        ("UTC", "2024-01-01T12:00", "last_calendar_month", "2023-12-01T00:00", "2024-01-01T00:00"),
        # Beirut's Sunday begins at 01:00; Havana's at the first of two midnights.
        ("Asia/Beirut", "2023-03-26T00:00", "today", "2023-03-25T22:00", "2023-03-26T00:00"),
        ("Asia/Beirut", "2023-03-26T22:00", "yesterday", "2023-03-25T22:00", "2023-03-26T21:00"),
        ("America/Havana", "2019-11-03T04:30", "today", "2019-11-03T04:00", "2019-11-03T04:30"),
        ("America/Havana", "2019-11-03T05:30", "today", "2019-11-03T04:00", "2019-11-03T05:30"),
        # Beirut's Saturday has 23:00-24:00 twice and includes both.
        ("Asia/Beirut", "2022-10-29T21:30", "today", "2022-10-28T21:00", "2022-10-29T21:30"),
        # St John's Sunday has begun when the clock goes back to Saturday's 23:01.
        ("America/St_Johns", "2010-11-07T02:45", "today", "2010-11-07T02:30", "2010-11-07T02:45"),
        (
            "America/St_Johns",
            "2010-11-07T02:45",
            "yesterday",
            "2010-11-06T02:30",
            "2010-11-07T02:30",
        ),
        # Apia's Saturday follows a Friday that was skipped.
        ("Pacific/Apia", "2011-12-30T10:00", "today", "2011-12-30T10:00", "2011-12-30T10:00"),
        ("Pacific/Apia", "2011-12-30T11:00", "yesterday", "2011-12-30T10:00", "2011-12-30T10:00"),
        ("Pacific/Apia", "2011-12-31T11:00", "yesterday", "2011-12-30T10:00", "2011-12-31T10:00"),
        ("Pacific/Apia", "2011-12-30T09:59", "yesterday", "2011-12-28T10:00", "2011-12-29T10:00"),
        (
            "Pacific/Apia",
            "2012-01-02T10:00",
            "last_calendar_week",
            "2011-12-26T10:00",
            "2012-01-01T10:00",
        ),
    ],
)
def test_calendar_window_uses_the_stores_local_days(
    zone: str, as_of: str, window: str, start: str, end: str
) -> None:
    def utc(written: str) -> datetime:
        return datetime.fromisoformat(f"{'' if '-' in written else '2024-03-'}{written}+00:00")

    assert bounds(window, utc(as_of), ZoneInfo(zone)) == (utc(start), utc(end))


def test_unknown_window_is_rejected() -> None:
    with pytest.raises(ValueError, match="next_calendar_week"):
        bounds("next_calendar_week", datetime(2024, 1, 1, tzinfo=UTC), ZoneInfo("UTC"))
    assert set(CALENDAR_WINDOWS) == set(read_golden("calendar_windows").windows)


@pytest.mark.parametrize(
    ("special", "expected"),
    [
        # Monday to Wednesday 22:00-02:00; Tuesday is 2022-01-04.
        ((), ("03T22/04T02", "04T22/05T02", "05T22/06T02")),
        # Closed: an opening that began on Monday still ends at its own time.
        ((("04", "", ""),), ("03T22/04T02", "05T22/06T02")),
        ((("04", "12:00:00", "14:00:00"),), ("03T22/04T02", "04T12/04T14", "05T22/06T02")),
        # Overlapping Monday's, touching Wednesday's.
        (
            (("04", "01:00:00", "03:00:00"), ("04", "21:00:00", "22:00:00"), ("05", "", "")),
            ("03T22/04T03", "04T21/04T22"),
        ),
        (
            (("04", "20:00:00", "23:59:00"), ("05", "00:00:00", "01:00:00")),
            ("03T22/04T02", "04T20/05T01"),
        ),
        # Equal times: 24 hours; an opening counts also where another row says closed.
        ((("04", "22:00:00", "22:00:00"),), ("03T22/04T02", "04T22/06T02")),
        (
            (("04", "", ""), ("04", "12:00:00", "14:00:00")),
            ("03T22/04T02", "04T12/04T14", "05T22/06T02"),
        ),
        # A date of a weekday without hours, and one far away.
        (
            (("06", "12:00:00", "14:00:00"),),
            ("03T22/04T02", "04T22/05T02", "05T22/06T02", "06T12/06T14"),
        ),
        ((("2031-01-04", "", ""),), ("03T22/04T02", "04T22/05T02", "05T22/06T02")),
    ],
)
def test_special_hours_replace_weekly_hours(
    special: Sequence[tuple[str, str, str]], expected: Sequence[str]
) -> None:
    store = opening_hours(
        "UTC",
        *((weekday, "22:00:00", "02:00:00") for weekday in (0, 1, 2)),
        special=[
            (day if "-" in day else f"2022-01-{day}", start, end) for day, start, end in special
        ],
        missing_day="closed",
    )
    intervals = [
        interval(*(f"2022-01-{edge}:00:00Z" for edge in written.split("/"))) for written in expected
    ]
    assert store.between(*interval("2022-01-03T00:00:00Z", "2022-01-08T00:00:00Z")) == intervals
    for opened, closed in intervals:
        assert [store.is_open(edge) for edge in (opened, closed)] == [True, False]
        assert [store.is_open(edge - MICROSECOND) for edge in (opened, closed)] == [False, True]


@pytest.mark.parametrize("missing_day", ["open", "closed"])
def test_store_with_special_hours_only_is_open_on_other_days(missing_day: str) -> None:
    closed = ("2023-03-26", "", "")  # Beirut's 23-hour day
    store = opening_hours("Asia/Beirut", special=[closed], missing_day=missing_day)
    start, end = day_of("2023-03-26", "Asia/Beirut")
    assert store.between(start - 9 * DAY, end + 9 * DAY) == [
        (start - 9 * DAY, start),
        (end, end + 9 * DAY),
    ]
    assert store.is_open(start - MICROSECOND)
    assert not store.is_open(start)
    assert not store.is_open(end - MICROSECOND)
    assert store.is_open(end)
    assert store.is_open(end - 4000 * DAY)


def test_special_hours_on_a_skipped_day_are_empty() -> None:
    store = opening_hours(
        "Pacific/Apia",
        special=[("2011-12-29", "", ""), ("2011-12-30", "10:00:00", "12:00:00")],
    )
    assert store.between(*interval("2011-12-29T10:00:00Z", "2012-01-02T00:00:00Z")) == [
        interval("2011-12-30T10:00:00Z", "2012-01-02T00:00:00Z")
    ]


@pytest.mark.parametrize(
    ("zone", "start", "end", "expected"),
    [
        # 01:30-02:00 is cut out of the night by half an hour forward: 02 has 30 minutes.
        (
            "Australia/Lord_Howe",
            "2024-10-05T14:30:00Z",
            "2024-10-05T16:30:00Z",
            {(6, 1): 60, (6, 2): 30, (6, 3): 30},
        ),
        # Half an hour back: 01 has 90 minutes.
        (
            "Australia/Lord_Howe",
            "2024-04-06T14:00:00Z",
            "2024-04-06T16:00:00Z",
            {(6, 1): 90, (6, 2): 30},
        ),
        (
            "Asia/Kathmandu",
            "2024-01-01T00:00:00Z",
            "2024-01-01T01:00:00Z",
            {(0, 5): 15, (0, 6): 45},
        ),
        # Thursday's 23 is followed by Saturday's 00.
        ("Pacific/Apia", "2011-12-30T09:30:00Z", "2011-12-30T10:30:00Z", {(3, 23): 30, (5, 0): 30}),
        # One minute of Sunday, then Saturday's 23 again from 23:01, then Sunday.
        (
            "America/St_Johns",
            "2010-11-07T02:00:00Z",
            "2010-11-07T04:30:00Z",
            {(5, 23): 30 + 59, (6, 0): 1 + 60},
        ),
    ],
)
def test_instant_belongs_to_the_local_hour(
    zone: str, start: str, end: str, expected: dict[tuple[int, int], int]
) -> None:
    found = time_by_hour([interval(start, end)], ZoneInfo(zone))
    assert found == {hour: minutes * 60_000_000 for hour, minutes in expected.items()}


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        # Polls at 3 (inactive) and 10 (active) microseconds past 12:00, in a window of 20.
        (ReferenceRules(), (10, 10, 0)),
        (ReferenceRules(interpolation="nearest"), (14, 6, 0)),
        (ReferenceRules(max_carry_hours=Fraction(2, 3_600_000_000)), (4, 4, 12)),
        (ReferenceRules("nearest", max_carry_hours=Fraction(2, 3_600_000_000)), (4, 4, 12)),
        (ReferenceRules(max_carry_hours=Fraction(5, 3_600_000_000)), (7, 8, 5)),
        (ReferenceRules("nearest", max_carry_hours=Fraction(5, 3_600_000_000)), (9, 6, 5)),
    ],
)
def test_status_changes_at_whole_microseconds(
    rules: ReferenceRules, expected: tuple[int, int, int]
) -> None:
    noon = datetime(2022, 1, 3, 12, tzinfo=UTC)
    polls = [("s", noon + 3 * MICROSECOND, "inactive"), ("s", noon + 10 * MICROSECOND, "active")]
    end = noon + 20 * MICROSECOND
    report = reference_report(polls, [], {}, as_of=end, windows={"range": (noon, end)}, rules=rules)
    assert report["s"].figures == {"range": StoreFigures(*expected, open_time=20)}


# Invariants


@settings(max_examples=100, deadline=None)
@given(cases())
def test_metrics_add_up_to_open_time(case: Case) -> None:
    report = report_on(case)
    assert list(report) == sorted({poll[0] for poll in case.polls if poll[1] <= case.as_of})
    for store_id, store in report.items():
        zone = zone_of(store_id, case.zones)
        for name, window in case.windows.items():
            window_start, window_end = bounds(window, case.as_of, zone)
            assert store.span[0] <= window_start <= window_end <= store.span[1] <= case.as_of
            figures = store.figures[name]
            open_time = sum(
                max(0, (min(end, window_end) - max(start, window_start)) // MICROSECOND)
                for start, end in store.open_intervals
            )
            assert figures.open_time == open_time
            assert figures.uptime + figures.downtime + figures.unobserved == open_time
            assert min(figures.uptime, figures.downtime, figures.unobserved) >= 0


@settings(max_examples=100, deadline=None)
@given(cases())
def test_events_add_up_to_downtime_of_the_span(case: Case) -> None:
    for store in report_on(case).values():
        lengths = [(end - start) // MICROSECOND for start, end, _ in store.events]
        assert sum(lengths) == store.of_span.downtime
        assert all(length > 0 for length in lengths)
        for start, end, ongoing in store.events:
            assert any(opened <= start and end <= closed for opened, closed in store.open_intervals)
            assert end == case.as_of or not ongoing
        for (_, before, _), (after, _, _) in pairwise(store.events):
            # Events never touch: within one open interval they would be one event.
            assert before < after


@settings(max_examples=100, deadline=None)
@given(cases())
def test_downtime_by_hour_adds_up_to_the_span(case: Case) -> None:
    for store in report_on(case).values():
        assert all(0 <= down <= opened for opened, down in store.by_hour.values())
        assert all(opened > 0 for opened, _ in store.by_hour.values())
        assert sum(opened for opened, _ in store.by_hour.values()) == store.of_span.open_time
        assert sum(down for _, down in store.by_hour.values()) == store.of_span.downtime
