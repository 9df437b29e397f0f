"""Content, escaping and self-containedness of the pages."""

import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from markupsafe import Markup
from upath import UPath

from storemon_pipeline.defs.report_summary import report_summary
from storemon_pipeline.pages.charts.heat_map import heat_map
from storemon_pipeline.pages.charts.stores_down import stores_down
from storemon_pipeline.pages.charts.uptime_distribution import uptime_distribution
from storemon_pipeline.pages.charts.uptime_trend import uptime_trend
from storemon_pipeline.pages.quality_notices import DataQuality, quality_lines
from storemon_pipeline.pages.rendering import (
    PageContext,
    extract_main,
    link_stores,
    login_page,
    problem_page,
)
from storemon_pipeline.pages.report_html import (
    MOST_DOWN,
    MOST_STORES,
    ReportCharts,
    render_report_html,
)
from storemon_pipeline.pages.report_pages import (
    data_notices,
    fleet_page,
    ingest_failed,
    report_page,
)
from storemon_pipeline.pages.store import stores_page
from storemon_pipeline.pages.vega import Chart
from storemon_pipeline.uptime.assumptions import Assumptions, summarize_assumptions
from storemon_pipeline.uptime.fleet import FleetSummary
from storemon_pipeline.uptime.report_request import ReportRequest, ReportSpec, resolve_spec
from storemon_pipeline.uptime.rules import MissingDay
from storemon_pipeline_tests.helpers.pages import NO_HISTORY, text_of

AS_OF = datetime(2023, 1, 25, 18, tzinfo=UTC)
HOUR = 3_600_000_000
EVIL = "</script><img src=x onerror=alert(1)>&'\""


