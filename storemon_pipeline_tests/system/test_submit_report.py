"""A report requested over REST is a Dagster run, from the request to the file."""

from __future__ import annotations

from uuid import uuid4

import httpx
import pytest

from storemon_pipeline_tests.helpers.deployment import ByCommand, System, wait_for


def test_report_over_rest_is_a_run_and_equals_the_command_s(
    system: System, by_command: ByCommand
) -> None:
    http_request_id = f"test-{uuid4()}"
    answer = system.api.post("/v1/reports", headers={"X-Request-ID": http_request_id})
    assert answer.status_code == httpx.codes.ACCEPTED
    submitted = answer.json()
    assert answer.headers["Location"] == f"/v1/reports/{submitted['id']}"
    assert submitted["run_id"] == submitted["id"]

    run = system.run(submitted["id"])
    assert run["jobName"] == "report_job"
    assert run["tags"]["storemon/http_request_id"] == http_request_id
    assert system.report(run["tags"]["storemon/request_id"])["id"] == submitted["id"]

    complete = system.until(submitted["id"], "Complete")
    assert complete["run_id"] == submitted["id"]
    assert complete["stores"] == len(by_command.csv.splitlines()) - 1
    assert system.file(submitted["id"]) == by_command.csv
    system.until_succeeded(submitted["id"])


@pytest.mark.parametrize(
    ("path", "running"),
    [("/get_report?report_id={}", "Running"), ("/get_report/{}", "running")],
    ids=["by_parameter", "by_path"],
)
def test_legacy_client_triggers_and_polls_until_csv(
    system: System, by_command: ByCommand, path: str, running: str
) -> None:
    triggered = system.api.post("/trigger_report")
    assert triggered.status_code == httpx.codes.OK
    assert list(triggered.json()) == ["report_id"]
    report_id = triggered.json()["report_id"]

    def poll() -> httpx.Response | None:
        answer = system.api.get(path.format(report_id))
        assert answer.status_code == httpx.codes.OK, answer.text
        if answer.headers["Content-Type"].startswith("text/csv"):
            return answer
        assert answer.json() == {"status": running}
        return None

    assert poll() is None, "the first poll returned CSV"
    answer = wait_for("the report's CSV", poll)
    assert answer.content == by_command.csv
    assert answer.headers["Content-Disposition"].startswith("attachment")
    system.until_succeeded(report_id)
