"""What all pages have in common: templates, the stylesheet, the script, how figures are told."""

from __future__ import annotations

import html
import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from storemon_pipeline.pages.timeline import length_text

_MAIN, _END = '<main id="main">', "</main>"
_STORE = re.compile(r'<span class="store">([^<]*)</span>')


@dataclass(frozen=True, slots=True)
class Notice:
    """Something about the data that a reader of its figures should know.

    Attributes
    ----------
    kind : str
        ``good``, ``warn`` or ``bad``.
    label, text : str
    stores : list of str
        The first of those that it is about; ``more`` where there are more.
    """

    kind: str
    label: str
    text: str
    stores: list[str] = field(default_factory=list)
    more: bool = False


@dataclass(frozen=True, slots=True)
class WindowFigures:
    """The figures of one window, of a store or of all together.

    Attributes
    ----------
    name : str
        The window in words.
    uptime_pct : float or None
        None where nothing was observed.
    """

    name: str
    uptime_pct: float | None
    uptime_hours: float
    downtime_hours: float
    unobserved_hours: float


@dataclass(frozen=True, slots=True)
class Frame:
    """What is around a page of the API's.

    Attributes
    ----------
    root : str
        The way from the page to the API's root, such as ``../``.
    leaves : bool
        Whether there is a way out, for who has logged in.
    """

    root: str
    leaves: bool = False


def in_words(window: str) -> str:
    """A window's column name in words.

    Examples
    --------
    >>> in_words("last_calendar_week")
    'last calendar week'
    """
    return window.replace("_", " ")


def utc_text(instant: datetime) -> str:
    """An instant for people.

    Examples
    --------
    >>> utc_text(datetime(2024, 11, 12, 18, 13, 22))
    '12 Nov 2024 18:13 UTC'
    """
    return f"{instant:%-d %b %Y %H:%M} UTC"


def hours_text(hours: float) -> str:
    """A length in hours for people: minutes below two hours.

    Examples
    --------
    >>> [hours_text(hours) for hours in (0.0, 0.2, 15.97, 14092.4)]
    ['0 min', '12 min', '16.0 h', '14,092 h']
    """
    if hours < 2:  # noqa: PLR2004 - as it says
        return f"{60 * hours:.0f} min"
    return f"{hours:,.1f} h" if hours < 1000 else f"{hours:,.0f} h"  # noqa: PLR2004


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=PackageLoader("storemon_pipeline.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., str]] = {
        # a zone's name may be broken behind the slash
        "zone": lambda zone: Markup("/<wbr>").join(zone.split("/")),
        "number": lambda number: f"{number:,}",
        "utc": utc_text,
        "hours": hours_text,
        "length_text": length_text,
    }
    templates.filters.update(filters)
    # the two are the project's own, and have nothing in them that ends their element
    templates.globals["style"] = Markup(_source(templates, "style.css"))  # noqa: S704
    templates.globals["script"] = Markup(_source(templates, "script.js"))  # noqa: S704
    return templates


def _source(templates: Environment, name: str) -> str:
    if templates.loader is None:  # pragma: no cover - it was given above
        raise FileNotFoundError(name)
    return templates.loader.get_source(templates, name)[0]


def render(template: str, frame: Frame | None, *, title: str, here: str = "", **shown: Any) -> str:
    """A page.

    Parameters
    ----------
    template : str
    frame : Frame or None
        None for a page by itself, which leads nowhere.
    title : str
    here : str
        The entry of the navigation that the page belongs to.
    **shown
        What the template shows.
    """
    return _templates().get_template(template).render(frame=frame, title=title, here=here, **shown)


@cache
def content_security_policy() -> str:
    """What a browser may load and run for a page: what is in it, and the API's own answers."""
    digest = b64encode(sha256(str(_templates().globals["script"]).encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "img-src data:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )


def main_of(page: str) -> str:
    """The content of a page, without its frame; nothing where it has none."""
    return page.partition(_MAIN)[2].rpartition(_END)[0]


def linked(content: str, root: str) -> Markup:
    """The content of a page with the names of stores as links to their pages.

    A file that lies somewhere by itself has no pages of stores beside it, so they are none there.
    """

    def link(name: re.Match[str]) -> str:
        path = quote(html.unescape(name[1]), safe="")
        return f'<a class="store" href="{root}stores/{path}">{name[1]}</a>'

    # the content was escaped when it was rendered
    return Markup(_STORE.sub(link, content))  # noqa: S704
