"""Plots for Dagster's UI: what a report looks like at a glance, as images in the metadata."""

from __future__ import annotations

from base64 import b64encode
from datetime import datetime
from io import BytesIO
from typing import TYPE_CHECKING

import dagster as dg
import numpy as np
import numpy.typing as npt
import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_UP, _DOWN, _INK = "#2f855a", "#c53030", "#2d3748"
_MANY, _MOMENTS = 100, 800
_WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]


def _figure(title: str, *, height: float = 3.2) -> tuple[Figure, Axes]:
    # imported late: loading the definitions need not take the half second
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(8, height))
    axes = figure.subplots()
    # margins by hand: laying out by matplotlib takes as long as drawing
    figure.subplots_adjust(left=0.09, right=0.97, bottom=0.16, top=0.88)
    axes.set_title(title, loc="left", color=_INK, fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _image(figure: Figure, what: str) -> dg.MetadataValue:
    """A figure as an image in Markdown, with its description for those who cannot see it."""
    png = BytesIO()
    figure.savefig(png, format="png", dpi=110)
    return dg.MetadataValue.md(
        f"![{what}](data:image/png;base64,{b64encode(png.getvalue()).decode()})"
    )


def uptime_distribution(uptime_pct: pd.Series, window: str) -> dg.MetadataValue:
    """How many stores have which uptime.

    Parameters
    ----------
    uptime_pct : Series of float64
        A store each; NaN where nothing was observed.
    window : str
        The window's column name.
    """
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - as above

    known = uptime_pct.dropna()
    title = f"Stores by uptime, {_in_words(window)} ({len(known):,} stores)"
    figure, axes = _figure(title)
    counts, edges = np.histogram(known, bins=np.linspace(0, 100, 21))
    bars = axes.bar(edges[:-1], counts, width=4.6, align="edge", color=_UP)
    axes.bar_label(bars, [f"{count:,}" if count else "" for count in counts], fontsize=8)
    axes.set_xlabel("uptime, % of observed open time")
    axes.set_ylabel("stores")
    axes.set_xlim(0, 100)
    if counts.max() > _MANY:
        # most stores are nearly always up: on a linear scale the others would not be seen
        axes.set_yscale("symlog", linthresh=10)
    else:
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(0, max(1, counts.max()) * 1.15)
    axes.yaxis.set_major_formatter(lambda count, _: f"{count:,.0f}")
    return _image(figure, title)


def downtime_heat_map(
    open_minutes: npt.NDArray[np.float64], downtime_minutes: npt.NDArray[np.float64]
) -> dg.MetadataValue:
    """Which share of the fleet's open time was downtime, by local weekday and hour.

    Parameters
    ----------
    open_minutes, downtime_minutes : float64 arrays, shape (7, 24)
        A row a weekday from Monday.
    """
    title = "Downtime, % of the stores' open time, by local weekday and hour"
    share = np.full((7, 24), np.nan)
    np.divide(100 * downtime_minutes, open_minutes, out=share, where=open_minutes > 0)
    figure, axes = _figure(title)
    image = axes.imshow(share, cmap="Reds", aspect="auto", vmin=0)
    axes.set_yticks(range(7), _WEEKDAYS)
    axes.set_xticks(range(0, 24, 2), [f"{hour:02}" for hour in range(0, 24, 2)])
    axes.set_xlabel("hour of the store's local day")
    figure.colorbar(image, ax=axes, label="%")
    return _image(figure, title)


def stores_down(events: pd.DataFrame, span: tuple[datetime, datetime]) -> dg.MetadataValue:
    """How many stores were down at once, over time.

    Parameters
    ----------
    events : DataFrame
        ``start_utc``, ``end_utc`` of each downtime event; may be empty.
    span : tuple of datetime
        The time that was looked at.
    """
    from matplotlib.dates import ConciseDateFormatter  # noqa: PLC0415 - as above

    title = "Stores down while open, at once (UTC)"
    figure, axes = _figure(title)
    # as many moments as the plot has room for, however many events there are
    moments = pd.date_range(*span, periods=_MOMENTS, unit="us").tz_localize(None).to_numpy()
    begun = np.searchsorted(_sorted(events["start_utc"]), moments, side="right")
    ended = np.searchsorted(_sorted(events["end_utc"]), moments, side="right")
    axes.fill_between(moments, begun - ended, step="post", color=_DOWN, alpha=0.85, lw=0)
    axes.set_ylabel("stores")
    axes.set_xlim(moments[0], moments[-1])
    axes.set_ylim(bottom=0)
    formatter = ConciseDateFormatter(axes.xaxis.get_major_locator())  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(formatter)
    return _image(figure, title)


def _sorted(instants: pd.Series) -> npt.NDArray[np.datetime64]:
    naive = pd.DatetimeIndex(instants).tz_convert("UTC").tz_localize(None)
    return np.sort(naive.to_numpy())


def _in_words(window: str) -> str:
    return window.replace("_", " ")
