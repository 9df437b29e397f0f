"""The specification of a report and its resolution: as_of, windows, stores, rules (rules 1, 2).

A client writes a :class:`ReportSpec`. :func:`resolve_spec` resolves it against the newest poll and
the clock into a :class:`ReportRequest`. Both are pydantic models, shared by the launchpad, the
database and the API.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, Self

import numpy as np
import pandas as pd
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

from storemon_pipeline.uptime.conversions import to_iso_z, to_microsecond
from storemon_pipeline.uptime.interval_arithmetic import Int
from storemon_pipeline.uptime.messages import quote_value
from storemon_pipeline.uptime.rules import UptimeRules
from storemon_pipeline.uptime.windows import (
    CALENDAR_WINDOWS,
    ROLLING_WINDOWS,
    Window,
    calendar_bounds,
)

FIRST_YEAR, LAST_YEAR = 1900, 2200
"""Years that a report may refer to, far from the limits of calendars and clocks."""

DEFAULT_WINDOWS = (Window.HOUR, Window.DAY, Window.WEEK)


def parse_instant(value: object) -> object:
    """Parse an instant in ISO 8601 or as ``… UTC``; without a zone it is UTC.

    Other types are returned unchanged, for pydantic to validate.

    Examples
    --------
    >>> parse_instant("2023-01-25 18:13:22.47922 UTC").isoformat()
    '2023-01-25T18:13:22.479220+00:00'
    """
    if not isinstance(value, str):
        return value
    text = value.strip()
    try:
        instant = datetime.fromisoformat(text.removesuffix("UTC").rstrip())
        utc = instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        msg = (
            f"{quote_value(value)} is not a valid timestamp: use ISO 8601, e.g. "
            "2023-01-25T18:00:00Z"
        )
        raise ValueError(msg) from error
    if not FIRST_YEAR <= utc.year <= LAST_YEAR:
        msg = f"{quote_value(value)} is not between the years {FIRST_YEAR} and {LAST_YEAR}"
        raise ValueError(msg)
    return utc


Instant = Annotated[datetime, BeforeValidator(parse_instant)]

STORE_ID_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}"
"""Regular expression of a store id."""

STORE_ID_DESCRIPTION = "a letter or digit followed by at most 63 letters, digits or ._:-"


def _store_id(value: str) -> str:
    if not re.fullmatch(STORE_ID_PATTERN, value):
        msg = f"{quote_value(value)} is not a valid store id: use {STORE_ID_DESCRIPTION}"
        raise ValueError(msg)
    return value


def _quoted(value: object) -> object:
    """Reject numbers: YAML drops leading zeros, and other formats digits beyond the sixteenth."""
    if not isinstance(value, str):
        msg = f"{quote_value(value)} is not text: put the store id in quotes"
        raise ValueError(msg)  # noqa: TRY004 - pydantic does not report a TypeError as invalid
    return value


StoreId = Annotated[
    str,
    BeforeValidator(_quoted),
    AfterValidator(_store_id),
    WithJsonSchema({"type": "string", "pattern": f"^{STORE_ID_PATTERN}$"}),
]
"""The id of a store: always text, even if it looks like a number."""


def _parse_as_of(value: object) -> object:
    if value in ("latest", "now"):
        return value
    try:
        return parse_instant(value)
    except ValueError as error:
        msg = f"{error}, or latest, or now"
        raise ValueError(msg) from error


MOST_STORES = 10_000
"""Maximum number of stores in a spec; for more, request a report of all stores."""


def _few_enough(store_ids: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Remove duplicate ids, in order, and limit their number."""
    if store_ids is None:
        return None
    different = tuple(dict.fromkeys(store_ids))
    if len(different) > MOST_STORES:
        msg = (
            f"store_ids has {len(different):,} stores, at most {MOST_STORES:,} are allowed: omit "
            "it for a report of all stores"
        )
        raise ValueError(msg)
    return different


