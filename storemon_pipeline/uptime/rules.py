"""Every choice of the report's figures that people make differently, named, with its default.

A question that the inputs leave open belongs here, and only its answer here: how an answer is
carried out is the business of :mod:`.open_hours` and :mod:`.status`. What a report is *asked for*
(its windows, its stores) is in :mod:`.request`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

DEFAULT_TIMEZONE = "America/Chicago"
"""The zone of a store that has none, or an unknown one (rule 3)."""

EARLIEST_POLL = datetime(2000, 1, 1, tzinfo=UTC)
"""Polls before it do not exist: they are stamps of no time, such as the year 1 (Inputs)."""

HOUR = 3_600_000_000
"""Microseconds in an hour."""

DAY = 24 * HOUR
"""Microseconds in 24 hours."""

MAX_CARRY_HOURS = 24 * 36_525
"""A hundred years: longer than any poll can matter, and far from what 64 bits can hold."""


class Interpolation(StrEnum):
    """Which poll speaks for a moment between two polls (rule 5)."""

    PREVIOUS = "previous"
    NEAREST = "nearest"


class ClosedPolls(StrEnum):
    """Whether polls outside open time are evidence about open time (rule 4)."""

    IGNORE = "ignore"
    USE = "use"


class MissingDay(StrEnum):
    """What a weekday without opening hours means for a store that has others (rule 3)."""

    OPEN = "open"
    CLOSED = "closed"


class DayEnd(StrEnum):
    """What a closing time at or after 23:59:00 means (rule 3)."""

    MIDNIGHT = "midnight"
    LITERAL = "literal"


class BeforeFirstPoll(StrEnum):
    """What is known of open time before a store's first poll that counts (rule 6)."""

    BACKFILL = "backfill"
    UNOBSERVED = "unobserved"


class UptimeRules(BaseModel):
    """The choices a report's figures depend on. The defaults are those of the rules of the report.

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
            "previous: open time has the status of the newest poll at or before it. "
            "nearest: that of the nearest poll; between two polls it changes half way."
        ),
    )
    closed_polls: ClosedPolls = Field(
        default=ClosedPolls.IGNORE,
        description=(
            "ignore: polls made while a store is closed say nothing about its open time. "
            "use: they count like all others."
        ),
    )
    missing_day: MissingDay = Field(
        default=MissingDay.OPEN,
        description=(
            "A weekday without hours, for a store that has hours on others: "
            "open all day, or closed."
        ),
    )
    day_end: DayEnd = Field(
        default=DayEnd.MIDNIGHT,
        description=(
            "midnight: a closing time at or after 23:59:00 means midnight, since the files "
            "cannot write it otherwise. literal: as written."
        ),
    )
    max_carry_hours: float | None = Field(
        default=None,
        gt=0,
        le=MAX_CARRY_HOURS,
        allow_inf_nan=False,
        description=(
            "For how many hours at most a poll speaks; open time further than that from its poll "
            "is unobserved. Not set: a poll speaks until the next."
        ),
    )
    before_first_poll: BeforeFirstPoll = Field(
        default=BeforeFirstPoll.BACKFILL,
        description=(
            "Open time before a store's first poll. backfill: it has the status of that poll. "
            "unobserved: nothing is known of it, whatever the other rules say."
        ),
    )

    @property
    def max_carry(self) -> int | None:
        """``max_carry_hours`` in whole microseconds, or None."""
        return None if self.max_carry_hours is None else round(self.max_carry_hours * HOUR)
