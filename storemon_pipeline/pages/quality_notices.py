"""What to know about the data behind figures, in words: for pages and for the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from storemon_pipeline.pages.rendering import Notice
from storemon_pipeline.uptime.assumptions import Assumptions
from storemon_pipeline.uptime.messages import pluralize
from storemon_pipeline.uptime.rules import DEFAULT_TIMEZONE, MissingDay


@dataclass(frozen=True, slots=True)
class DataQuality:
    """What is known of the files that figures were made from.

    Attributes
    ----------
    bad_rows : mapping
        Raw file -> how many of its rows were quarantined.
    unread : mapping
        File that looks like data and was not read -> why.
    unmatched : sequence of str
        A sentence for each snapshot of whose stores hardly any was polled.
    assumptions : Assumptions or None
        None where no figures were made.
    """

    bad_rows: Mapping[str, int] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)
    unmatched: Sequence[str] = ()
    assumptions: Assumptions | None = None


def quality_notices(quality: DataQuality) -> list[Notice]:
    """Notices for a page: what was assumed, not read, or does not fit."""
    return [
        *(Notice("bad", "Ids", _sentence(text)) for text in quality.unmatched),
        *(Notice("warn", label, _sentence(text)) for label, text in _assumed(quality.assumptions)),
        *(
            Notice("warn", "Not read", f"{file} is not read: {reason}")
            for file, reason in quality.unread.items()
        ),
    ]


def quality_lines(quality: DataQuality) -> list[str]:
    """The same as lines for a log."""
    return [
        *quality.unmatched,
        *(text for _, text in _assumed(quality.assumptions)),
        *(f"{file} is not read: {reason}" for file, reason in quality.unread.items()),
    ]


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _assumed(known: Assumptions | None) -> list[tuple[str, str]]:
    if known is None:
        return []
    of_all = f"of {pluralize(known.stores, 'store')}"
    taken = "open all day" if known.missing_day is MissingDay.OPEN else "closed"
    counts = [
        (known.without_hours, "Hours", "without opening hours, taken as always open"),
        (known.with_missing_days, "Weekdays", f"with weekdays without hours, taken as {taken}"),
        (
            known.without_timezone,
            "Time zone",
            f"without a known time zone, taken as {DEFAULT_TIMEZONE}",
        ),
    ]
    return [(label, f"{count:,} {of_all} {text}") for count, label, text in counts if count]
