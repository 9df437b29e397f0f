"""Reports with any windows: columns, stored metrics and summary."""

from pathlib import Path

import dagster as dg

from storemon_pipeline.storage.report_history import (
    read_fleet_metrics,
    read_store_metrics,
    stored_windows,
)
from storemon_pipeline.uptime.past_reports import history_figures
from storemon_pipeline.uptime.windows import Window
from storemon_pipeline_tests.helpers.runner import StoremonResource, report_dir, rows, run

ALL = {
    "windows": [window.value for window in Window],
    "start": "2023-01-20T00:00:00Z",
    "end": "2023-01-25T12:00:00Z",
}


def summary_of(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """Return the lines of the report's summary in the log."""
    messages = [entry.user_message for entry in instance.all_logs(run_id)]
    (summary,) = [message for message in messages if "down while open" in message]
    return summary.splitlines()


def test_all_windows_are_reported_stored_and_logged(
    instance: dg.DagsterInstance, two_stores: Path
) -> None:
    assert run(instance, "ingest_job").success
    made = run(instance, "report_job", **ALL)
    assert made.success
    columns = [window.suffix for window in Window]
    report = rows(report_dir(made.run_id) / "report.csv")
    assert list(report[0]) == [
        "store_id",
        *(f"{figure}_{column}" for column in columns for figure in ("uptime", "downtime")),
    ]
    full = rows(report_dir(made.run_id) / "report_full.csv")
    with StoremonResource().database.read() as connection:
        assert stored_windows(connection, made.run_id) == sorted(columns)
        for window in columns:
            unit = 60 if window == "last_hour" else 1
            for row in full:
                metrics = read_store_metrics(connection, row["store_id"], window)
                (stored,) = history_figures(metrics).to_dict("records")
                assert abs(stored["uptime_hours"] - float(row[f"uptime_{window}"]) / unit) < 0.01
            metrics = read_fleet_metrics(connection, window)
            (fleet,) = history_figures(metrics).to_dict("records")
            downtime = sum(float(row[f"downtime_{window}"]) for row in full) / unit
            assert abs(fleet["downtime_hours"] - downtime) < 0.02

    summary = summary_of(instance, made.run_id)
    assert summary[0].startswith("2 stores as of 2023-01-25T12:00:00+00:00, ")
    assert [line.split(":")[0] for line in summary[1:-2]] == columns
    assert summary[-2].startswith("worst in ")
    assert summary[-1].startswith(
        f"files in {report_dir(made.run_id)}: report.csv, report_full.csv"
    )


def test_report_of_some_stores_is_not_stored_for_trends(
    instance: dg.DagsterInstance, two_stores: Path
) -> None:
    assert run(instance, "ingest_job").success
    store = rows(two_stores / "store_status.csv")[0]["store_id"]
    made = run(instance, "report_job", store_ids=[store], windows=["yesterday"])
    assert made.success
    with StoremonResource().database.read() as connection:
        assert stored_windows(connection, made.run_id) == []
        assert read_fleet_metrics(connection, "yesterday").empty


def test_stores_down_are_logged_only_with_windows_until_as_of(
    instance: dg.DagsterInstance, two_stores: Path
) -> None:
    assert run(instance, "ingest_job").success
    for windows, has_status in ((["yesterday"], False), (["yesterday", "hour"], True)):
        made = run(instance, "report_job", windows=windows)
        (metadata,) = (
            event.step_materialization_data.materialization.metadata
            for event in made.get_asset_materialization_events()
            if event.asset_key == dg.AssetKey("downtime_events")
        )
        assert ("ongoing_events" in metadata) is has_status
        messages = [entry.user_message for entry in instance.all_logs(made.run_id)]
        assert any(" stores as of " in message for message in messages)
        assert any("down while open" in message for message in messages) is has_status


def test_window_without_observations_is_logged(
    instance: dg.DagsterInstance, two_stores: Path
) -> None:
    assert run(instance, "ingest_job").success
    made = run(instance, "report_job", as_of="1990-01-01T00:00:00Z", windows=["today"])
    assert made.success
    assert summary_of(instance, made.run_id)[:2] == [
        "0 stores as of 1990-01-01T00:00:00+00:00, 0 of them down while open",
        "today: nothing observed (0.00 h uptime, 0.00 h downtime, 0.00 h unobserved)",
    ]
