"""Reports whose run is killed, retried, canceled or deleted."""

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
BLOCKED_STEP = "weekly_hours"
# monitoring runs every 10 s (dagster.yaml), the code server's and the sensor's checks every 5 s
DETECTION_SECONDS = 60


@dataclass(frozen=True)
class Killed:
    """Reports whose processes were killed while running, by the strategy of their later retry."""

    failed: dict[str, dict[str, Any]]
    seconds: float


@pytest.fixture(scope="module")
def killed(system: System) -> Killed:
    with system.reads_blocked():
        report_ids = {
            strategy: system.submit(windows=["hour"], rules={"max_carry_hours": hours})["id"]
            for hours, strategy in enumerate(STRATEGIES, start=1)
        }
        for run_id in report_ids.values():
            system.until_step_started(run_id, BLOCKED_STEP)
            assert system.report(run_id)["status"] == "Running"
        for run_id in report_ids.values():
            os.kill(system.pid(run_id), signal.SIGKILL)
        start = time.monotonic()
        failed = {
            strategy: system.until(run_id, "Failed") for strategy, run_id in report_ids.items()
        }
    return Killed(failed, time.monotonic() - start)


def test_report_of_killed_process_fails_with_the_reason(system: System, killed: Killed) -> None:
    assert killed.seconds < DETECTION_SECONDS
    for report in killed.failed.values():
        assert "terminated by signal 9 (SIGKILL)" in report["error"]
        assert report["finished_at"] is not None
        answer = system.api.get(f"/v1/reports/{report['id']}/report.csv")
        assert answer.status_code == httpx.codes.CONFLICT
        assert report["error"] in answer.json()["detail"]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_retried_report_is_complete_under_its_first_id(
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


def test_report_canceled_while_running_is_canceled_in_dagster(system: System) -> None:
    with system.reads_blocked():
        report_id = system.submit(windows=["day"], rules={"missing_day": "closed"})["id"]
        system.until_step_started(report_id, BLOCKED_STEP)
        assert system.api.delete(f"/v1/reports/{report_id}").status_code == httpx.codes.ACCEPTED
    canceled = system.until(report_id, "Canceled")
    assert canceled["finished_at"] is not None
    assert system.run(report_id)["status"] == "CANCELED"
    assert not (system.reports_dir / report_id / "report.csv").exists()


def test_report_canceled_in_the_queue_never_runs(system: System) -> None:
    with system.daemon.stopped():
        report_id = system.submit(windows=["day"], rules={"day_end": "literal"})["id"]
        assert system.run(report_id)["status"] == "QUEUED"
        assert system.api.delete(f"/v1/reports/{report_id}").status_code == httpx.codes.ACCEPTED
        assert system.run(report_id)["status"] == "CANCELED"
    system.until(report_id, "Canceled")
    start_events = ("RUN_STARTING", "RUN_START", "STEP_START")
    assert not any(event["eventType"] in start_events for event in system.events(report_id))


def test_deleted_report_is_removed_with_its_files(system: System, by_command: ByCommand) -> None:
    report_id = system.submit(windows=["week"], rules={"closed_polls": "use"})["id"]
    system.until(report_id, "Complete")
    directory = system.reports_dir / report_id
    assert (directory / "report.csv").is_file()
    path = f"/v1/reports/{report_id}"
    system.until_succeeded(report_id)
    assert system.api.delete(path).status_code == httpx.codes.NO_CONTENT
    for deleted_path in (path, f"{path}/report.csv", f"/get_report/{report_id}"):
        assert system.api.get(deleted_path).status_code == httpx.codes.NOT_FOUND
    assert system.api.delete(path).status_code == httpx.codes.NOT_FOUND
    assert not directory.exists()
    assert system.file(by_command.run_id) == by_command.csv, "other reports are kept"
