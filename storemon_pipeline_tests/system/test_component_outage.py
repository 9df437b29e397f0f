"""While a part of Dagster's is away, reports wait; none is lost, and none is made twice."""

from __future__ import annotations

import httpx

from storemon_pipeline_tests.helpers.deployment import ByCommand, System, wait_for


def runs_of(system: System, request_id: str) -> list[str]:
    return [run["runId"] for run in system.runs(storemon__request_id=request_id)]


def test_without_the_webserver_requests_are_kept_and_the_daemon_launches_each_once(
    system: System, by_command: ByCommand
) -> None:
    with system.webserver.stopped():
        assert system.api.get("/readyz").status_code == httpx.codes.SERVICE_UNAVAILABLE
        with system.daemon.stopped():
            day = system.ask(windows=["day"])
            triggered = system.api.post("/trigger_report")
            assert triggered.status_code == httpx.codes.ACCEPTED
            older_id = triggered.json()["report_id"]
            assert (day["status"], day["run_id"]) == ("Queued", None)
            assert system.ask(windows=["day"])["id"] == day["id"], "an equal one is the same"
            assert system.report(day["id"])["status"] == "Queued"
            assert system.api.get(f"/get_report?report_id={older_id}").json() == {
                "status": "Running"
            }
        # the daemon is back, alone: it is all that is needed
        complete = system.until(day["id"], "Complete")
        older = system.until(older_id, "Complete")

    # later ticks, and a webserver that is back, launch nothing more
    assert runs_of(system, day["id"]) == [complete["run_id"]]
    assert runs_of(system, older_id) == [older["run_id"]]
    assert {complete["id"], older["id"]} == {complete["run_id"], older["run_id"]}
    assert set(system.figures(day["id"])[0]) == {
        "store_id",
        "uptime_last_day",
        "downtime_last_day",
    }
    for path in (f"/get_report?report_id={older_id}", f"/get_report/{older_id}"):
        assert system.api.get(path).content == by_command.csv
    wait_for("the API to find Dagster again", system.is_ready)


def test_without_the_daemon_a_report_waits_in_the_queue(
    system: System, by_command: ByCommand
) -> None:
    with system.daemon.stopped():
        asked = system.ask()
        assert asked["status"] == "Queued"
        assert system.run(asked["id"])["status"] == "QUEUED"
        assert system.report(asked["id"])["status"] == "Queued"
    assert system.until(asked["id"], "Complete")["run_id"] == asked["id"]
    assert system.file(asked["id"]) == by_command.csv
