"""Metadata of a run in Dagster's UI: counts, previews, charts and checks.

Expected numbers are computed from the sample's CSV files without the package.
"""

import base64
import html
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET
from zoneinfo import available_timezones

import dagster as dg
import pandas as pd
import pytest

from storemon_pipeline.definitions import defs
from storemon_pipeline.defs.asset_checks import find_incomplete_stores
from storemon_pipeline_tests.helpers.raw_files import fault, instant
from storemon_pipeline_tests.helpers.runner import (
    SAMPLE,
    copy_data,
    materialize,
    report_dir,
    rows,
    run,
)

DAY = timedelta(days=1)
ASSETS = {key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()}


class Sample:
    """Expected values, computed from the sample's files."""

    def __init__(self) -> None:
        polls = [tuple(row.values()) for row in rows(SAMPLE / "store_status.csv")]
        good = [
            (store, instant(stamp))
            for store, status, stamp in polls
            if not fault((store, status, stamp))
        ]
        self.rows, self.bad_rows = len(polls), len(polls) - len(good)
        self.polls = len(set(good))
        self.last: dict[str, datetime] = {}
        for store, at in good:
            self.last[store] = max(at, self.last.get(store, at))
        self.newest = max(self.last.values())
        hours = [list(row.values()) for row in rows(SAMPLE / "menu_hours.csv")]
        self.days: defaultdict[str, set[str]] = defaultdict(set)
        for store, day, *_ in hours:
            if day in "0123456":
                self.days[store].add(day)
        self.hours_rows = len(hours)
        self.hours = {tuple(row) for row in hours if row[1] in "0123456"}
        zones = [list(row.values()) for row in rows(SAMPLE / "timezones.csv")]
        self.zones_rows = len(zones)
        known = available_timezones()
        self.zones = {store: zone for store, zone in zones if zone in known}

    @property
    def silent(self) -> set[str]:
        return {store for store, last in self.last.items() if last < self.newest - DAY}

    @property
    def without_hours(self) -> set[str]:
        return set(self.last) - set(self.days)

    @property
    def weekdays_missing(self) -> dict[str, int]:
        return {
            store: 7 - len(days)
            for store, days in self.days.items()
            if len(days) < 7 and store in self.last
        }

    @property
    def without_zone(self) -> set[str]:
        return set(self.last) - set(self.zones)


@pytest.fixture(scope="module")
def expected() -> Sample:
    return Sample()


@pytest.fixture(scope="module")
def sample_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.ExecuteInProcessResult]:
    """Yield a run on the sample, shared by the tests."""
    workspace = tmp_path_factory.mktemp("metadata")
    (workspace / "data").mkdir()
    copy_data(SAMPLE, workspace / "data")
    with pytest.MonkeyPatch.context() as env, dg.DagsterInstance.ephemeral() as instance:
        env.setenv("STOREMON_DATA_DIR", str(workspace / "data"))
        env.setenv("STOREMON_DATABASE_URL", f"sqlite:///{workspace}/storemon.db")
        env.setenv("STOREMON_REPORTS_DIR", str(workspace / "reports"))
        made = run(instance, "ingest_and_report_job")
        assert made.success
        yield made


@pytest.fixture(scope="module")
def shown(sample_run: dg.ExecuteInProcessResult) -> Mapping[str, Mapping[str, Any]]:
    """Metadata values of each asset."""
    return {
        event.asset_key.to_user_string(): {
            name: metadata.value for name, metadata in event.materialization.metadata.items()
        }
        for event in sample_run.get_asset_materialization_events()
        if event.asset_key
    }


@pytest.fixture(scope="module")
def checked(
    sample_run: dg.ExecuteInProcessResult,
) -> Mapping[tuple[str, str], dg.AssetCheckEvaluation]:
    return {
        (result.asset_key.to_user_string(), result.check_name): result
        for result in sample_run.get_asset_check_evaluations()
    }


