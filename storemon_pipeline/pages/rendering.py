"""What all pages have in common: templates, the stylesheet, the script, how figures are told."""

from __future__ import annotations

import html
import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from storemon_pipeline.pages.formatting import format_duration, format_hours, format_utc

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
class PageContext:
    """What is around a page of the API's.

    Attributes
    ----------
    root : str
        The way from the page to the API's root, such as ``../``.
    show_logout : bool
        Whether there is a way out, for who has logged in.
    """

    root: str
    show_logout: bool = False


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
        "utc": format_utc,
        "hours": format_hours,
        "length_text": format_duration,
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


def render(
    template: str, frame: PageContext | None, *, title: str, active: str = "", **shown: Any
) -> str:
    """A page.

    Parameters
    ----------
    template : str
    frame : PageContext or None
        None for a page by itself, which leads nowhere.
    title : str
    active : str
        The entry of the navigation that the page belongs to.
    **shown
        What the template shows.
    """
    return (
        _templates().get_template(template).render(frame=frame, title=title, active=active, **shown)
    )


@cache
def content_security_policy() -> str:
    """What a browser may load and run for a page: what is in it, and the API's own answers."""
    digest = b64encode(sha256(str(_templates().globals["script"]).encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "img-src data:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )


def extract_main(page: str) -> str:
    """The content of a page, without its frame; nothing where it has none."""
    return page.partition(_MAIN)[2].rpartition(_END)[0]


def link_stores(content: str, root: str) -> Markup:
    """The content of a page with the names of stores as links to their pages.

    A file that lies somewhere by itself has no pages of stores beside it, so they are none there.
    """

    def link(name: re.Match[str]) -> str:
        path = quote(html.unescape(name[1]), safe="")
        return f'<a class="store" href="{root}stores/{path}">{name[1]}</a>'

    # the content was escaped when it was rendered
    return Markup(_STORE.sub(link, content))  # noqa: S704


def problem_page(status: int, title: str, detail: str, *, frame: PageContext) -> str:
    """What is told of a request that cannot be answered.

    Parameters
    ----------
    status : int
    title, detail : str
    frame : PageContext
    """
    return render("problem.html", frame, title=title, status=status, detail=detail)


def login_page(*, way: str, leads_to: str, problem: str = "") -> str:
    """The form that takes a token.

    Parameters
    ----------
    way : str
        From the page to the API's root.
    leads_to : str
        The path to go on to.
    problem : str
        What was wrong with the token that was given.
    """
    # until then, no other page can be led to
    return render("login.html", None, title="Log in", way=way, next=leads_to, problem=problem)
