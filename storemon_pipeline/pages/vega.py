"""How a chart is drawn: Vega-Lite without a browser, as a figure of a page or as an image.

Colours are names of the stylesheet's, so that a chart is light or dark with its page; an image,
which has no page around it, is light. A chart says in words what it shows, for those who cannot
see it.
"""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

from markupsafe import Markup

# charts are drawn for the width of a phone and grow with the page
_WIDTH, _HEIGHT = 380, 180
_IMAGE_WIDTH = 680
_VERSION = "5.21"
_CONFIG: dict[str, Any] = {
    "background": None,
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": "currentColor",
        "titleColor": "currentColor",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "domainColor": "var(--line)",
        "gridColor": "var(--line)",
        "tickColor": "var(--line)",
    },
    "legend": {"labelColor": "currentColor", "labelFontSize": 12},
}
_OUTER = re.compile(r'^<svg[^>]*?class="marks"[^>]*?viewBox="0 0 ([\d.]+) ([\d.]+)">')


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart that is drawn.

    Attributes
    ----------
    name : str
        Its class and the beginning of its ids.
    title : str
    description : str
        What it shows, in a sentence.
    svg : str
        As Vega draws it.
    """

    name: str
    title: str
    description: str
    svg: str

    def __html__(self) -> Markup:
        """As a part of a page, which says what each mark is."""
        # the tool tip of all browsers; roles within an image are of no use
        svg = re.sub(
            r'<path aria-label="([^"]*)"([^>]*?)/>', r"<path\2><title>\1</title></path>", self.svg
        )
        svg = re.sub(r' (?:role|aria-\w+)="[^"]*"', "", svg)
        name = self.name
        svg = _OUTER.sub(
            rf'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \1 \2" class="{name}" '
            rf'role="img" aria-labelledby="{name}-title" aria-describedby="{name}-desc">'
            rf'<desc id="{name}-desc">{escape(self.description)}</desc>',
            svg,
            count=1,
        )
        return Markup(  # noqa: S704 - all text is escaped, by Vega or above
            f'<figure class="chart"><figcaption id="{name}-title">{escape(self.title)}'
            f"</figcaption>{svg}</figure>"
        )

    def data_uri(self) -> str:
        """As the address of an image that has everything within it."""
        colours = _light_colours()
        svg = self.svg.replace("currentColor", colours["ink"])
        svg = re.sub(r"var\(--([\w-]+)\)", lambda name: colours[name[1]], svg)
        outer = _OUTER.match(svg)
        if outer is None:  # pragma: no cover - the version of Vega is fixed
            msg = "the drawing does not begin as Vega's do"
            raise ValueError(msg)
        width, height = float(outer[1]), float(outer[2])
        svg = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_IMAGE_WIDTH}" '
            f'height="{_IMAGE_WIDTH * height / width:.0f}" viewBox="0 0 {width:g} {height:g}">'
            f'<rect width="100%" height="100%" fill="{colours["card"]}"/>' + svg[outer.end() :]
        )
        return f"data:image/svg+xml;base64,{b64encode(svg.encode()).decode()}"


@cache
def _light_colours() -> dict[str, str]:
    """The colours by name, as the stylesheet has them before it speaks of the dark."""
    style = files("storemon_pipeline.pages").joinpath("templates/style.css").read_text("utf-8")
    light, _, _ = style.partition("}")
    return dict(re.findall(r"--([\w-]+): (#\w+);", light))


def warm_up() -> None:
    """Draw nothing: the first chart of a process takes half a second more than all others."""
    render_chart("nothing", "", "", {"data": {"values": []}, "mark": "bar", "encoding": {}})


def render_chart(name: str, title: str, description: str, spec: dict[str, Any]) -> Chart:
    """Draw a chart.

    Parameters
    ----------
    name, title, description : str
        As for :class:`Chart`.
    spec : dict
        Of Vega-Lite; size and looks are given where it has none of its own.
    """
    # imported late: loading the definitions need not take its time
    import vl_convert  # noqa: PLC0415

    whole = {"width": _WIDTH, "height": _HEIGHT, "config": _CONFIG} | spec
    return Chart(name, title, description, vl_convert.vegalite_to_svg(whole, vl_version=_VERSION))