def files_dir(made: dg.ExecuteInProcessResult, shown: Mapping[str, Mapping[str, Any]]) -> Path:
    path = Path(shown["uptime_report"]["report_full.csv"])
    assert path.parent.name == made.run_id
    return path.parent


def test_every_asset_is_materialized(shown: Mapping[str, Mapping[str, Any]]) -> None:
    assert shown.keys() == ASSETS


def test_row_counts_match_the_files(
    sample_run: dg.ExecuteInProcessResult, shown: Mapping[str, Mapping[str, Any]], expected: Sample
) -> None:
    counts = {name: values.get("dagster/row_count") for name, values in shown.items()}
    report = files_dir(sample_run, shown)
    assert counts["store_status"] == expected.polls
    assert counts["business_hours"] == len(expected.hours)
    assert counts["store_timezones"] == len(expected.zones)
    assert counts["polled_stores"] == counts["uptime_report"] == len(expected.last)
    assert counts["downtime_events"] == len(rows(report / "downtime_events.csv"))
    assert counts["downtime_by_hour"] == len(rows(report / "downtime_by_hour.csv"))
    assert counts["open_hours"] > 0
    assert counts["status_intervals"] > 0
    assert shown["store_status"]["rows_read_now"] == expected.rows
    assert shown["store_status"]["bad_rows_in_files"] == expected.bad_rows
    ongoing = [row for row in rows(report / "downtime_events.csv") if row["ongoing"] == "true"]
    assert shown["downtime_events"]["ongoing_events"] == len(ongoing)


@pytest.mark.parametrize("asset", sorted(ASSETS - {"report_request"}))
def test_table_has_a_preview_of_its_first_rows(
    asset: str, shown: Mapping[str, Mapping[str, Any]]
) -> None:
    header, ruler, *first = shown[asset]["preview"].splitlines()
    assert header.split("|")[1].strip() == "store_id"
    assert set(ruler) <= set("|:-")
    assert len(first) <= 10
    assert bool(first) is (asset not in {"special_hours", "special_dates", "service_levels"})
    assert len({line.count("|") for line in (header, ruler, *first)}) == 1


def test_column_schema_matches_the_file(
    sample_run: dg.ExecuteInProcessResult, shown: Mapping[str, Mapping[str, Any]]
) -> None:
    report = files_dir(sample_run, shown)
    schema = shown["uptime_report"]["dagster/column_schema"]
    header = (report / "report_full.csv").read_text().splitlines()[0]
    assert [column.name for column in schema.columns] == header.split(",")


@pytest.mark.parametrize("asset", ["uptime_report", "downtime_events", "downtime_by_hour"])
def test_report_assets_have_the_chart_of_the_page(
    sample_run: dg.ExecuteInProcessResult, asset: str, shown: Mapping[str, Mapping[str, Any]]
) -> None:
    chart = re.fullmatch(
        r"\*\*(?P<title>.{10,})\*\*\n\n"
        r"!\[(?P<description>[^\]]{10,})\]\(data:image/svg\+xml;base64,(?P<svg>[A-Za-z0-9+/=]+)\)",
        shown[asset]["plot"],
    )
    assert chart
    svg = base64.b64decode(chart["svg"], validate=True).decode()
    image = ET.fromstring(svg)
    assert image.tag == "{http://www.w3.org/2000/svg}svg"
    assert int(image.attrib["width"]) > 600
    assert int(image.attrib["height"]) > 200
    # self-contained: no colors of a page, nothing to load
    assert not re.search(r"var\(|currentColor|href|url\(", svg)
    page = html.unescape((files_dir(sample_run, shown) / "report.html").read_text())
    assert chart["title"] in page
    assert chart["description"] in page


def test_report_links_to_its_page(
    sample_run: dg.ExecuteInProcessResult, shown: Mapping[str, Mapping[str, Any]]
) -> None:
    assert shown["uptime_report"]["page"] == f"http://127.0.0.1:8000/reports/{sample_run.run_id}"


