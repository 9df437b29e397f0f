"""Rendering of Vega-Lite charts without a browser, as part of a page or as an image.

Colours refer to variables of the stylesheet, so that a chart follows the page's light or dark
scheme. An image is not part of a page and is always light. Each chart has a text description for
screen readers.
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

# the width of a phone; the page scales the chart up
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
    """A rendered chart.

    Attributes
    ----------
    name : str
        Class of the SVG element and prefix of its ids.
    title : str
    description : str
        Text alternative, in a sentence.
    svg : str
        Output of Vega.
    """

    name: str
    title: str
    description: str
    svg: str

    def __html__(self) -> Markup:
        """Return the chart as a ``figure`` element, with a tooltip on each mark."""
        # title elements are tooltips in all browsers; roles inside an image have no effect
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
        """Return the chart as a self-contained image in a ``data:`` URI."""
        colours = _light_colours()
        svg = self.svg.replace("currentColor", colours["ink"])
        svg = re.sub(r"var\(--([\w-]+)\)", lambda name: colours[name[1]], svg)
        outer = _OUTER.match(svg)
        if outer is None:  # pragma: no cover - the version of Vega is pinned
            msg = "the SVG does not start like Vega's output"
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
    """Return the colours of the light scheme by name, from the first block of the stylesheet."""
    style = files("storemon_pipeline.pages").joinpath("templates/style.css").read_text("utf-8")
    light, _, _ = style.partition("}")
    return dict(re.findall(r"--([\w-]+): (#\w+);", light))


def warm_up() -> None:
    """Render an empty chart, because the first one of a process takes half a second longer."""
    render_chart("nothing", "", "", {"data": {"values": []}, "mark": "bar", "encoding": {}})


def render_chart(name: str, title: str, description: str, spec: dict[str, Any]) -> Chart:
    """Render a chart.

    Parameters
    ----------
    name, title, description : str
        As for :class:`Chart`.
    spec : dict
        Vega-Lite specification; size and style have defaults.
    """
    # imported late to keep the loading of the definitions fast
    import vl_convert  # noqa: PLC0415

    whole = {"width": _WIDTH, "height": _HEIGHT, "config": _CONFIG} | spec
    return Chart(name, title, description, vl_convert.vegalite_to_svg(whole, vl_version=_VERSION))
