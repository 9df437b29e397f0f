"""Data quality notices for pages and for the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from storemon_pipeline.pages.rendering import Notice
from storemon_pipeline.uptime.assumptions import Assumptions
from storemon_pipeline.uptime.messages import pluralize
from storemon_pipeline.uptime.rules import DEFAULT_TIMEZONE, MissingDay


@dataclass(frozen=True, slots=True)
class DataQuality:
    """Quality of the data behind the figures.

    Attributes
    ----------
    bad_rows : mapping
        Raw file -> number of rejected rows.
    unread : mapping
        Skipped file that looks like data -> reason.
    unmatched : sequence of str
        A sentence for each snapshot whose stores hardly match the polls.
    assumptions : Assumptions or None
        None without figures.
    """

    bad_rows: Mapping[str, int] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)
    unmatched: Sequence[str] = ()
    assumptions: Assumptions | None = None


def quality_notices(quality: DataQuality) -> list[Notice]:
    """Return the notices for a page: unmatched stores, assumptions and skipped files."""
    return [
        *(Notice("bad", "Store IDs", _sentence(text)) for text in quality.unmatched),
        *(
            Notice("warn", label, _sentence(text))
            for label, text in _assumption_texts(quality.assumptions)
        ),
        *(
            Notice("warn", "Not read", f"{file} is not read: {reason}")
            for file, reason in quality.unread.items()
        ),
    ]


def quality_lines(quality: DataQuality) -> list[str]:
    """Return the same notices as lines for a log."""
    return [
        *quality.unmatched,
        *(text for _, text in _assumption_texts(quality.assumptions)),
        *(f"{file} is not read: {reason}" for file, reason in quality.unread.items()),
    ]


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _assumption_texts(assumptions: Assumptions | None) -> list[tuple[str, str]]:
    if assumptions is None:
        return []
    total = f"of {pluralize(assumptions.stores, 'store')}"
    default = "open all day" if assumptions.missing_day is MissingDay.OPEN else "closed"
    counts = [
        (assumptions.without_hours, "Hours", "without opening hours, assumed always open"),
        (
            assumptions.with_missing_days,
            "Weekdays",
            f"with weekdays without hours, assumed {default}",
        ),
        (
            assumptions.without_timezone,
            "Time zone",
            f"without a known time zone, assumed {DEFAULT_TIMEZONE}",
        ),
    ]
    return [(label, f"{count:,} {total} {text}") for count, label, text in counts if count]