def test_fleet_metadata_follows_from_the_report(
    sample_run: dg.ExecuteInProcessResult, shown: Mapping[str, Mapping[str, Any]]
) -> None:
    figures = rows(files_dir(sample_run, shown) / "report_full.csv")
    for window, unit in (("last_hour", 60), ("last_day", 1), ("last_week", 1)):
        total = {
            figure: sum(float(row[f"{figure}_{window}"]) for row in figures) / unit
            for figure in ("uptime", "downtime", "unobserved")
        }
        metadata = shown["uptime_report"]
        pct = 100 * total["uptime"] / (total["uptime"] + total["downtime"])
        # the report is rounded, the fleet totals are computed from unrounded values
        assert metadata[f"fleet_uptime_pct_{window}"] == pytest.approx(pct, abs=0.02)
        assert isinstance(metadata[f"fleet_uptime_pct_{window}"], float)
        for figure in ("uptime", "downtime", "unobserved"):
            assert metadata[f"fleet_{figure}_hours_{window}"] == pytest.approx(
                total[figure], abs=0.3
            )


def test_resolved_request_is_shown(
    shown: Mapping[str, Mapping[str, Any]], expected: Sample
) -> None:
    request = shown["report_request"]["request"]
    assert datetime.fromisoformat(request["as_of"]) == expected.newest
    assert request["windows"] == ["hour", "day", "week"]
    assert shown["report_request"]["as_of"] == expected.newest.timestamp()


def test_worst_stores_have_the_lowest_uptime(
    sample_run: dg.ExecuteInProcessResult, shown: Mapping[str, Mapping[str, Any]]
) -> None:
    figures = rows(files_dir(sample_run, shown) / "report_full.csv")
    observed = [row for row in figures if row["uptime_pct_last_week"]]
    lowest = sorted(observed, key=lambda row: float(row["uptime_pct_last_week"]))[:5]
    lines = shown["uptime_report"]["worst_stores_last_week"].splitlines()[2:]
    assert [line.split("|")[1].strip() for line in lines] == [row["store_id"] for row in lowest]


@pytest.mark.parametrize(
    ("asset", "bad", "total"),
    [
        ("store_status", 8, "rows"),
        ("business_hours", 1, "hours_rows"),
        ("store_timezones", 2, "zones_rows"),
    ],
)
def test_bad_rows_warn_with_share_and_first_rows(
    asset: str,
    bad: int,
    total: str,
    checked: Mapping[tuple[str, str], dg.AssetCheckEvaluation],
    expected: Sample,
) -> None:
    result = checked[asset, "no_bad_rows"]
    metadata = {name: metadata.value for name, metadata in result.metadata.items()}
    assert not result.passed
    assert result.severity is dg.AssetCheckSeverity.WARN
    assert metadata["bad_rows"] == bad
    assert metadata["bad_share"] == pytest.approx(bad / getattr(expected, total))
    assert metadata["accepted_share"] == 0.05
    first = metadata["first_bad_rows"].records
    assert len(first) == bad
    assert all(record.data["reason"] and record.data["line_number"] for record in first)


def test_sample_has_eight_bad_polls(expected: Sample) -> None:
    assert expected.bad_rows == 8


def test_silent_stores_are_named(
    checked: Mapping[tuple[str, str], dg.AssetCheckEvaluation], expected: Sample
) -> None:
    assert expected.silent
    assert named(checked["store_status", "polled_within_a_day"], expected) == expected.silent


def test_stores_without_hours_are_named(
    checked: Mapping[tuple[str, str], dg.AssetCheckEvaluation], expected: Sample
) -> None:
    assert expected.without_hours
    assert (
        named(checked["business_hours", "every_store_has_hours"], expected)
        == expected.without_hours
    )


