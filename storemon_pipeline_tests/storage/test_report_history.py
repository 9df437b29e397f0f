"""Metrics of past reports: stored, read and deleted with the report."""

from datetime import datetime, timedelta

import pandas as pd
import pytest
from sqlalchemy import func, select

from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.report_history import (
    read_fleet_by_hour,
    read_fleet_metrics,
    read_report_metrics,
    read_store_metrics,
    save_metrics,
    stored_windows,
)
from storemon_pipeline.storage.reports import start_report
from storemon_pipeline.storage.retention import drop_report_row
from storemon_pipeline.storage.schema import fleet_figure, fleet_hour, report_figure
from storemon_pipeline.uptime.fleet import FleetSummary
from storemon_pipeline.uptime.report_request import ReportSpec, resolve_spec
from storemon_pipeline.uptime.windows import Window
from storemon_pipeline_tests.helpers.report_history import HOUR, NOON, kept


def counts(database: Database) -> dict[str, int]:
    with database.read() as connection:
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (report_figure, fleet_figure, fleet_hour)
        }


def test_store_history_is_oldest_first(database: Database):
    kept(database, "second", {"1": (3 * HOUR, HOUR, 0), "2": (HOUR, 0, 0)})
    kept(database, "first", {"1": (0, 0, HOUR)}, as_of=NOON - timedelta(hours=1))
    with database.read() as connection:
        history = read_store_metrics(connection, "1", "last_week")
    assert history.to_dict("list") == {
        "report_id": ["first", "second"],
        "as_of": [pd.Timestamp(NOON - timedelta(hours=1)), pd.Timestamp(NOON)],
        "start": [None, None],
        "uptime": [0, 3 * HOUR],
        "downtime": [0, HOUR],
        "unobserved": [HOUR, 0],
    }
    assert history["as_of"].dtype == "datetime64[us, UTC]"


