"""Content negotiation: the Accept and Accept-Encoding headers."""

from __future__ import annotations

CSV, HTML = "text/csv", "text/html"


def accepts_gzip(accepted: str) -> bool:
    """Whether who accepts these encodings takes gzip.

    Examples
    --------
    >>> [accepts_gzip(each) for each in ("gzip, br", "*;q=0.5", "br", "gzip;q=0, *", "")]
    [True, True, False, False, False]
    """
    return _quality(_parse_accept(accepted), "gzip", "*") > 0


def prefers_csv(accepted: str) -> bool:
    """Whether who accepts these types would rather have CSV than JSON.

    Examples
    --------
    >>> [prefers_csv(each) for each in ("text/csv", "text/*", "text/csv;q=0.5, application/json")]
    [True, True, False]
    >>> prefers_csv("*/*"), prefers_csv("text/csv;q=0.5, application/json;q=0, */*;q=0.8")
    (False, True)
    """
    weights = _parse_accept(accepted)
    csv = _quality(weights, CSV, "text/*")
    return csv > 0 and csv >= _quality(weights, "application/json", "application/*", "*/*")


def _quality(weights: dict[str, float], *names: str) -> float:
    """How much a thing is wanted that has these names, the most specific one first."""
    return next((weights[name] for name in names if name in weights), 0.0)


def _parse_accept(accepted: str) -> dict[str, float]:
    """How much somebody wants each of what he accepts, from 0 to 1."""
    weights = {}
    for part in accepted.lower().split(","):
        name, *parameters = map(str.strip, part.split(";"))
        given = [each.partition("=")[2] for each in parameters if each.startswith("q=")]
        try:
            weights[name] = float(given[0]) if given else 1.0
        except ValueError:
            weights[name] = 0.0
    return weights
