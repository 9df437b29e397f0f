"""Reference implementation of the report rules: slow, plain, one store at a time.

Check it by reading it side by side with the rules. Instants are datetimes in UTC and lengths are
timedeltas, both in whole microseconds, so all arithmetic is exact. Each function names the rule
that it implements. The module imports only the standard library and nothing of
`storemon_pipeline`: the tests compare the package's fast implementation with this one, so the two
must not share a mistake.

Reading files, rounding, the columns of the report, and speed are out of scope.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo

Poll = tuple[str, datetime, str]
"""store_id, instant in UTC, 'active' or 'inactive'."""
HoursRow = tuple[str, int, int, int]
"""store_id, weekday (0 = Monday), start and end in microseconds of the wall clock since 00:00."""
WallTimes = tuple[int, int]
"""Start and end of an opening, in microseconds of the wall clock since 00:00."""
SpecialRow = tuple[str, date, WallTimes | None]
"""store_id, local date, an opening on it; None where both times are empty: closed."""
Interval = tuple[datetime, datetime]
"""Half-open [start, end) in UTC."""
Window = Interval | str
"""A requested span: an interval of real time, or the name of a calendar window.

Only `bounds` interprets it."""
CALENDAR_WINDOWS = (
    "today",
    "yesterday",
    "last_calendar_week",
    "this_calendar_month",
    "last_calendar_month",
)
Status = str | None
"""'active', 'inactive', or None where nothing was observed."""

MICROSECOND = timedelta(microseconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MICROSECONDS_OF_DAY = DAY // MICROSECOND
LATE_END = timedelta(hours=23, minutes=59) // MICROSECOND
DEFAULT_ZONE = ZoneInfo("America/Chicago")
NO_DATA_AFTER = timedelta(minutes=180)

# An opening ends on the next local date at the latest, and a clock that goes back over midnight can
# put an instant of one date after the first instant of the next. Two days each way cover both.
DAYS_AROUND = 2


@dataclass(frozen=True)
class ReferenceRules:
    """Values of the rules, by the names of the rules."""

    interpolation: str = "previous"
    closed_polls: str = "ignore"
    missing_day: str = "open"
    day_end: str = "midnight"
    max_carry_hours: Fraction | None = None
    before_first_poll: str = "backfill"

    def __post_init__(self) -> None:
        """Reject an unknown value, which would silently mean the other choice."""
        for value, known in (
            (self.interpolation, ("previous", "nearest")),
            (self.closed_polls, ("ignore", "use")),
            (self.missing_day, ("open", "closed")),
            (self.day_end, ("midnight", "literal")),
            (self.before_first_poll, ("backfill", "unobserved")),
        ):
            if value not in known:
                raise ValueError(f"{value!r} is not one of {known}")

    @property
    def reach(self) -> timedelta | None:
        """Rule 6: C, the maximum time that a poll is carried; None means until the next poll."""
        if self.max_carry_hours is None:
            return None
        microseconds = self.max_carry_hours * (HOUR // MICROSECOND)
        if microseconds.denominator != 1:
            raise ValueError("max_carry_hours is not a whole number of microseconds")
        return int(microseconds) * MICROSECOND


@dataclass(frozen=True)
class StoreFigures:
    """Figures of one store in one window, in microseconds."""

    uptime: int
    downtime: int
    unobserved: int
    open_time: int


@dataclass(frozen=True)
class ReferenceStore:
    """Results of one store.

    `figures` is keyed by window. The rest covers `span`, the whole span of the store's windows:
    `of_span` are its figures, `events` are (start, end, ongoing), `by_hour` is (open, downtime) in
    microseconds keyed by local (weekday, hour), and `open_intervals` are clipped to the span. `up`
    is when the store was up while open. `now` is its status at as_of: closed, up, down or no data.
    """

    figures: dict[str, StoreFigures]
    span: Interval
    of_span: StoreFigures
    events: list[tuple[datetime, datetime, bool]]
    by_hour: dict[tuple[int, int], tuple[int, int]]
    open_intervals: list[Interval]
    last_poll: datetime
    up: list[Interval]
    now: str


@dataclass(frozen=True)
class ServiceLevel:
    """Service levels of a store in one window, in microseconds; None without a value.

    `until_over` are the lengths of the outages that have ended, `lengths` those of all outages: the
    downtime, without the closed hours in between.
    """

    met: bool | None
    budget: int
    budget_left: int
    lengths: list[int]
    until_over: list[int]


def reference_report(
    polls: Sequence[Poll],
    hours: Sequence[HoursRow],
    zones: Mapping[str, str],
    *,
    special: Sequence[SpecialRow] = (),
    as_of: datetime,
    windows: Mapping[str, Window],
    rules: ReferenceRules,
    no_data_after: timedelta = NO_DATA_AFTER,
) -> dict[str, ReferenceStore]:
    """Compute the results of every store polled at or before as_of, sorted by id (Figures)."""
    report = {}
    for store_id in sorted({store_id for store_id, instant, _ in polls if instant <= as_of}):
        report[store_id] = report_on_store(
            polls_of_store(polls, store_id, as_of),
            OpeningHours(
                [(day, start, end) for owner, day, start, end in hours if owner == store_id],
                [(day, times) for owner, day, times in special if owner == store_id],
                zone_of(store_id, zones),
                rules,
            ),
            as_of=as_of,
            windows=windows,
            rules=rules,
            no_data_after=no_data_after,
        )
    return report


def report_on_store(
    polls: Sequence[tuple[datetime, str]],
    opening_hours: OpeningHours,
    *,
    as_of: datetime,
    windows: Mapping[str, Window],
    rules: ReferenceRules,
    no_data_after: timedelta,
) -> ReferenceStore:
    """Compute the results of one store; polls are sorted and not empty (Figures, Outages)."""
    zone = opening_hours.zone
    limits = {name: bounds(window, as_of, zone) for name, window in windows.items()}
    span_start = min(start for start, _ in limits.values())
    span_end = max(end for _, end in limits.values())
    open_intervals = opening_hours.between(span_start, span_end)
    counted = counted_polls(polls, opening_hours, rules)
    pieces = [piece for interval in open_intervals for piece in status_of(interval, counted, rules)]
    downtime = [(start, end) for start, end, status in pieces if status == "inactive"]
    says_down = bool(counted) and counted[-1][1] == "inactive"
    down_at_as_of = says_down and opening_hours.is_open(as_of)
    return ReferenceStore(
        figures={name: figures_within(window, pieces) for name, window in limits.items()},
        span=(span_start, span_end),
        of_span=figures_within((span_start, span_end), pieces),
        events=[(start, end, end == as_of and down_at_as_of) for start, end in downtime],
        by_hour=by_hour(open_intervals, downtime, zone),
        open_intervals=open_intervals,
        last_poll=polls[-1][0],
        up=[(start, end) for start, end, status in pieces if status == "active"],
        now=status_now(counted, opening_hours, as_of, rules, no_data_after),
    )


def bounds(window: Window, as_of: datetime, zone: ZoneInfo) -> Interval:
    """Rule 2: the start and end of a window for a store in this zone.

    Rolling windows and ranges are the same span of real time for every store. A calendar window is
    whole local days: up to the first instant of the day after its last, or those up to as_of.
    """
    if not isinstance(window, str):
        return window
    today = calendar_day(as_of, zone)
    this_monday = today - today.weekday() * DAY
    this_month = today.replace(day=1)
    last_month = (this_month - DAY).replace(day=1)
    if window == "today":
        return first_instant(today, zone), as_of
    if window == "yesterday":
        # By date: a skipped date (Apia had no 30 December 2011) gives an empty window.
        return first_instant(today - DAY, zone), first_instant(today, zone)
    if window == "last_calendar_week":
        return first_instant(this_monday - 7 * DAY, zone), first_instant(this_monday, zone)
    if window == "this_calendar_month":
        return first_instant(this_month, zone), as_of
    if window == "last_calendar_month":
        return first_instant(last_month, zone), first_instant(this_month, zone)
    raise ValueError(f"{window!r} is not one of {CALENDAR_WINDOWS}")


def calendar_day(instant: datetime, zone: ZoneInfo) -> date:
    """Rule 2: the day that an instant is in, from a day's first instant to the next one's.

    Nearly always the local date. But where the clock goes back from 00:01 to 23:01, the new day has
    started, although the clock shows the previous date for another hour. A day that has ended does
    not resume.
    """
    day = wall_clock(instant, zone).date() + DAYS_AROUND * DAY
    while first_instant(day, zone) > instant:
        day -= DAY
    return day


def polls_of_store(
    polls: Iterable[Poll], store_id: str, as_of: datetime
) -> list[tuple[datetime, str]]:
    """Rule 1, Inputs: ignore polls after as_of; at one instant the later row counts."""
    status_at_instant = {
        instant: status
        for owner, instant, status in polls
        if owner == store_id and instant <= as_of
    }
    return sorted(status_at_instant.items())


# Open time: rule 3


def zone_of(store_id: str, zones: Mapping[str, str]) -> ZoneInfo:
    """Rule 3: no time zone, or an unknown one, means America/Chicago."""
    name = zones.get(store_id)
    if not name:
        return DEFAULT_ZONE
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown; not a name; a folder of zones
        return DEFAULT_ZONE


def wall_clock(instant: datetime, zone: ZoneInfo) -> datetime:
    """Return the local time of a store at an instant, as a naive datetime."""
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)


def instant_of_wall_time(wall: datetime, zone: ZoneInfo) -> datetime:
    """Rule 3: the first of two instants that show a wall time; if none does, the end of the gap."""
    first, last = sorted(
        wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)
    )  # the same instant twice, except for wall times near a clock change
    for instant in (first, last):
        if wall_clock(instant, zone) == wall:
            return instant
    # `first` still shows an earlier time and `last` a later one: the clocks jump in between.
    while last - first > MICROSECOND:
        middle = first + (last - first) // 2
        if wall_clock(middle, zone) < wall:
            first = middle
        else:
            last = middle
    return last


def first_instant(day: date, zone: ZoneInfo) -> datetime:
    """Rules 2 and 3: the start of a local date: the first of two midnights, or after the gap."""
    return instant_of_wall_time(datetime.combine(day, time()), zone)


class OpeningHours:
    """Rule 3 for one store: when it is open, for any date.

    `rows` are its weekly hours as (weekday, start, end). `special` are the openings of single dates
    that replace them, with None for a date on which it is closed.
    """

    def __init__(
        self,
        rows: Sequence[tuple[int, int, int]],
        special: Sequence[tuple[date, WallTimes | None]],
        zone: ZoneInfo,
        rules: ReferenceRules,
    ) -> None:
        self.zone = zone
        self.rows = rows
        self.special = special
        self.rules = rules
        self._openings_by_day: dict[date, list[Interval]] = {}

    def is_open(self, instant: datetime) -> bool:
        """Rule 4: in hours means open <= t < close for some opening."""
        if not self.rows and not self.special:
            return True
        today = wall_clock(instant, self.zone).date()
        return any(start <= instant < end for start, end in self._openings(today, today))

    def between(self, start: datetime, end: datetime) -> list[Interval]:
        """Rule 3: the union of the openings within [start, end), as separate open intervals."""
        if start >= end:  # `today` at midnight
            return []
        if not self.rows and not self.special:
            return [(start, end)]
        first_day = wall_clock(start, self.zone).date()
        last_day = wall_clock(end, self.zone).date()
        union: list[Interval] = []
        for opening in sorted(self._openings(first_day, last_day)):
            # Openings that only touch are one open interval too: it continues over midnight.
            if union and opening[0] <= union[-1][1]:
                union[-1] = (union[-1][0], max(union[-1][1], opening[1]))
            else:
                union.append(opening)
        clipped = ((max(start, opened), min(end, closed)) for opened, closed in union)
        return [(opened, closed) for opened, closed in clipped if opened < closed]

    def _openings(self, first_day: date, last_day: date) -> Iterator[Interval]:
        """Yield at least every opening that can contain an instant of these local dates."""
        day = first_day - DAYS_AROUND * DAY
        while day <= last_day + DAYS_AROUND * DAY:
            if day not in self._openings_by_day:
                self._openings_by_day[day] = self._openings_of_day(day)
            yield from self._openings_by_day[day]
            day += DAY

    def _openings_of_day(self, day: date) -> list[Interval]:
        """Rule 3: the openings that start on a local date, for a store with hours.

        An opening that crosses midnight belongs to the date on which it starts: special
        hours of the next date do not replace it.
        """
        rows = [(start, end) for weekday, start, end in self.rows if weekday == day.weekday()]
        if any(special_day == day for special_day, _ in self.special):
            rows = [times for special_day, times in self.special if special_day == day and times]
        elif not self.rows or (not rows and self.rules.missing_day == "open"):
            # To the next day's first instant. `missing_day` concerns a store with rows
            # for other weekdays; a store without weekly rows is open every day.
            rows = [(0, MICROSECONDS_OF_DAY)]
        openings = []
        for start, written_end in rows:
            end = written_end
            if self.rules.day_end == "midnight" and end >= LATE_END:
                end = MICROSECONDS_OF_DAY
            if end <= start:  # past midnight; if equal, the 24 hours of the wall clock from start
                end += MICROSECONDS_OF_DAY
            openings.append((self._instant(day, start), self._instant(day, end)))
        # Drop an opening that a clock change skips completely.
        return [(opened, closed) for opened, closed in openings if opened < closed]

    def _instant(self, day: date, microseconds: int) -> datetime:
        """Rule 3: the instant at which the wall clock shows this time after 00:00 of a local date.

        For 00:00, this is the first instant of the day: the first of two, or the end of the gap.
        """
        wall = datetime.combine(day, time()) + microseconds * MICROSECOND
        return instant_of_wall_time(wall, self.zone)


# Status: rules 4 to 7


def counted_polls(
    polls: Sequence[tuple[datetime, str]], opening_hours: OpeningHours, rules: ReferenceRules
) -> list[tuple[datetime, str]]:
    """Rule 4: the polls that count for open time."""
    if rules.closed_polls == "use":
        return list(polls)
    return [(instant, status) for instant, status in polls if opening_hours.is_open(instant)]


def status_of(
    interval: Interval, polls: Sequence[tuple[datetime, str]], rules: ReferenceRules
) -> list[tuple[datetime, datetime, Status]]:
    """Rules 5 to 7 over one open interval: maximal intervals of one status.

    The interval is cut wherever the status can change; within a piece it is that of its start.
    """
    start, end = interval
    cuts = {start, end} | {cut for cut in instants_of_change(polls, rules) if start < cut < end}
    intervals: list[tuple[datetime, datetime, Status]] = []
    for piece_start, piece_end in pairwise(sorted(cuts)):
        status = status_at(piece_start, polls, rules)
        if intervals and intervals[-1][2] == status:
            intervals[-1] = (intervals[-1][0], piece_end, status)
        else:
            intervals.append((piece_start, piece_end, status))
    return intervals


def instants_of_change(
    polls: Sequence[tuple[datetime, str]], rules: ReferenceRules
) -> set[datetime]:
    """Rules 5 and 6: a superset of the instants at which the status can change."""
    changes = set()
    for instant, _ in polls:
        changes.add(instant)
        if rules.reach is not None:
            changes.update((instant - rules.reach, instant + rules.reach))
    for (before, _), (after, _) in pairwise(polls):
        changes.add(half_way(before, after))
    return changes


def status_at(
    instant: datetime, polls: Sequence[tuple[datetime, str]], rules: ReferenceRules
) -> Status:
    """Rules 5, 6 and 7: the status at an instant, given the counted polls."""
    if rules.before_first_poll == "unobserved" and polls and instant < polls[0][0]:
        return None
    number_before = bisect_right(polls, instant, key=lambda poll: poll[0])
    before = polls[number_before - 1] if number_before > 0 else None
    after = polls[number_before] if number_before < len(polls) else None
    if rules.interpolation == "previous" or before is None or after is None:
        # The newest poll at or before the instant, else the next one.
        candidates = [before, after]
    else:
        # Only the nearest poll: the other one is even farther away.
        candidates = [before if instant < half_way(before[0], after[0]) else after]
    for poll in candidates:
        if poll is not None and is_carried_to(poll[0], instant, rules.reach):
            return poll[1]
    return None


def status_now(
    counted: Sequence[tuple[datetime, str]],
    opening_hours: OpeningHours,
    as_of: datetime,
    rules: ReferenceRules,
    no_data_after: timedelta,
) -> str:
    """Rule 7: the status at as_of itself, given the counted polls at or before it."""
    if not opening_hours.is_open(as_of):
        return "closed"
    if not counted:
        return "no data"
    instant, status = counted[-1]
    age = as_of - instant
    if age > no_data_after or (rules.reach is not None and age > rules.reach):
        return "no data"
    return "up" if status == "active" else "down"


def is_carried_to(poll: datetime, instant: datetime, reach: timedelta | None) -> bool:
    """Rule 6: a poll applies within [t - C, t + C), half-open like all intervals."""
    return reach is None or poll - reach <= instant < poll + reach


def half_way(before: datetime, after: datetime) -> datetime:
    """Rule 5: t + floor((u - t) / 2) in whole microseconds, at which the nearest poll changes."""
    return before + (after - before) // 2


# The sections Figures and Outages


def figures_within(
    window: Interval, intervals: Iterable[tuple[datetime, datetime, Status]]
) -> StoreFigures:
    """Compute the open time of each status within a window (Figures)."""
    length: dict[Status, timedelta] = defaultdict(timedelta)
    for start, end, status in intervals:
        overlap = min(end, window[1]) - max(start, window[0])
        length[status] += max(overlap, timedelta())
    return StoreFigures(
        uptime=length["active"] // MICROSECOND,
        downtime=length["inactive"] // MICROSECOND,
        unobserved=length[None] // MICROSECOND,
        open_time=sum(length.values(), timedelta()) // MICROSECOND,
    )


def service_level(
    store: ReferenceStore, name: str, window: Interval, target_pct: Fraction
) -> ServiceLevel:
    """Compute the service levels of one window, by the name of its figures."""
    figures = store.figures[name]
    observed = figures.uptime + figures.downtime
    budget = int(observed * (100 - target_pct) / 100)
    up = within(window, store.up)
    outages = outages_within(window, store)
    over = [outage for outage in outages if any(since >= outage[-1][1] for since, _ in up)]
    return ServiceLevel(
        met=figures.downtime <= budget if observed else None,
        budget=budget,
        budget_left=budget - figures.downtime,
        lengths=[length_of(outage) for outage in outages],
        until_over=[length_of(outage) for outage in over],
    )


def outages_within(window: Interval, store: ReferenceStore) -> list[list[Interval]]:
    """Group the downtime in a window into outages: without uptime in between."""
    outages: list[list[Interval]] = []
    for start, end in within(window, [(start, end) for start, end, _ in store.events]):
        if outages and not any(outages[-1][-1][1] <= since < start for since, _ in store.up):
            outages[-1].append((start, end))
        else:
            outages.append([(start, end)])
    return outages


def within(window: Interval, intervals: Iterable[Interval]) -> list[Interval]:
    """Clip intervals to the window."""
    cut = [(max(start, window[0]), min(end, window[1])) for start, end in intervals]
    return [(start, end) for start, end in cut if start < end]


def length_of(intervals: Iterable[Interval]) -> int:
    """Return the total length of intervals in microseconds."""
    return sum((end - start) // MICROSECOND for start, end in intervals)


def by_hour(
    open_intervals: Iterable[Interval], downtime: Iterable[Interval], zone: ZoneInfo
) -> dict[tuple[int, int], tuple[int, int]]:
    """Compute open time and downtime by local weekday and hour (Outages)."""
    open_time = time_by_hour(open_intervals, zone)
    down_time = time_by_hour(downtime, zone)
    return {hour: (open_time[hour], down_time.get(hour, 0)) for hour in sorted(open_time)}


def time_by_hour(intervals: Iterable[Interval], zone: ZoneInfo) -> dict[tuple[int, int], int]:
    """Split intervals by local hour: an instant belongs to the hour on the clock (Outages)."""
    total: dict[tuple[int, int], int] = defaultdict(int)
    for start, end in intervals:
        piece_start = start
        while piece_start < end:
            piece_end = min(end, end_of_wall_hour(piece_start, zone))
            wall = wall_clock(piece_start, zone)
            total[wall.weekday(), wall.hour] += (piece_end - piece_start) // MICROSECOND
            piece_start = piece_end
    return dict(total)


def end_of_wall_hour(instant: datetime, zone: ZoneInfo) -> datetime:
    """Return the end of a local hour, or the next clock change if sooner (Outages)."""
    wall = wall_clock(instant, zone)
    past_the_hour = wall - wall.replace(minute=0, second=0, microsecond=0)
    full_hour = instant + (HOUR - past_the_hour)
    if wall_clock(full_hour, zone) - wall == full_hour - instant:
        return full_hour
    # The clock changes after `instant`, at `full_hour` at the latest.
    before, after = instant, full_hour
    while after - before > MICROSECOND:
        middle = before + (after - before) // 2
        if wall_clock(middle, zone) - wall == middle - instant:
            before = middle
        else:
            after = middle
    return after
