"""A run that makes a report is one in the API too, whoever started it."""

from __future__ import annotations

from storemon_pipeline_tests.helpers.deployment import ByCommand, System


def test_a_run_of_the_command_line_is_a_report(system: System, by_command: ByCommand) -> None:
    report = system.report(by_command.run_id)
    assert report["status"] == "Complete"
    assert report["run_id"] == by_command.run_id
    assert system.file(by_command.run_id) == by_command.csv
    assert by_command.run_id in [
        each["id"] for each in system.api.get("/v1/reports?limit=100").json()["reports"]
    ]


def test_a_run_of_the_launchpad_is_a_report(system: System, by_command: ByCommand) -> None:
    store_id = system.figures(by_command.run_id)[0]["store_id"]
    asked = {"windows": ["day"], "store_ids": [store_id]}
    run_id = system.launch("report_job", {"ops": {"report_request": {"config": asked}}})
    system.until_known(run_id)
    report = system.until(run_id, "Complete")
    assert report["request"].items() >= asked.items()
    assert [row["store_id"] for row in system.figures(run_id)] == [store_id]


def test_a_run_of_the_schedule_is_a_report(system: System, by_command: ByCommand) -> None:
    # its next hour is not waited for: this is what the schedule asks for when it comes
    asked = system.scheduled("hourly_report_schedule")
    tags = {tag["key"]: tag["value"] for tag in asked["tags"]}
    assert tags["dagster/schedule_name"] == "hourly_report_schedule"
    run_id = system.launch("ingest_and_report_job", asked["runConfigYaml"], tags)
    system.until_known(run_id)
    system.until(run_id, "Complete")
    assert system.file(run_id) == by_command.csv


def test_a_run_that_only_ingests_is_no_report(system: System) -> None:
    launched = system.api.post("/ingest")
    assert launched.status_code == 200, launched.text
    run_id = launched.json()["run_id"]
    system.until_succeeded(run_id)
    assert system.api.get(f"/v1/reports/{run_id}").status_code == 404
