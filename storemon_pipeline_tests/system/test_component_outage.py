"""Reports wait while a component of Dagster is down; none is lost or made twice."""

from __future__ import annotations

import httpx

from storemon_pipeline_tests.helpers.deployment import ByCommand, System, wait_for


def runs_of(system: System, request_id: str) -> list[str]:
    return [run["runId"] for run in system.runs(storemon__request_id=request_id)]


def test_requests_without_webserver_are_launched_once_by_daemon(
    system: System, by_command: ByCommand
) -> None:
    with system.webserver.stopped():
        assert system.api.get("/readyz").status_code == httpx.codes.SERVICE_UNAVAILABLE
        with system.daemon.stopped():
            day = system.submit(windows=["day"])
            triggered = system.api.post("/trigger_report")
            assert triggered.status_code == httpx.codes.ACCEPTED
            legacy_id = triggered.json()["report_id"]
            assert (day["status"], day["run_id"]) == ("Queued", None)
            assert system.submit(windows=["day"])["id"] == day["id"], (
                "an equal request is the same report"
            )
            assert system.report(day["id"])["status"] == "Queued"
            assert system.api.get(f"/get_report?report_id={legacy_id}").json() == {
                "status": "Running"
            }
        # the daemon alone suffices
        complete = system.until(day["id"], "Complete")
        legacy = system.until(legacy_id, "Complete")

    # later ticks and the restarted webserver launch nothing more
    assert runs_of(system, day["id"]) == [complete["run_id"]]
    assert runs_of(system, legacy_id) == [legacy["run_id"]]
    assert {complete["id"], legacy["id"]} == {complete["run_id"], legacy["run_id"]}
    assert set(system.report_rows(day["id"])[0]) == {
        "store_id",
        "uptime_last_day",
        "downtime_last_day",
    }
    for path in (f"/get_report?report_id={legacy_id}", f"/get_report/{legacy_id}"):
        assert system.api.get(path).content == by_command.csv
    wait_for("the API to find Dagster again", system.is_ready)


def test_report_without_daemon_waits_in_the_queue(system: System, by_command: ByCommand) -> None:
    with system.daemon.stopped():
        report = system.submit()
        assert report["status"] == "Queued"
        assert system.run(report["id"])["status"] == "QUEUED"
        assert system.report(report["id"])["status"] == "Queued"
    assert system.until(report["id"], "Complete")["run_id"] == report["id"]
    assert system.file(report["id"]) == by_command.csv