class ReportSpec(BaseModel):
    """The specification of a report, as a client writes it. All fields are optional.

    Raises
    ------
    pydantic.ValidationError
        If a value is invalid, or fields contradict each other.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    as_of: Annotated[Literal["latest", "now"] | datetime, BeforeValidator(_parse_as_of)] = Field(
        default="latest",
        description=(
            "The end of every window. latest: the newest poll in the data. now: the clock. Or an "
            "instant, such as 2023-01-25T18:00:00Z."
        ),
    )
    windows: tuple[Window, ...] = Field(
        default=DEFAULT_WINDOWS,
        description=(
            "Any of hour, day, week, month (30 days), range with start and end; and, in each "
            "store's own calendar, today, yesterday, last_calendar_week (Monday to Sunday), "
            "this_calendar_month, last_calendar_month."
        ),
    )
    start: Instant | None = Field(
        default=None, description="Start of the window `range`; requires end."
    )
    end: Instant | None = Field(
        default=None, description="End of the window `range`, which is then also the as_of."
    )
    store_ids: Annotated[tuple[StoreId, ...] | None, AfterValidator(_few_enough)] = Field(
        default=None,
        min_length=1,
        description=(
            f"Only these stores, at most {MOST_STORES:,}. Not set: all stores ever polled."
        ),
    )
    rules: UptimeRules = Field(
        default=UptimeRules(), description="The rules that the figures follow."
    )

    @model_validator(mode="after")
    def _validate(self) -> Self:
        if (self.start is None) != (self.end is None):
            msg = "start and end must be set together: set both, for a range, or neither"
            raise ValueError(msg)
        if self.start is not None and self.end is not None:
            if self.start >= self.end:
                msg = (
                    f"start ({self.start.isoformat()}) must be before end ({self.end.isoformat()})"
                )
                raise ValueError(msg)
            if self.as_of not in ("latest", self.end):
                msg = "the end of a range is its as_of: omit as_of if start and end are set"
                raise ValueError(msg)
        elif Window.RANGE in self.windows:
            msg = "the window 'range' needs start and end"
            raise ValueError(msg)
        if not self.windows and self.start is None:
            msg = "windows is empty: list at least one of " + ", ".join(Window)
            raise ValueError(msg)
        return self


LONGEST_RANGE = timedelta(days=1830)
"""Five years. A longer range takes minutes and hundreds of megabytes even for few stores."""

EARLIEST_START = datetime(2000, 1, 1, tzinfo=UTC)
"""Earlier polls are rejected."""


class UnanswerableError(ValueError):
    """Raised for a report on a time that it cannot cover.

    Parameters
    ----------
    message : str
        The fault, and what is accepted.
    field : str
        The invalid field: ``as_of``, ``start`` or ``end``.
    """

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field


def reject_future(field: str, instant: datetime, now: datetime) -> None:
    """Raise UnanswerableError for an instant in the future (rule 1).

    Parameters
    ----------
    field : str
        Name of the instant in the message.
    instant, now : datetime
        UTC; ``now`` is the current time.

    Raises
    ------
    UnanswerableError
    """
    if instant > now:
        msg = (
            f"{_in_utc(instant)} is in the future; the current time is {_in_utc(now)}: use a time "
            "in the past"
        )
        raise UnanswerableError(msg, field=field)


def check_times(spec: ReportSpec, now: datetime) -> None:
    """Raise UnanswerableError for a report of the future, or a range too long (rules 1, 2).

    Not part of the validation of :class:`ReportSpec`, so that stored requests can be read at any
    time.

    Parameters
    ----------
    spec : ReportSpec
    now : datetime
        The current time; UTC.

    Raises
    ------
    UnanswerableError
    """
    if isinstance(spec.as_of, datetime):
        reject_future("as_of", spec.as_of, now)
    if spec.start is None or spec.end is None:
        return
    reject_future("start", spec.start, now)
    reject_future("end", spec.end, now)
    if spec.start < EARLIEST_START:
        msg = f"{_in_utc(spec.start)} is before {_in_utc(EARLIEST_START)}, the earliest start"
        raise UnanswerableError(msg, field="start")
    if spec.end - spec.start > LONGEST_RANGE:
        days = (spec.end - spec.start) / timedelta(days=1)
        msg = (
            f"{_in_utc(spec.start)} is {days:,.0f} days before the end, {_in_utc(spec.end)}: a "
            f"range has at most {LONGEST_RANGE.days:,} days"
        )
        raise UnanswerableError(msg, field="start")


def _in_utc(instant: datetime) -> str:
    return to_iso_z(instant.astimezone(UTC))


class ReportRequest(BaseModel):
    """A resolved report request.

    Attributes
    ----------
    as_of : datetime
        UTC; the end of every window (rule 1).
    windows : tuple of Window
        In the order requested, without duplicates.
    start, end : datetime or None
        Start and end of the window ``range``, if it is among the windows.
    store_ids : tuple of str or None
        The requested stores; None for all.
    rules : UptimeRules
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    as_of: Instant
    windows: tuple[Window, ...] = Field(min_length=1)
    start: Instant | None
    end: Instant | None = None
    store_ids: tuple[str, ...] | None
    rules: UptimeRules

    def bounds(self, window: Window, timezones: pd.Series) -> tuple[Int, Int]:
        """Return the start and end of a window for each store (rule 2).

        Parameters
        ----------
        window : Window
        timezones : Series of text, shape (stores,)
            The stores' zones: known IANA names. Only calendar windows use them.

        Returns
        -------
        start, end : int64 arrays, shape (stores,)
            Microseconds since 1970.
        """
        as_of = to_microsecond(self.as_of)
        if window in CALENDAR_WINDOWS:
            return calendar_bounds(window, as_of, timezones)
        start = to_microsecond(self._earliest_start(window))
        return np.full(len(timezones), start), np.full(len(timezones), as_of)

    def per_store_spans(self, timezones: pd.Series) -> tuple[Int, Int]:
        """Return the span of all windows of each store: earliest start, latest end (Outages).

        Returns
        -------
        start, end : int64 arrays, shape (stores,)
        """
        starts, ends = zip(
            *(self.bounds(window, timezones) for window in self.windows), strict=True
        )
        return np.minimum.reduce(starts), np.maximum.reduce(ends)

    def _earliest_start(self, window: Window) -> datetime:
        """Return the start of a window; for a calendar window, a lower bound for all stores."""
        if window is Window.RANGE and self.start is not None:
            return self.start
        return self.as_of - (ROLLING_WINDOWS | CALENDAR_WINDOWS)[window]

    @property
    def is_standard(self) -> bool:
        """Return whether this is a report of all stores with default windows and rules."""
        return (
            self.windows == DEFAULT_WINDOWS
            and self.store_ids is None
            and self.rules == UptimeRules()
        )

    @property
    def span(self) -> tuple[datetime, datetime]:
        """Return the span that covers all windows of all stores, up to as_of."""
        return min(map(self._earliest_start, self.windows)), self.as_of


def resolve_spec(spec: ReportSpec, *, newest_poll: datetime, now: datetime) -> ReportRequest:
    """Resolve a spec (rules 1 and 2).

    Parameters
    ----------
    spec : ReportSpec
    newest_poll : datetime
        The newest poll in the data at or before ``now``; UTC.
    now : datetime
        The current time; UTC.

    Returns
    -------
    ReportRequest
        With start and end given, it includes the window ``range``, even if not named.
    """
    windows: Sequence[Window] = spec.windows
    if spec.end is not None:
        as_of = spec.end
        windows = (*windows, Window.RANGE)
    elif spec.as_of == "latest":
        as_of = newest_poll
    elif spec.as_of == "now":
        as_of = now
    else:
        as_of = spec.as_of
    return ReportRequest(
        as_of=as_of,
        windows=tuple(dict.fromkeys(windows)),
        start=spec.start,
        end=spec.end,
        store_ids=spec.store_ids and tuple(sorted(set(spec.store_ids))),
        rules=spec.rules,
    )
