"""Benchmark of the running service: latency of REST reports, by stage, and of pages.

Dagster's UI, its daemon and the API run as under ``make dev``, with the shipped ``dagster.yaml``, on
PostgreSQL. Latency is measured at the client; the stages are read from Dagster's record of the run.
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
class ReportTiming:
    """Timing of a report that was requested over REST.

    Attributes
    ----------
    report_id : str
    answered, complete : float
        Seconds until the response to the request, and until the report was Complete.
    stages : dict
        Seconds of each stage.
    """

    report_id: str
    answered: float
    complete: float
    stages: dict[str, float]


class Service:
    """A running API with its Dagster instance."""

    def __init__(self, api: str, ui: str) -> None:
        self._ui = ui
        self.http = httpx.Client(base_url=api, timeout=_REPORT_SECONDS)

    def request_report(self, **spec: Any) -> ReportTiming:
        """Request a report and wait until it is Complete."""
        started = time.perf_counter()
        response = self.http.post("/v1/reports", json=spec)
        answered = time.perf_counter() - started
        response.raise_for_status()
        report = response.json()
        while report["status"] in ("Queued", "Running"):
            time.sleep(_STEP_SECONDS)
            # the legacy endpoint's response is small and does not involve Dagster
            response = self.http.get("/get_report", params={"report_id": report["id"]})
            if response.headers["content-type"].startswith("text/csv"):
                break
            if response.json()["status"] != "Running":
                msg = f"the report failed: {response.text}"
                raise RuntimeError(msg)
        complete = time.perf_counter() - started
        return ReportTiming(report["id"], answered, complete, self._stages(report["id"]))

    def _stages(self, run_id: str) -> dict[str, float]:
        query = {"query": _TIMES, "variables": {"id": run_id}}
        run: dict[str, Any] = {"endTime": None}
        while run["endTime"] is None:  # the report is Complete shortly before its run ends
            run = httpx.post(f"{self._ui}/graphql", json=query).json()["data"]["runOrError"]
        first_step_at = min(step["startTime"] for step in run["stepStats"])
        dequeued_at = next(
            float(event["timestamp"]) / 1000
            for event in run["eventConnection"]["events"]
            if event["__typename"] == "RunStartingEvent"
        )
        stages = {
            "waiting in the queue": dequeued_at - run["creationTime"],
            "starting the run's process": first_step_at - dequeued_at,
        }
        for step in run["stepStats"]:
            stages[f"step {step['stepKey']}"] = step["endTime"] - step["startTime"]
        return stages

    def store_pages(self, report_id: str, count: int) -> list[str]:
        """Return the page paths of evenly spaced stores of a report."""
        report = self.http.get("/get_report", params={"report_id": report_id}).text
        stores = [line.partition(",")[0] for line in report.splitlines()[1:]]
        return [f"/stores/{store}" for store in stores[:: max(1, len(stores) // count)][:count]]

    def time_pages(self, paths: list[str]) -> list[float]:
        """Return the response time of each page in seconds."""
        seconds = []
        for path in paths:
            started = time.perf_counter()
            response = self.http.get(path)
            seconds.append(time.perf_counter() - started)
            response.raise_for_status()
        return seconds

    def load_test(self, run_id: str) -> tuple[float, int]:
        """Poll a report with wrk; return requests per second and the number of errors."""
        url = f"{self.http.base_url}/get_report?report_id={run_id}"
        wrk = shutil.which("wrk")
        if wrk is None:
            msg = "wrk is not installed: apt-get install wrk"
            raise RuntimeError(msg)
        output = subprocess.run(  # noqa: S603
            [wrk, "-t1", "-c16", f"-d{_WRK_SECONDS}s", url],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
        failed = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
        broken = re.search(
            r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output
        )
        errors = int(failed[1]) if failed else 0
        errors += sum(map(int, broken.groups())) if broken else 0
        return float(rate[1]) if rate else 0.0, errors


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
        return port


@contextmanager
def run_service(folder: Path, url: str, data: Path) -> Iterator[Service]:
    """Run Dagster and the API on a database within a ``with`` block."""
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
            subprocess.Popen([sys.executable, "-m", *command], stdout=log, stderr=log, **options)  # noqa: S603
            for command in commands
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
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        try:
            if service.http.get("/readyz").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(_STEP_SECONDS)
    msg = f"not ready after {_START_SECONDS} seconds"
    raise RuntimeError(msg)


def medians(reports: list[ReportTiming]) -> dict[str, float]:
    """Return the median of each stage, in the order of the first report."""
    return {
        stage: statistics.median(report.stages[stage] for report in reports)
        for stage in reports[0].stages
    }