class Attributes(HTMLParser):
    """Collect the attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self._attributes: list[tuple[str, str | None]] = []

    def handle_starttag(
        self,
        tag: str,  # noqa: ARG002
        attrs: list[tuple[str, str | None]],
    ) -> None:
        self._attributes += attrs

    def of(self, *names: str) -> set[str]:
        return {value or "" for name, value in self._attributes if name in names}


def request(**spec: object) -> ReportRequest:
    fields = {"windows": ("day", "week")} | spec
    return resolve_spec(ReportSpec.model_validate(fields), newest_poll=AS_OF, now=AS_OF)


def written_page(fleet: FleetSummary, report_id: str, *, bad_rows: dict[str, int]) -> str:
    quality = DataQuality(bad_rows=bad_rows)
    return render_report_html(fleet, ReportCharts(fleet), report_id, quality=quality)


def fleet_of(
    stores: dict[str, tuple[float, float]],
    *,
    down_now: int = 0,
    before_span: bool = False,
    report_request: ReportRequest | None = None,
) -> FleetSummary:
    """Return a fleet with these hours up and down; the first `down_now` stores are down now."""
    report_request = report_request or request()
    ids = sorted(stores)
    up, down = (np.array([stores[store][side] for store in ids]) for side in (0, 1))
    figures = {"store_id": ids}
    levels = {"target_pct": np.full(len(ids), 90.0)}
    totals = {}
    with np.errstate(invalid="ignore"):
        share = np.round(100 * up / (up + down), 2)
    for window in (item.suffix for item in report_request.windows):
        left = (up + down) / 10 - down
        levels |= {f"met_{window}": left >= 0, f"budget_left_{window}": left}
        levels |= {f"outages_{window}": np.full(len(ids), 3)}
        figures |= {f"uptime_{window}": up, f"downtime_{window}": down}
        figures |= {f"unobserved_{window}": 0.0 * up, f"uptime_pct_{window}": share}
        totals |= {f"uptime_{window}": up.sum() * HOUR, f"downtime_{window}": down.sum() * HOUR}
        totals |= {f"unobserved_{window}": 0.0, f"open_time_{window}": (up + down).sum() * HOUR}
    figures |= {"last_poll_utc": pd.Timestamp(AS_OF), "timezone": "America/Chicago"}
    start = pd.Timestamp(AS_OF - timedelta(hours=2))
    before = pd.Timestamp(AS_OF - timedelta(hours=20))
    events = pd.DataFrame(
        {
            "store_id": ids[:down_now],
            "start_utc": pd.Series([start] * down_now, dtype="datetime64[us, UTC]"),
            "end_utc": pd.Series([pd.Timestamp(AS_OF)] * down_now, dtype="datetime64[us, UTC]"),
            "start_offset": pd.Series([-timedelta(hours=6)] * down_now, dtype="timedelta64[us]"),
            "minutes": pd.Series([120.0] * down_now, dtype="float64"),
            # down also before closing time
            "down_since_utc": pd.Series([before] * down_now, dtype="datetime64[us, UTC]"),
            "down_since_offset": pd.Series([-timedelta(hours=6)] * down_now).astype(
                "timedelta64[us]"
            ),
            "down_before": pd.Series([before_span] * down_now, dtype="bool"),
            "down_minutes": pd.Series([300.0] * down_now, dtype="float64"),
            "ongoing": pd.Series([True] * down_now, dtype="bool"),
        }
    )
    fleet = FleetSummary(
        report_request,
        metrics=[pd.DataFrame(figures)],
        events=[events],
        slo=[pd.DataFrame(levels)],
        down_now=[events],
        stores_now=Counter(down=down_now, up=len(ids) - down_now),
    )
    # the last window is the widest
    totals[f"open_time_{report_request.windows[0].suffix}"] /= len(report_request.windows)
    fleet._totals = pd.Series(totals)
    return fleet


def test_report_page_shows_figures_and_stores():
    page = written_page(
        fleet_of({"a": (150, 10), "b": (30, 10), "c": (0, 0)}, down_now=1),
        "the-run",
        bad_rows={"store_status.csv": 1},
    )
    text = text_of(page)
    # 180 of 200 hours
    assert "90.00 % up" in text
    assert "20.0 h down" in text
    assert "stores down now 1 of 3" in text
    # down since before closing time: at 22:00 UTC it was 16:00 in Chicago
    assert "a Tue 24 Jan 16:00 5 h" in text
    assert "1 store without observed open time, last week: c" in text
    assert "store_status.csv: 1 row rejected" in text
    table = page.split('id="worst-stores"')[1]
    worst = re.findall(r"<tr>(<th scope=.row.*?)</tr>", table, re.DOTALL)
    # % up in the day and the week, down, unobserved, target, met, budget left, outages
    assert [text_of(row).split()[:9] for row in worst] == [
        ["b", "75.00", "75.00", "10.00", "0.00", "90", "Missed", "-6.00", "3"],
        ["a", "93.75", "93.75", "10.00", "0.00", "90", "Met", "6.00", "3"],
    ]


def test_tile_bar_below_an_hour_is_filled():
    page = written_page(fleet_of({"a": (0.2, 0.1)}), "the-run", bad_rows={})
    meter = re.search(r'<div class="meter".*?</div>', page, re.DOTALL)
    assert meter is not None
    shares = [float(share) for share in re.findall(r"flex:([\d.]+)", meter[0])]
    # flex factors that add up to less than 1 leave a part of the bar empty
    assert shares == pytest.approx([66.67, 33.33, 0], abs=0.01)


def test_worst_stores_omit_stores_at_100_pct():
    page = written_page(fleet_of({"a": (15, 1), "b": (16, 0)}), "the-run", bad_rows={})
    table = page.split('id="worst-stores"')[1]
    assert re.findall(r'<th scope="row"><span class="store">(\w+)', table) == ["a"]
    assert (
        "Showing 1 of 2 stores (those below 100 %). See report_full.csv for all stores"
        in text_of(table)
    )


def test_worst_stores_all_at_100_pct_show_a_note():
    fleet = fleet_of({"a": (16, 0), "b": (16, 0)})
    page = written_page(fleet, "the-run", bad_rows={})
    assert 'id="worst-stores"' not in page
    assert "No store is below 100 %." in text_of(page)
    summary = report_summary(fleet, UPath("/"), [], DataQuality())
    assert "worst in last_week: no store is below 100 %\n" in summary


def test_summary_omits_stores_at_100_pct():
    summary = report_summary(fleet_of({"a": (15, 1), "b": (16, 0)}), UPath("/"), [], DataQuality())
    assert "worst in last_week: a 93.75 %\n" in summary


def test_report_page_shows_slo_and_silent_stores():
    fleet = fleet_of({"a": (150, 10), "b": (30, 10)})
    fleet.metrics[0].loc[1, "last_poll_utc"] -= pd.Timedelta(hours=25)
    fleet.targets_met["last_week"], fleet.targets_known["last_week"] = 1, 2
    text = text_of(written_page(fleet, "the-run", bad_rows={}))
    # in the tile of the window
    assert "last week 90.00 % up 20.0 h down 1 of 2 stores met their SLO target" in text
    assert text.count("met their SLO target") == 1
    assert "1 store not polled in the last day; the last status is carried forward: b" in text
    assert "No rows rejected" in text


def test_report_page_without_stores_renders():
    text = text_of(written_page(fleet_of({}), "the-run", bad_rows={}))
    assert "No store is down as of 25 Jan 2023 18:00 UTC." in text
    assert "No store has observed open time" in text
    assert "The report contains no stores" in text
    # an empty report is not shown as good
    assert "their SLO target" not in text
    assert "polled in the last day" not in text


def test_report_page_of_past_windows_hides_current_status():
    fleet = fleet_of({"a": (15, 1)}, report_request=request(windows=["yesterday"]))
    assert fleet.stores_down is None
    text = text_of(written_page(fleet, "the-run", bad_rows={}))
    assert "not available: the windows end before 25 Jan 2023 18:00 UTC" in text
    assert "it does not show which stores were down then" in text
    assert "No store is down" not in text
    assert "1 store as of 2023-01-25T18:00:00+00:00\n" in report_summary(
        fleet, UPath("/"), [], DataQuality()
    )
    # one window that ends with the report is enough
    fleet = fleet_of(
        {"a": (15, 1)}, down_now=1, report_request=request(windows=["yesterday", "day"])
    )
    assert fleet.stores_down == 1
    assert "1 store as of 2023-01-25T18:00:00+00:00, 1 of them" in report_summary(
        fleet, UPath("/"), [], DataQuality()
    )


def test_stores_down_span_follows_the_windows():
    fleet = fleet_of({"a": (15, 1)}, report_request=request(windows=["yesterday"]))
    # in Chicago
    assert fleet.span == (
        datetime(2023, 1, 24, 6, tzinfo=UTC),
        datetime(2023, 1, 25, 6, tzinfo=UTC),
    )
    assert fleet_of({}).span == (AS_OF - timedelta(days=7), AS_OF)


def test_report_page_of_a_range_shows_start_and_end():
    ranged = request(start="2023-01-20T00:00", end=AS_OF, windows=["range"], store_ids=["a"])
    text = text_of(
        written_page(fleet_of({"a": (15, 1)}, report_request=ranged), "the-run", bad_rows={})
    )
    assert (
        "1 store (selected stores), within its opening hours; "
        "range from 20 Jan 2023 00:00 UTC to 25 Jan 2023 18:00 UTC"
    ) in text


def test_report_page_of_many_stores_lists_the_worst():
    stores = {f"store-{number:05}": (100.0, number / 100) for number in range(3000)}
    page = written_page(fleet_of(stores, down_now=2000), "the-run", bad_rows={})
    assert len(page) < 400_000
    assert f"{MOST_STORES} of 3,000 stores" in text_of(page)
    assert f"Showing the {MOST_DOWN} longest of 2,000" in text_of(page)
    assert "store-02999" in page
    assert "store-02500" not in page.split('id="worst-stores"')[1]


EVIL_DATA = DataQuality(bad_rows={EVIL: 2}, unread={EVIL: EVIL}, unmatched=[EVIL])


def pages() -> dict[str, str]:
    frame = PageContext("../", show_logout=True)
    written = written_page(fleet_of({EVIL: (1, 1)}, down_now=1), EVIL, bad_rows={EVIL: 2})
    notices = data_notices(now=AS_OF, newest_poll=AS_OF, stores=1, silent=1, quality=EVIL_DATA)
    notices.append(ingest_failed(1, AS_OF, EVIL))
    return {
        "report": written,
        "shown": report_page(written, files={EVIL: EVIL}, frame=frame),
        "fleet": fleet_page(written, EVIL, notices, NO_HISTORY, frame=frame),
        "stores": stores_page(
            [(EVIL, AS_OF)], total=1, next_query="q=x&after=y", query=EVIL, frame=frame
        ),
        "problem": problem_page(404, "Not Found", EVIL, frame=frame),
        "login": login_page(root="./", next_path=EVIL, problem=EVIL),
    }


@pytest.mark.parametrize("name", pages())
def test_page_escapes_values(name: str):
    page = pages()[name]
    assert "<img" not in page
    assert page.count("</script>") == 1
    assert "onerror=alert(1)&gt;" in page


@pytest.mark.parametrize("name", pages())
def test_page_loads_no_external_resource(name: str):
    page = pages()[name]
    attributes = Attributes()
    attributes.feed(page)
    assert not attributes.of("src", "srcset", "xlink:href", "data", "poster", "background")
    links = attributes.of("href", "action", "data-submit", "data-follow")
    assert all(link.startswith(("data:,", "#", "./", "../")) for link in links - {"", EVIL})
    assert "url(" not in page
    assert "@import" not in page
    assert set(re.findall(r"https?://[^\"'\s<)]+", page)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_link_stores_links_each_name():
    content = '<span class="store">a&amp;b/c d</span>'
    assert (
        link_stores(content, "../")
        == '<a class="store" href="../stores/a%26b%2Fc%20d">a&amp;b/c d</a>'
    )


def test_extract_main_returns_the_main_element():
    page = written_page(fleet_of({"a": (1, 1)}), "the-run", bad_rows={})
    content = extract_main(page)
    assert content.strip().startswith("<h1>")
    assert content.strip().endswith("</details>")
    assert extract_main("something else") == ""


def test_outage_from_before_the_span_starts_before_it():
    page = written_page(fleet_of({"a": (1, 1)}, down_now=1, before_span=True), "a-run", bad_rows={})
    assert "a before Tue 24 Jan 16:00 over 5 h" in text_of(page)


def test_heat_map_share_at_a_limit_has_the_lower_colour():
    opened, down = np.full((7, 24), 60.0), np.zeros((7, 24))
    # 5, 10 and 25 %: colours change at 5, 10, 15 and 20
    down[0, :3] = 3, 6, 15
    svg = heat_map(opened, down, subject="last week").svg
    shares = re.findall(r'aria-label="Mon 0[0-3]-0\d: ([\d.]+) %[^"]*"[^>]*--heat-(\d)', svg)
    assert shares == [("5.0", "1"), ("10.0", "2"), ("25.0", "5"), ("0.0", "0")]


def test_heat_map_names_the_worst_hour_and_skips_closed():
    opened, down = np.zeros((7, 24)), np.zeros((7, 24))
    opened[1, 9:12] = 60
    down[1, 10] = 15
    svg = Markup(heat_map(opened, down, subject="last week"))
    assert "Worst: Tue from 10:00 to 11:00, 25.0 % of open time." in svg
    assert re.findall(r"<title>(.*?)</title>", svg) == [
        "Tue 09-10: 0.0 % of 1 h open",
        "Tue 10-11: 25.0 % of 1 h open",
        "Tue 11-12: 0.0 % of 1 h open",
    ]
    cells = re.findall(r'<path d="M([\d.]+),([\d.]+)h([\d.]+)[^"]*" fill="var\(--heat-(\d)\)"', svg)
    an_hour = float(cells[0][2])
    assert [round(float(x) / an_hour) for x, *_ in cells] == [9, 10, 11]
    assert [colour for *_, colour in cells] == ["0", "5", "0"]


def test_trend_of_equal_as_of_uses_the_newest_report():
    at = pd.to_datetime(["2023-01-24T00:00Z", "2023-01-25T00:00Z", "2023-01-25T00:00Z"])
    chart = uptime_trend(pd.DataFrame({"as_of": at, "uptime_pct": [97.5, 90.0, 99.25]}))
    assert chart is not None
    assert "in 2 reports" in chart.title
    assert chart.description.endswith("25 Jan 2023 00:00 UTC: 99.25 %.")
    # a single report is not a trend
    assert uptime_trend(pd.DataFrame({"as_of": at[1:], "uptime_pct": [90.0, 99.25]})) is None
    assert uptime_trend(pd.DataFrame({"as_of": at[:2], "uptime_pct": [np.nan, 90.0]})) is None
    assert uptime_trend(NO_HISTORY) is None


def test_trend_describes_first_and_last_report():
    at = pd.to_datetime(["2023-01-24T00:00Z", "2023-01-25T00:00Z", "2023-01-26T00:00Z"])
    history = pd.DataFrame({"as_of": at, "uptime_pct": [97.5, np.nan, 99.25]})
    svg = Markup(uptime_trend(history))
    assert "From 24 Jan 2023 00:00 UTC: 97.50 % to 26 Jan 2023 00:00 UTC: 99.25 %." in svg
    page = fleet_page(None, None, [], history, frame=PageContext("./"))
    assert "Last-week uptime in 2 reports" in page
    assert "No report on all stores has completed yet" in page


@pytest.mark.parametrize(
    ("hours", "labels"),
    [
        (30, ["Tue 00:00", "Tue 12:00", "Wed 00:00"]),
        (24 * 11, ["25 Jan", "29 Jan", "1 Feb"]),
        (24 * 400, ["Apr 2023", "Jul 2023", "Oct 2023", "Jan 2024"]),
    ],
)
def test_time_axis_labels_share_one_format(hours: int, labels: list[str]):
    start = pd.Timestamp("2023-01-24T00:00Z")
    at = pd.DatetimeIndex([start, start + pd.Timedelta(hours=hours)])
    chart = uptime_trend(pd.DataFrame({"as_of": at, "uptime_pct": [97.0, 98.0]}))
    assert chart is not None
    labels_shown = texts(chart)
    assert [label for label in labels_shown if label in labels] == labels
    assert len([label for label in labels_shown if re.match(r"\w+ \w", label)]) == len(labels)


def texts(chart: Chart) -> list[str]:
    # overlapping labels have opacity 0
    return re.findall(r'<text[^>]*(?<!opacity="0")>([^<>]+)</text>', chart.svg)


def test_stores_down_shows_the_peak():
    start = pd.Timestamp("2023-01-24T00:00Z")
    events = pd.DataFrame(
        {
            "start_utc": [start + pd.Timedelta(hours=hours) for hours in (2, 3, 20)],
            "end_utc": [start + pd.Timedelta(hours=hours) for hours in (5, 6, 24)],
        }
    )
    chart = stores_down(events, (start, start + pd.Timedelta(hours=24)))
    # an ongoing event has not ended at the end of the span
    assert re.search(r"Peak: 2 on Tue 24 Jan 03:0\d UTC; 1 at the end\.", chart.description)
    (line,) = re.findall(r'd="([^"]*)"[^>]*stroke="var\(--down\)"', chart.svg)
    heights = [float(y) for y in re.findall(r",([\d.]+)", line)]
    # the line spans 0 to 2 and ends at 1
    assert (max(heights) + min(heights)) / 2 == heights[-1]


def test_stores_down_counts_outages_below_a_pixel():
    start = pd.Timestamp("2024-01-01T00:00Z")
    minutes = [12 * 60 + 10, 12 * 60 + 11, 12 * 60 + 12]
    events = pd.DataFrame(
        {
            "start_utc": [start + pd.Timedelta(minutes=minute) for minute in minutes],
            "end_utc": [start + pd.Timedelta(minutes=minute + 5) for minute in minutes],
        }
    )
    chart = stores_down(events, (start, start + pd.Timedelta(days=7)))
    assert chart.description == "Peak: 3 on Mon 1 Jan 12:12 UTC; 0 at the end."
    (line,) = re.findall(r'd="([^"]*)"[^>]*stroke="var\(--down\)"', chart.svg)
    assert len(set(re.findall(r",([\d.]+)", line))) == 2


@pytest.mark.parametrize(
    ("stores", "ticks"),
    [
        (0, ["0", "1"]),
        (1, ["0", "1"]),
        (3, ["0", "1", "2", "3"]),
        (6, ["0", "2", "4", "6"]),
        (58, ["0", "20", "40", "60"]),
        (3000, ["0", "10", "100", "1,000"]),
    ],
)
def test_count_axis_has_whole_numbers(stores: int, ticks: list[str]):
    chart = uptime_distribution(pd.Series([99.0] * stores, dtype="float64"), "last week")
    labels_shown = texts(chart)
    assert labels_shown[labels_shown.index("uptime, % of observed open time") + 1 : -1] == ticks
    assert (
        f"{stores:,} of {stores:,} store{'' if stores == 1 else 's'} were up" in chart.description
    )


@pytest.mark.parametrize(("stores", "logarithmic"), [(100, False), (101, True)])
def test_histogram_with_logarithmic_scale_says_so(stores: int, logarithmic: bool):
    chart = uptime_distribution(pd.Series([99.0] * stores, dtype="float64"), "last week")
    title = "stores (logarithmic scale)" if logarithmic else "stores"
    assert title in texts(chart)
    assert ("The store axis is logarithmic." in chart.description) == logarithmic


def test_ingest_failed_notice_shortens_the_error():
    notice = ingest_failed(2, AS_OF, "x" * 10_000)
    assert notice.text.startswith("The last 2 ingests failed (since ")
    assert len(notice.text) < 500
    assert ingest_failed(1, AS_OF, "no polls").text.startswith("The last ingest failed (since ")


def test_data_notices_of_old_data_warn():
    newest = AS_OF - timedelta(days=2)
    old = data_notices(now=AS_OF, newest_poll=newest, stores=5, silent=0, quality=DataQuality())
    assert [(notice.kind, notice.text) for notice in old] == [
        ("warn", "The newest poll is 2 d old"),
        ("good", "0 of 5 stores not polled in the 24 h before that"),
        ("good", "No rows rejected"),
    ]
    (empty,) = data_notices(now=AS_OF, newest_poll=None, stores=0, silent=0, quality=DataQuality())
    assert empty.kind == "warn"


ASSUMED = Assumptions(
    stores=58,
    without_hours=1,
    without_timezone=2000,
    with_missing_days=3,
    missing_day=MissingDay.OPEN,
)
QUALITY = DataQuality(
    unread={"x.csv": "it is not one of ours"}, unmatched=["0 of 5"], assumptions=ASSUMED
)
SENTENCES = [
    "0 of 5",
    "1 of 58 stores without opening hours, assumed always open",
    "3 of 58 stores with weekdays without hours, assumed open all day",
    "2,000 of 58 stores without a known time zone, assumed America/Chicago",
    "x.csv is not read: it is not one of ours",
]


def test_assumptions_appear_on_pages_and_in_the_log():
    fleet = fleet_of({"a": (1, 1)})
    page = text_of(render_report_html(fleet, ReportCharts(fleet), "a-run", quality=QUALITY))
    now = data_notices(now=AS_OF, newest_poll=AS_OF, stores=1, silent=0, quality=QUALITY)
    log = report_summary(fleet, UPath("/"), [], QUALITY).splitlines()
    for sentence in SENTENCES:
        assert sentence in page
        assert sentence in [notice.text for notice in now]
        assert sentence in log


def test_weekdays_without_hours_follow_the_rule():
    closed = DataQuality(assumptions=replace(ASSUMED, missing_day=MissingDay.CLOSED))
    assert "3 of 58 stores with weekdays without hours, assumed closed" in quality_lines(closed)


def test_quality_lines_without_assumptions_are_empty():
    none = Assumptions(5, 0, 0, 0, MissingDay.OPEN)
    assert quality_lines(DataQuality(assumptions=none)) == []


def test_summarize_assumptions_counts_stores():
    stores = pd.DataFrame(
        {"store_id": ["a", "b", "c", "d"], "timezone_str": ["Asia/Tokyo", "Nowhere", None, "UTC"]}
    )
    week = [("a", day) for day in range(7)] + [("b", 0), ("b", 0), ("x", 1)]
    hours = pd.DataFrame(week, columns=["store_id", "day_of_week"])
    assert summarize_assumptions(stores, hours, MissingDay.OPEN) == Assumptions(
        4, 2, 2, 1, MissingDay.OPEN
    )
