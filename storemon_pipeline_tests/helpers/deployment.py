"""A deployment whose components are processes, and clients of its API and GraphQL endpoint."""

from __future__ import annotations

import csv
import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg
import httpx
import yaml
from sqlalchemy import NullPool, create_engine, text

from storemon_pipeline_tests.helpers.ports import free_ports, listens
from storemon_pipeline_tests.helpers.runner import PROJECT, copy_data

Found = TypeVar("Found")

# generous, since other tests may keep all cores busy
START_SECONDS = 120
REPORT_SECONDS = 120
_STOP_SECONDS = 20
_LOOK_SECONDS = 0.2
_TAIL = 3000
_IN_PROGRESS = ("Queued", "Running")

_LOCATION = "storemon"
_REPOSITORY = {"repositoryLocationName": _LOCATION, "repositoryName": "__repository__"}

_REPOSITORIES = """
query {
  repositoriesOrError {
    ... on RepositoryConnection { nodes { name location { name } } }
    ... on PythonError { message }
  }
}
"""
_LAUNCH = """
mutation ($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on Error { message }
  }
}
"""
_RETRY = """
mutation ($params: ReexecutionParams!) {
  launchRunReexecution(reexecutionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on Error { message }
  }
}
"""
_SCHEDULE = """
mutation ($schedule: ScheduleSelector!, $at: Float) {
  scheduleDryRun(selectorData: $schedule, timestamp: $at) {
    __typename
    ... on DryRunInstigationTick {
      evaluationResult { runRequests { runConfigYaml tags { key value } } }
    }
  }
}
"""
_RUNS = """
query ($filter: RunsFilter) {
  runsOrError(filter: $filter) {
    ... on Runs {
      results { runId jobName status endTime tags { key value } }
    }
  }
}
"""
_EVENTS = """
query ($runId: ID!) {
  logsForRun(runId: $runId) {
    ... on EventConnection {
      events { ... on MessageEvent { eventType timestamp message stepKey } }
    }
  }
}
"""


def wait_for(
    what: str,
    look: Callable[[], Found],
    seconds: float = REPORT_SECONDS,
    every: float = _LOOK_SECONDS,
) -> Found:
    """Poll until a callable returns a true value, and return that value."""
    give_up_at = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < give_up_at, f"waited {seconds} s for {what}, saw {found!r}"
        time.sleep(every)
    return found