def test_stores_with_weekdays_without_hours_are_named(
    checked: Mapping[tuple[str, str], dg.AssetCheckEvaluation], expected: Sample
) -> None:
    result = checked["business_hours", "every_weekday_has_hours"]
    assert expected.weekdays_missing
    assert named(result, expected) == set(expected.weekdays_missing)
    records = result.metadata["first_stores"].value.records
    assert {
        record.data["store_id"]: record.data["weekdays_without_hours"] for record in records
    } == expected.weekdays_missing


def test_stores_without_a_valid_time_zone_are_named(
    checked: Mapping[tuple[str, str], dg.AssetCheckEvaluation], expected: Sample
) -> None:
    result = checked["store_timezones", "every_store_has_a_timezone"]
    assert len(expected.without_zone) == 5
    assert named(result, expected) == expected.without_zone


def test_missing_optional_files_pass_only_polled_stores(
    checked: Mapping[tuple[str, str], dg.AssetCheckEvaluation],
) -> None:
    for asset in ("special_hours", "service_levels"):
        assert checked[asset, "only_polled_stores"].passed


@pytest.mark.parametrize(
    ("asset", "lines"),
    [
        ("special_hours", ["store_id,date,start_time_local,end_time_local", "{},2024-12-25,,"]),
        ("service_levels", ["store_id,target_pct", "{},99.5"]),
    ],
)
def test_file_with_a_store_never_polled_warns(
    asset: str, lines: list[str], instance: dg.DagsterInstance, two_stores: Path
) -> None:
    header, row = lines
    file_rows = [row.format(store) for store in ("s1", "s-one")]
    (two_stores / f"{asset}.csv").write_text("\n".join([header, *file_rows, ""]))
    checks = run(instance, "ingest_job").get_asset_check_evaluations()
    (result,) = (
        check
        for check in checks
        if (check.asset_key.path[-1], check.check_name) == (asset, "only_polled_stores")
    )
    assert not result.passed
    assert result.severity is dg.AssetCheckSeverity.WARN
    (first,) = result.metadata["first_stores"].value.records
    assert first.data == {"store_id": "s-one"}


def named(result: dg.AssetCheckEvaluation, expected: Sample) -> set[str]:
    """Return the stores that a check names, after checking its severity and numbers."""
    metadata = {name: metadata.value for name, metadata in result.metadata.items()}
    stores = [record.data["store_id"] for record in metadata["first_stores"].records]
    assert not result.passed
    assert result.severity is dg.AssetCheckSeverity.WARN
    assert metadata["stores"] == len(stores) == len(set(stores))
    assert metadata["polled_stores"] == len(expected.last)
    assert metadata["share"] == pytest.approx(len(stores) / len(expected.last))
    assert result.description == f"{len(stores)} of {len(expected.last)} polled stores."
    return {str(store) for store in stores}


@pytest.mark.parametrize("check", ["uptime_and_downtime_within_open_time", "one_row_per_store"])
def test_report_checks_pass(
    check: str, checked: Mapping[tuple[str, str], dg.AssetCheckEvaluation]
) -> None:
    result = checked["uptime_report", check]
    assert result.passed
    assert result.severity is dg.AssetCheckSeverity.ERROR


def test_report_without_stores_has_metadata(instance: dg.DagsterInstance, two_stores: Path) -> None:
    assert run(instance, "ingest_job").success
    empty = run(instance, "report_job", as_of="2001-01-01")
    assert empty.success
    report = empty.asset_materializations_for_node("report")
    counts = {
        event.asset_key.path[-1]: event.metadata["dagster/row_count"].value for event in report
    }
    assert counts == dict.fromkeys(counts, 0)
    with_plot = {event.asset_key.path[-1] for event in report if "plot" in event.metadata}
    assert with_plot == {"uptime_report", "downtime_events", "downtime_by_hour"}
    assert not [
        name for event in report for name in event.metadata if name.startswith("fleet_uptime_pct")
    ]
    assert (report_dir(empty.run_id) / "report.csv").read_text().count("\n") == 1


