"""The pages around reports: all of them, one that is on its way, one that is there, the fleet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pandas as pd

from storemon_pipeline.pages import charts
from storemon_pipeline.pages.formatting import format_duration, format_utc, window_label
from storemon_pipeline.pages.quality_notices import DataQuality, quality_notices
from storemon_pipeline.pages.rendering import Notice, PageContext, extract_main, link_stores, render
from storemon_pipeline.uptime.messages import pluralize, shorten
from storemon_pipeline.uptime.report_request import DEFAULT_WINDOWS
from storemon_pipeline.uptime.windows import Window

_KINDS = {"Complete": "good", "Failed": "bad", "Canceled": "warn"}
# a range is asked for by its beginning and end
_CHOICES = [(each.value, window_label(each.suffix)) for each in Window if each is not Window.RANGE]
_WAITS = "It waits for Dagster to start it."
NO_WINDOW_MESSAGE = "Tick at least one window, or give a range."
"""What the form says where it was asked for no window."""

_STALE_AFTER = timedelta(hours=3)
_ERROR = 300  # characters: the run has all of it


@dataclass(frozen=True, slots=True)
class ListedReport:
    """A report as pages tell of it."""

    id: str
    status: str
    requested_at: datetime
    as_of: datetime | None
    stores: int | None
    windows: str
    has_run: bool

    @property
    def is_waiting(self) -> bool:
        """Whether nobody has begun with it."""
        return self.status == "Queued" and not self.has_run

    @property
    def kind(self) -> str:
        """How its status is shown."""
        return _KINDS.get(self.status, "")


@dataclass(frozen=True, slots=True)
class ReportForm:
    """What the form that asks for a report has in its fields.

    Attributes
    ----------
    windows, start, end, store_ids
        As they were written.
    wrong : mapping
        What is wrong with a field, by its name.
    """

    windows: Sequence[str] = DEFAULT_WINDOWS
    start: str = ""
    end: str = ""
    store_ids: str = ""
    wrong: Mapping[str, str] = field(default_factory=dict)


def reports_page(
    reports: list[ListedReport],
    *,
    older: str = "",
    asked: ReportForm | None = None,
    problem: str = "",
    frame: PageContext,
) -> str:
    """The page of all reports, with the form that asks for one.

    Parameters
    ----------
    reports : list of ListedReport
    older : str
        The query that leads to those before; empty where there are none.
    asked : ReportForm, optional
    problem : str
        What was wrong with that.
    frame : PageContext
    """
    return render(
        "reports.html",
        frame,
        active="Reports",
        title="Reports",
        reports=reports,
        older=older,
        asked=asked or ReportForm(),
        problem=problem,
        choices=_CHOICES,
        nothing_asked=NO_WINDOW_MESSAGE,
        waits=_WAITS,
    )


def progress_page(
    report: ListedReport,
    *,
    goes_on: bool,
    error: str | None,
    files: Mapping[str, str],
    frame: PageContext,
) -> str:
    """The page of a report that has no page of its own: not yet, or never.

    Parameters
    ----------
    report : ListedReport
    goes_on : bool
        Whether to look again until it has ended.
    error : str or None
    files : mapping
        The files that it has, by name.
    frame : PageContext
    """
    return render(
        "progress.html",
        frame,
        active="Reports",
        title=f"Report: {report.status}",
        report=report,
        waits=_WAITS,
        goes_on=goes_on,
        error=error,
        files=list(files.items()),
    )


def report_page(written: str, *, files: Mapping[str, str], frame: PageContext) -> str:
    """The page that a report's run has written, as one of the API's.

    Parameters
    ----------
    written : str
        Of :func:`~storemon_pipeline.pages.report.render_report_html`.
    files : mapping
        The report's files, by name.
    frame : PageContext
    """
    return render(
        "report_embed.html",
        frame,
        active="Reports",
        title="Report",
        files=list(files.items()),
        content=link_stores(extract_main(written), frame.root),
    )


def fleet_page(
    written: str | None,
    report_id: str | None,
    notices: list[Notice],
    history: pd.DataFrame,
    *,
    frame: PageContext,
) -> str:
    """The page of all stores together: the newest report's, and how the data is by now.

    Parameters
    ----------
    written : str or None
        The page that the newest report's run has written; None where there is none.
    report_id : str or None
    notices : list of Notice
        Of :func:`data_notices`.
    history : DataFrame
        ``as_of``, ``uptime_pct`` of past reports, oldest first.
    frame : PageContext
    """
    return render(
        "fleet.html",
        frame,
        active="Fleet",
        title="Fleet",
        report_id=report_id,
        notices=notices,
        trend=charts.trend(history),
        # below this page's own heading
        content=link_stores(extract_main(written).replace("h1>", "h2>"), frame.root)
        if written
        else None,
    )


def ingest_failed(runs: int, since: datetime, error: str) -> Notice:
    """What to know where the newest files are not in the tables.

    Parameters
    ----------
    runs : int
        How many ingests failed since the last one that succeeded.
    since : datetime
        When the first of them failed.
    error : str
        Why the last of them failed.
    """
    which = "ingest" if runs == 1 else pluralize(runs, "ingest")
    text = (
        f"The last {which} failed, since {format_utc(since)}: "
        f"{shorten(error, _ERROR)}. The figures are of the files before"
    )
    return Notice("bad", "Ingest failed", text)


def data_notices(
    *,
    now: datetime,
    newest_poll: datetime | None,
    stores: int,
    silent: int,
    quality: DataQuality,
) -> list[Notice]:
    """What to know of the data as it is now.

    Parameters
    ----------
    now, newest_poll : datetime
    stores, silent : int
        How many were ever polled; how many of them not in the last day before the newest poll.
    quality : DataQuality
    """
    others = quality_notices(quality)
    if newest_poll is None:
        return [Notice("warn", "Empty", "There are no polls yet"), *others]
    age = now - newest_poll
    found = [
        Notice(
            "warn" if age > _STALE_AFTER else "good",
            "Age",
            f"The newest poll is {format_duration(age.total_seconds() / 60)} old",
        ),
        Notice(
            "warn" if silent else "good",
            "Silent",
            f"{silent:,} of {pluralize(stores, 'store')} not polled in the day before it",
        ),
    ]
    rows = sum(quality.bad_rows.values())
    said = "No row was set aside" if not rows else f"{pluralize(rows, 'bad row')} set aside"
    found.append(Notice("warn" if rows else "good", "Rows", said))
    return found + others
