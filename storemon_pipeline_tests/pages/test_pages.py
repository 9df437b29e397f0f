"""Pages as text: what is on them, that nothing gets out of its place, that they load nothing."""

import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from markupsafe import Markup

from storemon_pipeline.pages import charts
from storemon_pipeline.pages.fleet import MOST_EVENTS, MOST_STORES, FleetCharts, report_page
from storemon_pipeline.pages.layout import Frame, linked, main_of
from storemon_pipeline.pages.notes import login_page, problem_page
from storemon_pipeline.pages.reports import data_now, fleet_page, shown_page
from storemon_pipeline.pages.store import stores_page
from storemon_pipeline.uptime.fleet import Fleet
from storemon_pipeline.uptime.request import AskedReport, ReportRequest, resolve

AS_OF = datetime(2023, 1, 25, 18, tzinfo=UTC)
HOUR = 3_600_000_000
EVIL = "</script><img src=x onerror=alert(1)>&'\""
NO_HISTORY = pd.DataFrame({"as_of": [], "uptime_pct": []})


class Attributes(HTMLParser):
    """The values of a page's attributes, as a browser reads them."""

    def __init__(self) -> None:
        super().__init__()
        self._found: list[tuple[str, str | None]] = []

    def handle_starttag(
        self,
        tag: str,  # noqa: ARG002
        attrs: list[tuple[str, str | None]],
    ) -> None:
        self._found += attrs

    def of(self, *names: str) -> set[str]:
        return {value or "" for name, value in self._found if name in names}


def request() -> ReportRequest:
    return resolve(AskedReport(windows=("day", "week")), newest_poll=AS_OF, now=AS_OF)


def written_page(fleet: Fleet, report_id: str, *, bad_rows: dict[str, int]) -> str:
    return report_page(fleet, FleetCharts(fleet), report_id, bad_rows=bad_rows)


def fleet_of(stores: dict[str, tuple[float, float]], *, ongoing: int = 0) -> Fleet:
    """A fleet of stores with so many hours up and down, of which the first are down now."""
    ids = sorted(stores)
    up, down = (np.array([stores[store][side] for store in ids]) for side in (0, 1))
    figures = {"store_id": ids}
    totals = {}
    with np.errstate(invalid="ignore"):
        share = np.round(100 * up / (up + down), 2)
    for window in ("last_day", "last_week"):
        figures |= {f"uptime_{window}": up, f"downtime_{window}": down}
        figures |= {f"unobserved_{window}": 0.0 * up, f"uptime_pct_{window}": share}
        totals |= {f"uptime_{window}": up.sum() * HOUR, f"downtime_{window}": down.sum() * HOUR}
        totals |= {f"unobserved_{window}": 0.0, f"open_time_{window}": (up + down).sum() * HOUR}
    figures |= {"last_poll_utc": pd.Timestamp(AS_OF), "timezone": "America/Chicago"}
    start = pd.Timestamp(AS_OF - timedelta(hours=2))
    before = pd.Timestamp(AS_OF - timedelta(hours=20))
    events = pd.DataFrame(
        {
            "store_id": ids[:ongoing],
            "start_utc": pd.Series([start] * ongoing, dtype="datetime64[us, UTC]"),
            "end_utc": pd.Series([pd.Timestamp(AS_OF)] * ongoing, dtype="datetime64[us, UTC]"),
            "start_offset": pd.Series([-timedelta(hours=6)] * ongoing, dtype="timedelta64[us]"),
            "minutes": pd.Series([120.0] * ongoing, dtype="float64"),
            # it was down before it closed for the night, too
            "down_since_utc": pd.Series([before] * ongoing, dtype="datetime64[us, UTC]"),
            "down_since_offset": pd.Series([-timedelta(hours=6)] * ongoing).astype(
                "timedelta64[us]"
            ),
            "down_minutes": pd.Series([300.0] * ongoing, dtype="float64"),
            "ongoing": pd.Series([True] * ongoing, dtype="bool"),
        }
    )
    fleet = Fleet(request(), figures=[pd.DataFrame(figures)], events=[events])
    # the week is the wider of the two
    totals["open_time_last_day"] /= 2
    fleet._totals = pd.Series(totals)
    return fleet


