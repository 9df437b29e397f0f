"""Parts of messages: counted nouns, and values and lists of ids of bounded length."""

from __future__ import annotations

MAX_VALUE = 60
MAX_MESSAGE = 2000
MAX_IDS = 20


def shorten(text: str, most: int = MAX_MESSAGE) -> str:
    """Truncate a text to a number of characters, with ``…`` in place of the rest.

    Examples
    --------
    >>> shorten("abcdef", 4)
    'abc…'
    """
    return text if len(text) <= most else text[: most - 1] + "…"


def quote_value(value: object, most: int = MAX_VALUE) -> str:
    """Quote an input value for a message.

    Examples
    --------
    >>> quote_value("x" * 100, 5)
    "'xxxx…'"
    >>> quote_value(7)
    '7'
    """
    return repr(shorten(value, most)) if isinstance(value, str) else shorten(repr(value), most)


def pluralize(number: int, what: str) -> str:
    """Format a count with its noun.

    Examples
    --------
    >>> pluralize(1, "store"), pluralize(2000, "store")
    ('1 store', '2,000 stores')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def summarize_ids(ids: list[str], most: int = MAX_IDS) -> str:
    """List the first ids, and the number of the others.

    Examples
    --------
    >>> summarize_ids(["s1", "s2", "s3"], 2)
    's1, s2 and 1 more'
    """
    listed = ", ".join(ids[:most])
    others = len(ids) - most
    return f"{listed} and {others:,} more" if others > 0 else listed