def test_fleet_history_sums_stores_of_all_batches(database: Database):
    figures = {str(store): (HOUR, HOUR // 4, 5) for store in range(10)}
    kept(database, "a-run", figures, batches=3)
    with database.read() as connection:
        history = read_fleet_metrics(connection, "last_week")
    assert history[["report_id", "uptime", "downtime", "unobserved"]].to_numpy().tolist() == [
        ["a-run", 10 * HOUR, 10 * (HOUR // 4), 50]
    ]
    assert counts(database) == {"report_figure": 10, "fleet_figure": 1, "fleet_hour": 1}


def test_history_with_limit_returns_newest_reports(database: Database):
    for hour in range(5):
        kept(database, f"run-{hour}", {"1": (HOUR, 0, 0)}, as_of=NOON + timedelta(hours=hour))
    with database.read() as connection:
        of_store = read_store_metrics(connection, "1", "last_week", limit=2)
        of_fleet = read_fleet_metrics(connection, "last_week", limit=2)
    assert of_store["report_id"].tolist() == of_fleet["report_id"].tolist() == ["run-3", "run-4"]


def test_history_is_of_one_window(database: Database):
    kept(database, "both", {"1": (HOUR, 0, 0)}, windows=(Window.DAY, Window.YESTERDAY))
    kept(database, "one", {"1": (HOUR, 0, 0)}, windows=(Window.DAY,))
    with database.read() as connection:
        assert read_store_metrics(connection, "1", "yesterday")["report_id"].tolist() == ["both"]
        assert read_fleet_metrics(connection, "yesterday")["report_id"].tolist() == ["both"]
        assert stored_windows(connection, "both") == ["last_day", "yesterday"]


def test_history_of_ranges_has_their_start(database: Database):
    day, hour = timedelta(days=1), timedelta(hours=1)
    kept(database, "long", {"1": (HOUR, 0, 0)}, windows=(Window.RANGE,), since=NOON - day)
    kept(database, "short", {"1": (HOUR, 0, 0)}, windows=(Window.RANGE,), since=NOON - hour)
    with database.read() as connection:
        of_store = read_store_metrics(connection, "1", "range")
        of_fleet = read_fleet_metrics(connection, "range")
    assert of_store["report_id"].tolist() == ["long", "short"]
    for history in (of_store, of_fleet):
        starts = [datetime.fromisoformat(start) for start in history["start"]]
        assert starts == [NOON - day, NOON - hour]


def test_history_excludes_reports_of_the_future(database: Database):
    kept(database, "past", {"1": (HOUR, 0, 0)})
    kept(
        database, "future", {"1": (HOUR, 0, 0)}, as_of=NOON + timedelta(days=365), finished_at=NOON
    )
    with database.read() as connection:
        assert read_store_metrics(connection, "1", "last_week")["report_id"].tolist() == ["past"]
        assert read_fleet_metrics(connection, "last_week")["report_id"].tolist() == ["past"]


def test_empty_history_keeps_columns_and_dtypes(database: Database):
    kept(database, "a-run", {"1": (HOUR, 0, 0)})
    with database.read() as connection:
        history = read_store_metrics(connection, "1", "last_week")
        empty = read_store_metrics(connection, "never-polled", "last_week")
        no_fleet = read_fleet_metrics(connection, "last_month")
    assert empty.empty
    assert no_fleet.empty
    assert empty.dtypes.to_dict() == no_fleet.dtypes.to_dict() == history.dtypes.to_dict()


def test_repeated_report_replaces_its_metrics(database: Database):
    kept(database, "a-run", {"1": (HOUR, 0, 0), "2": (HOUR, 0, 0)})
    kept(database, "a-run", {"1": (0, HOUR, 0)})
    with database.read() as connection:
        assert read_store_metrics(connection, "1", "last_week")["uptime"].tolist() == [0]
        assert read_store_metrics(connection, "2", "last_week").empty


def test_retry_stores_metrics_under_the_report_id(database: Database):
    kept(database, "first-try", {"1": (HOUR, 0, 0)}, run_id="second-try")
    with database.read() as connection:
        assert read_fleet_metrics(connection, "last_week")["report_id"].tolist() == ["first-try"]


def test_drop_report_row_deletes_only_its_metrics(database: Database):
    for report_id in ("old", "new"):
        kept(database, report_id, {"1": (HOUR, 0, 0), "2": (HOUR, 0, 0)})
    with database.registry_transaction() as connection:
        assert drop_report_row(connection, "old")
    assert counts(database) == {"report_figure": 2, "fleet_figure": 1, "fleet_hour": 1}
    with database.read() as connection:
        assert read_fleet_metrics(connection, "last_week")["report_id"].tolist() == ["new"]


def test_failure_stores_no_metrics(database: Database):
    def fail() -> None:
        with database.registry_transaction() as connection:
            start_report(connection, "a-run", None, NOON)
        with database.registry_transaction() as connection:
            request = resolve_spec(ReportSpec(), newest_poll=NOON, now=NOON)
            save_metrics(connection, "a-run", FleetSummary(request))
            raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError, match="disk"):
        fail()
    assert counts(database) == {"report_figure": 0, "fleet_figure": 0, "fleet_hour": 0}


def test_report_metrics_are_of_one_report_and_window(database: Database):
    both = (Window.DAY, Window.YESTERDAY)
    kept(database, "a", {"1": (HOUR, 0, 0), "2": (0, 5, HOUR)}, windows=both)
    kept(database, "b", {"1": (0, HOUR, 0)})
    with database.read() as connection:
        metrics = read_report_metrics(connection, "a", "yesterday")
        missing = read_report_metrics(connection, "b", "yesterday")
    assert metrics.sort_values("store_id").to_dict("list") == {
        "store_id": ["1", "2"],
        "uptime": [HOUR, 0],
        "downtime": [0, 5],
    }
    assert missing.empty
    assert missing.dtypes.to_dict() == metrics.dtypes.to_dict()


def test_fleet_by_hour_sums_stores(database: Database):
    kept(database, "a-run", {"1": (HOUR, 0, 0), "2": (HOUR, 0, 0)})
    with database.read() as connection:
        hours = read_fleet_by_hour(connection, "a-run")
    assert hours.to_dict("records") == [
        {
            "day_of_week": 2,
            "hour": 11,
            "open_minutes": 120.0,
            "downtime_minutes": 30.0,
        }
    ]
