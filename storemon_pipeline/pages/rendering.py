"""Rendering shared by all pages: templates, stylesheet, script and content security policy."""

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
    """A notice about the data behind the figures.

    Attributes
    ----------
    kind : str
        ``good``, ``warn`` or ``bad``.
    label, text : str
    stores : list of str
        The first affected stores; ``more`` says whether the list is incomplete.
    """

    kind: str
    label: str
    text: str
    stores: list[str] = field(default_factory=list)
    more: bool = False


@dataclass(frozen=True, slots=True)
class WindowFigures:
    """The figures of one window, for one store or for all stores.

    Attributes
    ----------
    name : str
        Label of the window.
    uptime_pct : float or None
        None without observed open time.
    """

    name: str
    uptime_pct: float | None
    uptime_hours: float
    downtime_hours: float
    unobserved_hours: float


@dataclass(frozen=True, slots=True)
class PageContext:
    """The context of a page that the API serves.

    Attributes
    ----------
    root : str
        Relative path from the page to the API's root, such as ``../``.
    show_logout : bool
        Whether to show the logout button.
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
        # allow a line break after the slash of a zone's name
        "zone": lambda zone: Markup("/<wbr>").join(zone.split("/")),
        "number": lambda number: f"{number:,}",
        "utc": format_utc,
        "hours": format_hours,
        "duration": format_duration,
    }
    templates.filters.update(filters)
    # both files belong to the package and contain no closing tag
    templates.globals["style"] = Markup(_source(templates, "style.css"))  # noqa: S704
    templates.globals["script"] = Markup(_source(templates, "script.js"))  # noqa: S704
    return templates


def _source(templates: Environment, name: str) -> str:
    if templates.loader is None:  # pragma: no cover - set above
        raise FileNotFoundError(name)
    return templates.loader.get_source(templates, name)[0]


def render(
    template: str, frame: PageContext | None, *, title: str, active: str = "", **variables: Any
) -> str:
    """Render a template.

    Parameters
    ----------
    frame : PageContext or None
        None for a standalone page, which has no navigation.
    active : str
        The current entry of the navigation.
    **variables
        Variables of the template.
    """
    return (
        _templates()
        .get_template(template)
        .render(frame=frame, title=title, active=active, **variables)
    )


@cache
def content_security_policy() -> str:
    """Return the Content-Security-Policy of a page: inline content and requests to the API only."""
    digest = b64encode(sha256(str(_templates().globals["script"]).encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "img-src data:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )


def extract_main(page: str) -> str:
    """Return the content of the ``main`` element of a page, or an empty string without one."""
    return page.partition(_MAIN)[2].rpartition(_END)[0]


def link_stores(content: str, root: str) -> Markup:
    """Replace store names in the content of a page by links to their pages.

    ``report.html`` has no links, because it can be opened as a file.
    """

    def link(name: re.Match[str]) -> str:
        path = quote(html.unescape(name[1]), safe="")
        return f'<a class="store" href="{root}stores/{path}">{name[1]}</a>'

    # the content was escaped during rendering
    return Markup(_STORE.sub(link, content))  # noqa: S704


def problem_page(status: int, title: str, detail: str, *, frame: PageContext) -> str:
    """Return the page of an error."""
    return render("problem.html", frame, title=title, status=status, detail=detail)


def login_page(*, root: str, next_path: str, problem: str = "") -> str:
    """Return the login page.

    Parameters
    ----------
    root : str
        Relative path from the page to the API's root.
    next_path : str
        Path to open after login.
    problem : str
        Error message about the submitted token.
    """
    # no navigation, because the other pages need a login
    return render("login.html", None, title="Log in", root=root, next=next_path, problem=problem)
