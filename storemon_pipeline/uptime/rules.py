"""The rules of a report: every choice that the inputs leave open, with its default.

:mod:`.opening_hours` and :mod:`.status_intervals` implement the rules. The windows and stores of a
report are in :mod:`.report_request`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

DEFAULT_TIMEZONE = "America/Chicago"
"""The zone of a store that has none, or an unknown one (rule 3)."""

EARLIEST_POLL = datetime(2000, 1, 1, tzinfo=UTC)
"""Earlier polls are ignored: their timestamps are placeholders, such as the year 1 (Inputs)."""

HOUR = 3_600_000_000
"""Microseconds in an hour."""

DAY = 24 * HOUR
"""Microseconds in 24 hours."""

MAX_CARRY_HOURS = 24 * 36_525
"""A hundred years: longer than any report, and far below the limit of 64 bits."""


class Interpolation(StrEnum):
    """Poll that determines the status between two polls (rule 5)."""

    PREVIOUS = "previous"
    NEAREST = "nearest"


class ClosedPolls(StrEnum):
    """Whether polls outside open time count for open time (rule 4)."""

    IGNORE = "ignore"
    USE = "use"


class MissingDay(StrEnum):
    """How to treat a weekday without hours, for a store with hours on other days (rule 3)."""

    OPEN = "open"
    CLOSED = "closed"


class DayEnd(StrEnum):
    """How to read a closing time at or after 23:59:00 (rule 3)."""

    MIDNIGHT = "midnight"
    LITERAL = "literal"


class BeforeFirstPoll(StrEnum):
    """How to treat open time before the first counted poll of a store (rule 6)."""

    BACKFILL = "backfill"
    UNOBSERVED = "unobserved"


class UptimeRules(BaseModel):
    """The rules that a report follows, with their defaults.

    Examples
    --------
    >>> UptimeRules(interpolation="nearest").interpolation.value
    'nearest'
    >>> UptimeRules(max_carry_hours=1.5).max_carry
    5400000000
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    interpolation: Interpolation = Field(
        default=Interpolation.PREVIOUS,
        description=(
            "previous: the latest poll determines the status until the next poll. "
            "nearest: the nearest poll does; between two polls the status changes halfway."
        ),
    )
    closed_polls: ClosedPolls = Field(
        default=ClosedPolls.IGNORE,
        description=(
            "ignore: polls outside opening hours do not count. use: they count like any other poll."
        ),
    )
    missing_day: MissingDay = Field(
        default=MissingDay.OPEN,
        description=(
            "A weekday without hours, for a store with hours on others: open all day, or closed."
        ),
    )
    day_end: DayEnd = Field(
        default=DayEnd.MIDNIGHT,
        description=(
            "midnight: a closing time at or after 23:59:00 means midnight. literal: as written."
        ),
    )
    max_carry_hours: float | None = Field(
        default=None,
        gt=0,
        le=MAX_CARRY_HOURS,
        allow_inf_nan=False,
        description=(
            "Maximum hours that a poll is carried; open time further from any poll is unobserved. "
            "Not set: a poll is carried until the next one."
        ),
    )
    before_first_poll: BeforeFirstPoll = Field(
        default=BeforeFirstPoll.BACKFILL,
        description=(
            "Open time before a store's first poll. backfill: it has the status of that poll. "
            "unobserved: it is unobserved, regardless of the other rules."
        ),
    )

    @property
    def max_carry(self) -> int | None:
        """Return ``max_carry_hours`` in whole microseconds, or None."""
        return None if self.max_carry_hours is None else round(self.max_carry_hours * HOUR)
