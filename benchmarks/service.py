"""How long a report takes that is asked for over REST, where the time goes, and how long pages take.

Dagster's UI, its daemon and the API run as ``make dev`` runs them, with the shipped ``dagster.yaml``,
on PostgreSQL. What the client sees is timed; where it goes is read from Dagster's own record of the
run.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[1]
_START_SECONDS, _REPORT_SECONDS = 120, 300
_STEP_SECONDS = 0.02
_WRK_SECONDS = 5

_TIMES = """
query Times($id: ID!) {
  runOrError(runId: $id) {
    ... on Run {
      creationTime
      startTime
      endTime
      stepStats { stepKey startTime endTime }
      eventConnection(limit: 50) { events { __typename ... on MessageEvent { timestamp } } }
    }
  }
}
"""


@dataclass(frozen=True)
class Asked:
    """A report that was asked for: seconds until the answer, until it was Complete, and between.

    Attributes
    ----------
    report_id : str
    answered, complete : float
    stages : dict
        Seconds by what was done meanwhile.
    """

    report_id: str
    answered: float
    complete: float
    stages: dict[str, float]


class Service:
    """The API, and the Dagster behind it."""

    def __init__(self, api: str, ui: str) -> None:
        self._ui = ui
        self.http = httpx.Client(base_url=api, timeout=_REPORT_SECONDS)

    def ask(self, **asked: Any) -> Asked:
        """Ask for a report and wait for it."""
        started = time.perf_counter()
        answer = self.http.post("/v1/reports", json=asked)
        answered = time.perf_counter() - started
        answer.raise_for_status()
        report = answer.json()
        while report["status"] in ("Queued", "Running"):
            time.sleep(_STEP_SECONDS)
            # the older endpoint's answer is small, and needs nothing of Dagster
            got = self.http.get("/get_report", params={"report_id": report["id"]})
            if got.headers["content-type"].startswith("text/csv"):
                break
            if got.json()["status"] != "Running":
                msg = f"the report failed: {got.text}"
                raise RuntimeError(msg)
        complete = time.perf_counter() - started
        return Asked(report["id"], answered, complete, self._stages(report["id"]))

    def _stages(self, run_id: str) -> dict[str, float]:
        query = {"query": _TIMES, "variables": {"id": run_id}}
        run: dict[str, Any] = {"endTime": None}
        while run["endTime"] is None:  # the report is Complete a moment before its run ends
            run = httpx.post(f"{self._ui}/graphql", json=query).json()["data"]["runOrError"]
        begun = min(step["startTime"] for step in run["stepStats"])
        taken = next(
            float(event["timestamp"]) / 1000
            for event in run["eventConnection"]["events"]
            if event["__typename"] == "RunStartingEvent"
        )
        stages = {
            "waiting in the queue": taken - run["creationTime"],
            "starting the run's process": begun - taken,
        }
        for step in run["stepStats"]:
            stages[f"step {step['stepKey']}"] = step["endTime"] - step["startTime"]
        return stages

    def some_stores(self, report_id: str, number: int) -> list[str]:
        """The paths of the pages of some stores of a report, from all over it."""
        report = self.http.get("/get_report", params={"report_id": report_id}).text
        stores = [line.partition(",")[0] for line in report.splitlines()[1:]]
        return [f"/stores/{store}" for store in stores[:: max(1, len(stores) // number)][:number]]

    def looked_at(self, pages: list[str]) -> list[float]:
        """The seconds that it takes to get each of some pages."""
        took = []
        for page in pages:
            started = time.perf_counter()
            answer = self.http.get(page)
            took.append(time.perf_counter() - started)
            answer.raise_for_status()
        return took

    def polled(self, run_id: str) -> tuple[float, int]:
        """Poll a report by wrk; gives answers a second, and how many were errors."""
        url = f"{self.http.base_url}/get_report?report_id={run_id}"
        wrk = shutil.which("wrk")
        if wrk is None:
            msg = "wrk is not installed: apt-get install wrk"
            raise RuntimeError(msg)
        told = subprocess.run(  # noqa: S603
            [wrk, "-t1", "-c16", f"-d{_WRK_SECONDS}s", url],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        rate = re.search(r"Requests/sec:\s+([\d.]+)", told)
        wrong = re.search(r"Non-2xx or 3xx responses: (\d+)", told)
        cut = re.search(
            r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", told
        )
        errors = int(wrong[1]) if wrong else 0
        errors += sum(map(int, cut.groups())) if cut else 0
        return float(rate[1]) if rate else 0.0, errors


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
        return port


@contextmanager
def serving(folder: Path, url: str, data: Path) -> Iterator[Service]:
    """Start Dagster and the API on a database, and end them."""
    home = folder / "home"
    home.mkdir(parents=True)
    shutil.copy(ROOT / "dagster.yaml", home)
    ui, api = _free_port(), _free_port()
    env = os.environ | {
        "DAGSTER_HOME": str(home),
        "DAGSTER_DISABLE_TELEMETRY": "yes",
        "STOREMON_DATA_DIR": str(data),
        "STOREMON_DATABASE_URL": url,
        "STOREMON_REPORTS_DIR": str(folder / "reports"),
        "STOREMON_UI_PORT": str(ui),
        "STOREMON_API_PORT": str(api),
    }
    commands = (
        ["dagster", "dev", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(ui)],
        ["storemon_pipeline.api"],
    )
    options: dict[str, Any] = {"cwd": ROOT, "env": env}
    with (folder / "log").open("wb") as log:
        processes = [
            subprocess.Popen([sys.executable, "-m", *each], stdout=log, stderr=log, **options)  # noqa: S603
            for each in commands
        ]
        try:
            service = Service(f"http://127.0.0.1:{api}", f"http://127.0.0.1:{ui}")
            _wait_until_ready(service)
            yield service
        finally:
            for process in processes:
                process.send_signal(signal.SIGTERM)
            for process in processes:
                process.wait()


def _wait_until_ready(service: Service) -> None:
    give_up_at = time.monotonic() + _START_SECONDS
    while time.monotonic() < give_up_at:
        try:
            if service.http.get("/readyz").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(_STEP_SECONDS)
    msg = f"not ready after {_START_SECONDS} seconds"
    raise RuntimeError(msg)


def medians(reports: list[Asked]) -> dict[str, float]:
    """The median of each stage, in the order of the first report."""
    return {
        stage: statistics.median(report.stages[stage] for report in reports)
        for stage in reports[0].stages
    }
