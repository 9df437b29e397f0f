"""Pages of reports: the list, a report in progress, a completed report, and the fleet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pandas as pd

from storemon_pipeline.pages.charts.uptime_trend import uptime_trend
from storemon_pipeline.pages.formatting import format_duration, format_utc, window_label
from storemon_pipeline.pages.quality_notices import DataQuality, quality_notices
from storemon_pipeline.pages.rendering import Notice, PageContext, extract_main, link_stores, render
from storemon_pipeline.uptime.messages import pluralize, shorten
from storemon_pipeline.uptime.report_request import DEFAULT_WINDOWS
from storemon_pipeline.uptime.windows import Window

_KINDS = {"Complete": "good", "Failed": "bad", "Canceled": "warn"}
# a range is requested by start and end
_CHOICES = [(item.value, window_label(item.suffix)) for item in Window if item is not Window.RANGE]
_WAITING = "Waiting to start."
NO_WINDOW_MESSAGE = "Select at least one window, or enter a range."
"""Error of the form when it is submitted without a window."""

_STALE_AFTER = timedelta(hours=3)
_MAX_ERROR_LENGTH = 300  # characters; the run has the whole error


@dataclass(frozen=True, slots=True)
class ListedReport:
    """A report as pages show it."""

    id: str
    status: str
    requested_at: datetime
    as_of: datetime | None
    stores: int | None
    windows: str
    has_run: bool

    @property
    def is_waiting(self) -> bool:
        """Return whether the report has no run yet."""
        return self.status == "Queued" and not self.has_run

    @property
    def kind(self) -> str:
        """Return the badge style of the status."""
        return _KINDS.get(self.status, "")


@dataclass(frozen=True, slots=True)
class ReportForm:
    """Field values of the form that creates a report.

    Attributes
    ----------
    windows, start, end, store_ids
        As entered.
    errors : mapping
        Error message by field.
    """

    windows: Sequence[str] = DEFAULT_WINDOWS
    start: str = ""
    end: str = ""
    store_ids: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)


def reports_page(
    reports: list[ListedReport],
    *,
    older: str = "",
    form: ReportForm | None = None,
    problem: str = "",
    frame: PageContext,
) -> str:
    """Return the page that lists reports and has the form that creates one.

    Parameters
    ----------
    older : str
        Query string of the next page of older reports; empty on the last page.
    form : ReportForm, optional
    problem : str
        Error message about the form.
    """
    return render(
        "reports.html",
        frame,
        active="Reports",
        title="Reports",
        reports=reports,
        older=older,
        form=form or ReportForm(),
        problem=problem,
        choices=_CHOICES,
        no_window_message=NO_WINDOW_MESSAGE,
        waiting=_WAITING,
    )


def progress_page(
    report: ListedReport,
    *,
    in_progress: bool,
    error: str | None,
    files: Mapping[str, str],
    frame: PageContext,
) -> str:
    """Return the page of a report without ``report.html``: in progress, failed or old.

    Parameters
    ----------
    in_progress : bool
        Whether to refresh until the report has ended.
    files : mapping
        URLs of its files, by name.
    """
    return render(
        "progress.html",
        frame,
        active="Reports",
        title=f"Report: {report.status}",
        report=report,
        waiting=_WAITING,
        in_progress=in_progress,
        error=error,
        files=list(files.items()),
    )


def report_page(report_html: str, *, files: Mapping[str, str], frame: PageContext) -> str:
    """Return ``report.html`` as a page of the API.

    Parameters
    ----------
    report_html : str
        Result of :func:`~storemon_pipeline.pages.report_html.render_report_html`.
    files : mapping
        URLs of the report's files, by name.
    """
    return render(
        "report_embed.html",
        frame,
        active="Reports",
        title="Report",
        files=list(files.items()),
        content=link_stores(extract_main(report_html), frame.root),
    )


def fleet_page(
    report_html: str | None,
    report_id: str | None,
    notices: list[Notice],
    history: pd.DataFrame,
    *,
    frame: PageContext,
) -> str:
    """Return the page of all stores: the latest report and the current data quality.

    Parameters
    ----------
    report_html : str or None
        Page of the latest report, if it has one.
    notices : list of Notice
        Result of :func:`data_notices`.
    history : DataFrame
        ``as_of``, ``uptime_pct`` of past reports, oldest first.
    """
    return render(
        "fleet.html",
        frame,
        active="Fleet",
        title="Fleet",
        report_id=report_id,
        notices=notices,
        trend=uptime_trend(history),
        # one level below the heading of this page
        content=link_stores(extract_main(report_html).replace("h1>", "h2>"), frame.root)
        if report_html
        else None,
    )


def ingest_failed(runs: int, since: datetime, error: str) -> Notice:
    """Return the notice that the latest files could not be ingested.

    Parameters
    ----------
    runs : int
        Number of failed ingests since the last success.
    since : datetime
        Time of the first failure.
    error : str
        Error of the last failure.
    """
    which = "ingest" if runs == 1 else pluralize(runs, "ingest")
    text = (
        f"The last {which} failed (since {format_utc(since)}): "
        f"{shorten(error, _MAX_ERROR_LENGTH)}. The figures use the previous files"
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
    """Return the notices about the current data.

    Parameters
    ----------
    stores, silent : int
        Number of stores, and of those without a poll in the day before the newest poll.
    """
    quality_items = quality_notices(quality)
    if newest_poll is None:
        return [Notice("warn", "Empty", "No polls yet"), *quality_items]
    age = now - newest_poll
    result = [
        Notice(
            "warn" if age > _STALE_AFTER else "good",
            "Age",
            f"The newest poll is {format_duration(age.total_seconds() / 60)} old",
        ),
        Notice(
            "warn" if silent else "good",
            "Silent",
            f"{silent:,} of {pluralize(stores, 'store')} not polled in the 24 h before that",
        ),
    ]
    rows = sum(quality.bad_rows.values())
    text = f"{pluralize(rows, 'row')} rejected" if rows else "No rows rejected"
    result.append(Notice("warn" if rows else "good", "Rows", text))
    return result + quality_items
