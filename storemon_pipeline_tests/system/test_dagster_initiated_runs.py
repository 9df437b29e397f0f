"""Each run that makes a report is a report of the API, however it was started."""

from __future__ import annotations

from storemon_pipeline_tests.helpers.deployment import ByCommand, System


def test_command_line_run_is_listed_as_report(system: System, by_command: ByCommand) -> None:
    report = system.report(by_command.run_id)
    assert report["status"] == "Complete"
    assert report["run_id"] == by_command.run_id
    assert system.file(by_command.run_id) == by_command.csv
    assert by_command.run_id in [
        report["id"] for report in system.api.get("/v1/reports?limit=100").json()["reports"]
    ]


def test_launchpad_run_is_listed_as_report(system: System, by_command: ByCommand) -> None:
    store_id = system.report_rows(by_command.run_id)[0]["store_id"]
    config = {"windows": ["day"], "store_ids": [store_id]}
    run_id = system.launch("report_job", {"ops": {"report_request": {"config": config}}})
    system.until_known(run_id)
    report = system.until(run_id, "Complete")
    assert report["request"].items() >= config.items()
    assert [row["store_id"] for row in system.report_rows(run_id)] == [store_id]


def test_scheduled_run_is_listed_as_report(system: System, by_command: ByCommand) -> None:
    # a dry run of the next tick gives its run request without waiting for the hour
    run_request = system.dry_run_schedule("hourly_report_schedule")
    tags = {tag["key"]: tag["value"] for tag in run_request["tags"]}
    assert tags["dagster/schedule_name"] == "hourly_report_schedule"
    run_id = system.launch("ingest_and_report_job", run_request["runConfigYaml"], tags)
    system.until_known(run_id)
    system.until(run_id, "Complete")
    assert system.file(run_id) == by_command.csv


def test_run_of_ingest_job_is_not_a_report(system: System) -> None:
    launched = system.api.post("/ingest")
    assert launched.status_code == 200, launched.text
    run_id = launched.json()["run_id"]
    system.until_succeeded(run_id)
    assert system.api.get(f"/v1/reports/{run_id}").status_code == 404