def test_tables_without_polls_pass_the_checks(
    instance: dg.DagsterInstance, two_stores: Path
) -> None:
    (two_stores / "store_status.csv").write_text("store_id,status,timestamp_utc\n")
    ingested = run(instance, "ingest_job")
    assert ingested.success
    assert all(result.passed for result in ingested.get_asset_check_evaluations())


def test_hours_can_be_ingested_before_polls(instance: dg.DagsterInstance, two_stores: Path) -> None:
    (two_stores / "store_status.csv").unlink()
    ingested = materialize(instance, "business_hours", "store_timezones")
    assert ingested.success


# find_incomplete_stores

NOON = datetime(2024, 1, 10, 12, tzinfo=UTC)


def stores(**ago: timedelta) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "store_id": pd.Series(list(ago), dtype="str"),
            "last_poll_utc": pd.Series(
                [NOON - since for since in ago.values()], dtype="datetime64[us, UTC]"
            ),
        }
    )


def hours(**days: str) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "store_id": pd.Series(list(days), dtype="str"),
            "weekdays": pd.Series(map(len, days.values()), dtype="int64"),
        }
    )


def zones(**zone: str) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "store_id": pd.Series(list(zone), dtype="str"),
            "timezone_str": pd.Series(list(zone.values()), dtype="str"),
        }
    )


def incomplete(
    stores: pd.DataFrame, hours: pd.DataFrame, zones: pd.DataFrame
) -> dict[str, list[Any]]:
    """Return the failing rows of each check, without times."""
    return {
        check: [
            tuple(value for value in row if not isinstance(value, datetime))
            for row in failing.itertuples(index=False)
        ]
        for check, failing in find_incomplete_stores(stores, hours, zones).items()
        if len(failing)
    }


ALL_WEEK = "0123456"


def test_store_with_all_data_passes() -> None:
    assert incomplete(stores(a=0 * DAY), hours(a=ALL_WEEK), zones(a="Asia/Tokyo")) == {}


def test_store_is_silent_after_more_than_a_day() -> None:
    checks = incomplete(
        stores(a=0 * DAY, b=DAY, c=DAY + timedelta(microseconds=1)),
        hours(a=ALL_WEEK, b=ALL_WEEK, c=ALL_WEEK),
        zones(a="UTC", b="UTC", c="UTC"),
    )
    assert checks == {"polled_within_a_day": [("c",)]}


def test_store_without_hours_fails_one_check() -> None:
    assert incomplete(stores(a=0 * DAY), hours(), zones(a="UTC")) == {
        "every_store_has_hours": [("a",)]
    }


def test_weekdays_without_hours_are_counted() -> None:
    checks = incomplete(stores(a=0 * DAY), hours(a="0123"), zones(a="UTC"))
    assert checks == {"every_weekday_has_hours": [("a", 3)]}


def test_invalid_zone_is_shown_and_missing_zone_is_empty() -> None:
    checks = incomplete(
        stores(a=0 * DAY, b=0 * DAY, c=0 * DAY),
        hours(a=ALL_WEEK, b=ALL_WEEK, c=ALL_WEEK),
        zones(a="America/Gotham", c="America/Chicago"),
    )
    assert checks == {"every_store_has_a_timezone": [("a", "America/Gotham"), ("b", "")]}


def test_unnormalized_zone_of_earlier_versions_is_valid() -> None:
    checks = incomplete(
        stores(a=0 * DAY, b=0 * DAY),
        hours(a=ALL_WEEK, b=ALL_WEEK),
        zones(a=" america/new york", b="Eastern Standard Time"),
    )
    assert checks == {}


def test_data_of_stores_never_polled_is_ignored() -> None:
    assert (
        incomplete(stores(a=0 * DAY), hours(a=ALL_WEEK, z="0"), zones(a="UTC", z="Nowhere")) == {}
    )


def test_empty_tables_pass() -> None:
    assert incomplete(stores(), hours(), zones()) == {}
    assert incomplete(stores(), hours(a="0"), zones(a="UTC")) == {}