def text_of(page: str) -> str:
    body = re.sub(r"<(style|script)>.*?</\1>", "", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


def test_a_report_s_page_tells_its_figures_and_its_stores():
    page = written_page(
        fleet_of({"a": (150, 10), "b": (30, 10), "c": (0, 0)}, ongoing=1),
        "the-run",
        bad_rows={"store_status.csv": 1},
    )
    told = text_of(page)
    # 180 of 200 hours
    assert "90.00 % up" in told
    assert "20.0 h down" in told
    assert "stores down now, while open 1 of 3" in told
    # since before it closed for the night: at 22:00 UTC it was 16:00 in Chicago
    assert "a Tue 24 Jan 16:00 5 h" in told
    assert "1 store without observed open time, last week: c" in told
    assert "In store_status.csv, 1 row was set aside" in told
    worst = re.findall(
        r'<th scope="row"><span class="store">(\w)</span></th>\n<td class="num', page
    )
    assert worst == ["b", "a"]


def test_service_levels_and_silent_stores_are_told():
    fleet = fleet_of({"a": (150, 10), "b": (30, 10)})
    fleet.figures[0].loc[1, "last_poll_utc"] -= pd.Timedelta(hours=25)
    fleet.targets_met["last_week"], fleet.targets_known["last_week"] = 1, 2
    told = text_of(written_page(fleet, "the-run", bad_rows={}))
    assert "1 of 2 stores met their target, last week" in told
    assert "1 store not polled in the last day, whose last status is kept: b" in told
    assert "No row was set aside" in told


def test_a_report_of_no_stores_has_a_page():
    told = text_of(written_page(fleet_of({}), "the-run", bad_rows={}))
    assert "No store is down." in told
    assert "no stores with open time that was observed" in told


def test_a_page_has_only_the_worst_of_many_stores():
    stores = {f"store-{number:05}": (100.0, number / 100) for number in range(3000)}
    page = written_page(fleet_of(stores, ongoing=2000), "the-run", bad_rows={})
    assert len(page) < 400_000
    assert f"{MOST_STORES} of 3,000 stores" in text_of(page)
    assert f"The {MOST_EVENTS} longest of 2,000" in text_of(page)
    assert "store-02999" in page
    assert "store-02500" not in page.split('id="worst-stores"')[1]


def pages() -> dict[str, str]:
    frame = Frame("../", leaves=True)
    written = written_page(fleet_of({EVIL: (1, 1)}, ongoing=1), EVIL, bad_rows={EVIL: 2})
    notices = data_now(now=AS_OF, newest_poll=AS_OF, stores=1, silent=1, bad_rows={EVIL: 2})
    return {
        "report": written,
        "shown": shown_page(written, files={EVIL: EVIL}, frame=frame),
        "fleet": fleet_page(written, EVIL, notices, NO_HISTORY, frame=frame),
        "stores": stores_page([(EVIL, AS_OF)], found=1, asked=EVIL, frame=frame),
        "problem": problem_page(404, "Not Found", EVIL, frame=frame),
        "login": login_page(way="./", leads_to=EVIL, problem=EVIL),
    }


@pytest.mark.parametrize("name", pages())
def test_what_is_shown_stays_text(name: str):
    page = pages()[name]
    assert "<img" not in page
    assert page.count("</script>") == 1
    assert "onerror=alert(1)&gt;" in page


@pytest.mark.parametrize("name", pages())
def test_a_page_loads_nothing(name: str):
    page = pages()[name]
    attributes = Attributes()
    attributes.feed(page)
    assert not attributes.of("src", "srcset", "xlink:href", "data", "poster", "background")
    links = attributes.of("href", "action", "data-ask", "data-follow")
    assert all(link.startswith(("data:,", "#", "./", "../")) for link in links - {"", EVIL})
    assert "url(" not in page
    assert "@import" not in page
    assert set(re.findall(r"https?://[^\"'\s<)]+", page)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_stores_are_links_where_there_are_pages_of_stores():
    content = '<span class="store">a&amp;b/c d</span>'
    assert (
        linked(content, "../") == '<a class="store" href="../stores/a%26b%2Fc%20d">a&amp;b/c d</a>'
    )


def test_the_content_of_a_page_is_what_is_within_its_frame():
    page = written_page(fleet_of({"a": (1, 1)}), "the-run", bad_rows={})
    content = main_of(page)
    assert content.strip().startswith("<h1>")
    assert content.strip().endswith("</section>")
    assert main_of("something else") == ""


def test_the_heat_map_says_when_it_is_worst_and_leaves_closed_hours_empty():
    opened, down = np.zeros((7, 24)), np.zeros((7, 24))
    opened[1, 9:12] = 60
    down[1, 10] = 15
    svg = Markup(charts.heat_map(opened, down, of="last week"))
    assert "Worst: Tue from 10:00 to 11:00, 25.0 % of the open time." in svg
    assert re.findall(r"<title>(.*?)</title>", svg) == [
        "Tue 09-10: 0.0 % of 1 h open",
        "Tue 10-11: 25.0 % of 1 h open",
        "Tue 11-12: 0.0 % of 1 h open",
    ]
    cells = re.findall(r'<path d="M([\d.]+),([\d.]+)h([\d.]+)[^"]*" fill="var\(--heat-(\d)\)"', svg)
    an_hour = float(cells[0][2])
    assert [round(float(x) / an_hour) for x, *_ in cells] == [9, 10, 11]
    assert [colour for *_, colour in cells] == ["0", "5", "0"]


def test_the_trend_goes_from_the_first_report_to_the_last():
    at = pd.to_datetime(["2023-01-24T00:00Z", "2023-01-25T00:00Z", "2023-01-26T00:00Z"])
    history = pd.DataFrame({"as_of": at, "uptime_pct": [97.5, np.nan, 99.25]})
    svg = Markup(charts.trend(history))
    assert "From 24 Jan 2023 00:00 UTC: 97.50 % to 26 Jan 2023 00:00 UTC: 99.25 %." in svg
    page = fleet_page(None, None, [], history, frame=Frame("./"))
    assert "Uptime over the last week, in 2 reports" in page
    assert "No report of all stores is complete yet" in page


@pytest.mark.parametrize(
    ("hours", "labels"),
    [
        (30, ["Tue 00:00", "Tue 06:00", "Tue 12:00", "Tue 18:00", "Wed 00:00", "Wed 06:00"]),
        (24 * 11, ["25 Jan", "27 Jan", "29 Jan", "31 Jan", "1 Feb", "3 Feb"]),
        (24 * 400, ["Apr 2023", "Jul 2023", "Oct 2023", "Jan 2024"]),
    ],
)
def test_the_labels_of_time_are_all_of_one_kind(hours: int, labels: list[str]):
    start = pd.Timestamp("2023-01-24T00:00Z")
    at = pd.DatetimeIndex([start, start + pd.Timedelta(hours=hours)])
    svg = charts.trend(pd.DataFrame({"as_of": at, "uptime_pct": [97.0, 98.0]})).svg
    told = re.findall(r">([^<>]+)</text>", svg)
    assert [each for each in told if each in labels] == labels
    assert len([each for each in told if re.match(r"\w+ \w", each)]) == len(labels)


def test_how_many_stores_were_down_at_once():
    start = pd.Timestamp("2023-01-24T00:00Z")
    events = pd.DataFrame(
        {
            "start_utc": [start + pd.Timedelta(hours=hours) for hours in (2, 3, 20)],
            "end_utc": [start + pd.Timedelta(hours=hours) for hours in (5, 6, 24)],
        }
    )
    svg = Markup(charts.stores_down(events, (start, start + pd.Timedelta(hours=24))))
    assert re.search(r"At most 2 at once, on Tue 24 Jan 03:0\d UTC", svg)


def test_old_data_are_told_to_be_old():
    newest = AS_OF - timedelta(days=2)
    old = data_now(now=AS_OF, newest_poll=newest, stores=5, silent=0, bad_rows={})
    assert [(notice.kind, notice.text) for notice in old] == [
        ("warn", "The newest poll is 2 d old"),
        ("good", "0 of 5 stores were not polled in the day before it"),
        ("good", "No row was set aside"),
    ]
    (empty,) = data_now(now=AS_OF, newest_poll=None, stores=0, silent=0, bad_rows={})
    assert empty.kind == "warn"
