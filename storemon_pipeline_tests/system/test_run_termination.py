"""Reports that end otherwise: a process that is killed, a retry, a client that cancels."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from storemon_pipeline_tests.helpers.deployment import ByCommand, System, wait_for

STRATEGIES = ("ALL_STEPS", "FROM_FAILURE")
HELD_STEP = "weekly_hours"
# dagster.yaml looks every 10 s, the code server and the sensor every 5 s
NOTICED_SECONDS = 60


@dataclass(frozen=True)
class Killed:
    """Reports whose processes were killed at work, by the strategy of the retry to come."""

    failed: dict[str, dict[str, Any]]
    seconds: float


@pytest.fixture(scope="module")
def killed(system: System) -> Killed:
    with system.holding():
        asked = {
            strategy: system.ask(windows=["hour"], rules={"max_carry_hours": hours})["id"]
            for hours, strategy in enumerate(STRATEGIES, start=1)
        }
        for run_id in asked.values():
            system.until_at_work(run_id, HELD_STEP)
            assert system.report(run_id)["status"] == "Running"
        for run_id in asked.values():
            os.kill(system.pid(run_id), signal.SIGKILL)
        start = time.monotonic()
        failed = {strategy: system.until(run_id, "Failed") for strategy, run_id in asked.items()}
    return Killed(failed, time.monotonic() - start)


def test_a_report_whose_process_was_killed_is_failed_with_the_reason_before_long(
    system: System, killed: Killed
) -> None:
    assert killed.seconds < NOTICED_SECONDS
    for report in killed.failed.values():
        assert "terminated by signal 9 (SIGKILL)" in report["error"]
        assert report["finished_at"] is not None
        answer = system.api.get(f"/v1/reports/{report['id']}/report.csv")
        assert answer.status_code == httpx.codes.CONFLICT
        assert report["error"] in answer.json()["detail"]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_retried_report_is_found_complete_under_its_first_id(
    system: System, killed: Killed, strategy: str
) -> None:
    first_id = killed.failed[strategy]["id"]
    retry_id = system.retry(first_id, strategy)
    wait_for(
        "the retry to take the report over",
        lambda: system.report(first_id)["run_id"] == retry_id,
    )
    complete = system.until(first_id, "Complete")
    assert complete["id"] == first_id
    assert complete["error"] is None
    assert system.report(retry_id) == complete
    assert system.api.get(f"/get_report/{first_id}").content == system.file(first_id)


def test_a_report_that_is_canceled_at_work_is_canceled_in_dagster_too(system: System) -> None:
    with system.holding():
        report_id = system.ask(windows=["day"], rules={"missing_day": "closed"})["id"]
        system.until_at_work(report_id, HELD_STEP)
        assert system.api.delete(f"/v1/reports/{report_id}").status_code == httpx.codes.ACCEPTED
    canceled = system.until(report_id, "Canceled")
    assert canceled["finished_at"] is not None
    assert system.run(report_id)["status"] == "CANCELED"
    assert not (system.reports_dir / report_id / "report.csv").exists()


def test_a_report_that_is_canceled_in_the_queue_never_runs(system: System) -> None:
    with system.daemon.stopped():
        report_id = system.ask(windows=["day"], rules={"day_end": "literal"})["id"]
        assert system.run(report_id)["status"] == "QUEUED"
        assert system.api.delete(f"/v1/reports/{report_id}").status_code == httpx.codes.ACCEPTED
        assert system.run(report_id)["status"] == "CANCELED"
    system.until(report_id, "Canceled")
    begun = ("RUN_STARTING", "RUN_START", "STEP_START")
    assert not any(event["eventType"] in begun for event in system.events(report_id))


def test_a_report_that_is_removed_is_gone_with_its_files(
    system: System, by_command: ByCommand
) -> None:
    report_id = system.ask(windows=["week"], rules={"closed_polls": "use"})["id"]
    system.until(report_id, "Complete")
    directory = system.reports_dir / report_id
    assert (directory / "report.csv").is_file()
    path = f"/v1/reports/{report_id}"
    system.until_succeeded(report_id)
    assert system.api.delete(path).status_code == httpx.codes.NO_CONTENT
    for gone in (path, f"{path}/report.csv", f"/get_report/{report_id}"):
        assert system.api.get(gone).status_code == httpx.codes.NOT_FOUND
    assert system.api.delete(path).status_code == httpx.codes.NOT_FOUND
    assert not directory.exists()
    assert system.file(by_command.run_id) == by_command.csv, "no other one has gone with it"