@dataclass
class Part:
    """A process with its child processes, started and stopped independently."""

    name: str
    command: list[str]
    env: Mapping[str, str]
    log: Path
    is_ready: Callable[[], bool]
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process without waiting until it is ready."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                cwd=PROJECT,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # its own process group, so that its children are terminated with it
                start_new_session=True,
            )

    def wait(self) -> None:
        """Wait until the process is ready."""
        wait_for(f"{self.name} to be ready", self._has_come_up, START_SECONDS)

    def _has_come_up(self) -> bool:
        assert self._process is not None
        code = self._process.poll()
        assert code is None, f"{self.name} ended with {code}:\n{self.log_tail()}"
        return self.is_ready()

    def stop(self) -> None:
        """Terminate the process, and kill what remains of its group."""
        if self._process is None:
            return
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop the process for the duration of a block."""
        self.stop()
        try:
            yield
        finally:
            self.start()
            self.wait()

    def log_tail(self) -> str:
        """Return the end of the log."""
        return self.log.read_text(errors="replace")[-_TAIL:]


@dataclass
class System:
    """A deployment on this machine, and clients of its API and GraphQL endpoint.

    Attributes
    ----------
    env : dict
        The environment of every process and command of the deployment.
    reports_dir : Path
    database_url : str
    ui_url : str
        URL of Dagster's UI.
    api : httpx.Client
        A client of the REST API.
    code_server, webserver, daemon, api_server : Part
    """

    place: Path
    database_url: str
    env: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        code_port, ui_port, api_port = free_ports(3)
        home, data_dir = self.place / "home", self.place / "data"
        self.reports_dir = self.place / "reports"
        for directory in (home, data_dir):
            directory.mkdir()
        copy_data(PROJECT / "data", data_dir)
        (home / "dagster.yaml").write_bytes((PROJECT / "dagster.yaml").read_bytes())
        # create its tables before two processes do so concurrently
        dg.DagsterInstance.from_config(str(home)).dispose()
        workspace = self.place / "workspace.yaml"
        server = {"host": "127.0.0.1", "port": code_port, "location_name": _LOCATION}
        workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}))
        others = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("STOREMON_", "DAGSTER_"))
        }
        self.ui_url = f"http://127.0.0.1:{ui_port}"
        self.env = others | {
            "DAGSTER_HOME": str(home),
            "DAGSTER_DISABLE_TELEMETRY": "yes",
            "STOREMON_DATA_DIR": str(data_dir),
            "STOREMON_DATABASE_URL": self.database_url,
            "STOREMON_REPORTS_DIR": str(self.reports_dir),
            "STOREMON_DAGSTER_URL": self.ui_url,
            "STOREMON_API_PORT": str(api_port),
        }
        self.api = httpx.Client(base_url=f"http://127.0.0.1:{api_port}", timeout=60)
        self._graphql = httpx.Client(base_url=self.ui_url, timeout=60)
        tools = Path(sys.executable).parent
        local = ["-h", "127.0.0.1", "-p"]
        self.code_server = self._part(
            "code server",
            [
                *(f"{tools}/dagster", "code-server", "start", *local, str(code_port)),
                *("-m", "storemon_pipeline.definitions", "--location-name", _LOCATION),
            ],
            lambda: listens(code_port),
        )
        self.webserver = self._part(
            "webserver",
            [f"{tools}/dagster-webserver", "-w", str(workspace), *local, str(ui_port)],
            self._has_loaded,
        )
        self.daemon = self._part(
            # it has no port; tests wait for the effects of its ticks
            "daemon",
            [f"{tools}/dagster-daemon", "run", "-w", str(workspace)],
            lambda: True,
        )
        self.api_server = self._part(
            "api", [sys.executable, "-m", "storemon_pipeline.api"], lambda: listens(api_port)
        )

    def _part(self, name: str, command: list[str], is_ready: Callable[[], bool]) -> Part:
        return Part(name, command, self.env, self.place / f"{name}.log", is_ready)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run all components for the duration of a block."""
        parts = [self.code_server, self.webserver, self.daemon, self.api_server]
        with ExitStack() as ended:
            ended.callback(self.api.close)
            ended.callback(self._graphql.close)
            for part in parts:
                ended.callback(part.stop)
            for part in parts:
                part.start()
            for part in parts:
                part.wait()
            wait_for("the deployment to be ready", self.is_ready, START_SECONDS)
            yield

    def _has_loaded(self) -> bool:
        try:
            found = self.graphql(_REPOSITORIES)["repositoriesOrError"]
        except httpx.TransportError:
            return False
        return any(node["location"]["name"] == _LOCATION for node in found.get("nodes", ()))

    def is_ready(self) -> bool:
        """Return whether the API is ready."""
        return self.api.get("/readyz").status_code == httpx.codes.OK

    # REST API

    def submit(self, **spec: Any) -> dict[str, Any]:
        """Submit a report request to /v1."""
        answer = self.api.post("/v1/reports", json=spec)
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text
        return answer.json()

    def report(self, report_id: str) -> dict[str, Any]:
        """Return a report from the API."""
        answer = self.api.get(f"/v1/reports/{report_id}")
        assert answer.status_code == httpx.codes.OK, answer.text
        return answer.json()

    def until(
        self,
        report_id: str,
        status: str,
        seconds: float = REPORT_SECONDS,
        every: float = _LOOK_SECONDS,
    ) -> dict[str, Any]:
        """Wait until a report has a status, and return it; fail if it ends with another."""

        def look() -> dict[str, Any] | None:
            report = self.report(report_id)
            if report["status"] != status:
                assert report["status"] in _IN_PROGRESS, report
                return None
            return report

        return wait_for(f"report {report_id} to be {status}", look, seconds, every)

    def until_known(self, report_id: str) -> None:
        """Wait until the API lists a run that Dagster started as a report."""
        wait_for(
            f"run {report_id} to be a report",
            lambda: self.api.get(f"/v1/reports/{report_id}").status_code == httpx.codes.OK,
        )

    def file(self, report_id: str, name: str = "report.csv") -> bytes:
        """Download a file of a report."""
        answer = self.api.get(f"/v1/reports/{report_id}/{name}")
        assert answer.status_code == httpx.codes.OK, answer.text
        return answer.content

    def report_rows(self, report_id: str) -> list[dict[str, str]]:
        """Download report.csv, and return its rows."""
        return list(csv.DictReader(io.StringIO(self.file(report_id).decode())))

    # Dagster's GraphQL endpoint, used as its UI does

    def graphql(self, query: str, **variables: Any) -> dict[str, Any]:
        """Execute a GraphQL operation, and return its data."""
        answer = self._graphql.post("/graphql", json={"query": query, "variables": variables})
        content = answer.json()
        assert "errors" not in content, content["errors"]
        return content["data"]

    def launch(
        self,
        job: str,
        config: Mapping[str, Any] | str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Launch a run as the UI's launchpad does, and return its id."""
        params = {
            "selector": {**_REPOSITORY, "jobName": job},
            "runConfigData": config or {},
            "executionMetadata": {
                "tags": [{"key": key, "value": value} for key, value in (tags or {}).items()]
            },
        }
        return _run_id(self.graphql(_LAUNCH, params=params)["launchRun"])

    def retry(self, run_id: str, strategy: str) -> str:
        """Re-execute a run as the UI does, and return the new run's id."""
        params = {"parentRunId": run_id, "strategy": strategy}
        return _run_id(self.graphql(_RETRY, params=params)["launchRunReexecution"])

    def dry_run_schedule(self, name: str) -> dict[str, Any]:
        """Return the run request of a schedule's tick: its run config and tags."""
        schedule = {**_REPOSITORY, "scheduleName": name}
        tick = self.graphql(_SCHEDULE, schedule=schedule, at=time.time())["scheduleDryRun"]
        (request,) = tick["evaluationResult"]["runRequests"]
        return request

    def runs(self, **tags: str) -> list[dict[str, Any]]:
        """Return the runs that have all of these tags; ``__`` in a name is a slash."""
        filters = [{"key": key.replace("__", "/"), "value": value} for key, value in tags.items()]
        return self._runs(tags=filters)

    def run(self, run_id: str) -> dict[str, Any]:
        """Return a run, with its tags as a dict."""
        (run,) = self._runs(runIds=[run_id])
        return run

    def _runs(self, **of: Any) -> list[dict[str, Any]]:
        runs = self.graphql(_RUNS, filter=of)["runsOrError"]["results"]
        return [run | {"tags": {tag["key"]: tag["value"] for tag in run["tags"]}} for run in runs]

    def until_succeeded(self, run_id: str) -> None:
        """Wait until a run has succeeded, shortly after its report is Complete."""

        def look() -> bool:
            status = self.run(run_id)["status"]
            assert status not in ("FAILURE", "CANCELED"), self.events(run_id)[-1]
            return status == "SUCCESS"

        wait_for(f"run {run_id} to succeed", look)

    def events(self, run_id: str) -> list[dict[str, Any]]:
        """Return the events of a run, oldest first."""
        return self.graphql(_EVENTS, runId=run_id)["logsForRun"]["events"]

    def started_at(self, run_id: str) -> float:
        """Return when a run left the queue, as a Unix timestamp."""
        (event,) = [event for event in self.events(run_id) if event["eventType"] == "RUN_STARTING"]
        return int(event["timestamp"]) / 1000

    def oldest_first(self, job: str) -> list[str]:
        """Return the ids of a job's runs, in the order of their launch."""
        return [run["runId"] for run in reversed(self._runs(pipelineName=job))]

    def pid(self, run_id: str) -> int:
        """Return the process id of a run, from its events."""
        messages = " ".join(event["message"] for event in self.events(run_id))
        (found,) = set(re.findall(r"Started process for run \(pid: (\d+)\)", messages))
        return int(found)

    def until_step_started(self, run_id: str, step: str) -> None:
        """Wait until a run has started a step."""
        started = {"eventType": "STEP_START", "stepKey": step}
        wait_for(
            f"run {run_id} to start {step}",
            lambda: any(started.items() <= event.items() for event in self.events(run_id)),
        )

    # database

    @contextmanager
    def reads_blocked(self, table: str = "business_hours") -> Iterator[None]:
        """Block each run at the step that reads a table, for the duration of a block."""
        engine = create_engine(self.database_url, poolclass=NullPool)
        with engine.begin() as connection:
            connection.execute(text(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
            yield


def _run_id(launched: Mapping[str, Any]) -> str:
    assert launched["__typename"] == "LaunchRunSuccess", launched
    run_id: str = launched["run"]["runId"]
    return run_id


@dataclass(frozen=True)
class ByCommand:
    """The run and the report.csv of a report made by ``dagster job execute``."""

    run_id: str
    csv: bytes
