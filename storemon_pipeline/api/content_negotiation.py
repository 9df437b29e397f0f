"""Media types, and negotiation of the content encoding."""

from __future__ import annotations

CSV, HTML = "text/csv", "text/html"


def accepts_gzip(accept_encoding: str) -> bool:
    """Return whether an ``Accept-Encoding`` header accepts gzip.

    Examples
    --------
    >>> [accepts_gzip(header) for header in ("gzip, br", "*;q=0.5", "br", "gzip;q=0, *", "")]
    [True, True, False, False, False]
    """
    qualities = {}
    for part in accept_encoding.lower().split(","):
        encoding, *parameters = map(str.strip, part.split(";"))
        quality = next((text[2:] for text in parameters if text.startswith("q=")), "1")
        try:
            qualities[encoding] = float(quality)
        except ValueError:
            qualities[encoding] = 0.0
    return qualities.get("gzip", qualities.get("*", 0.0)) > 0
