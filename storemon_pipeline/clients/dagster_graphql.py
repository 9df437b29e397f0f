"""Dagster's GraphQL endpoint: launch a run, cancel it, see how far it is, who is alive.

Plain queries over one HTTP client. ``dagster_graphql``'s own client would import all of Dagster
into this process, and asks for the whole schema before its first query.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from storemon_pipeline.clients.bulkhead import Bulkhead, BulkheadFullError
from storemon_pipeline.uptime.messages import quote_value

_CHANGING = httpx.Timeout(10, connect=2)
_READING = httpx.Timeout(2)
# of calls at a time: a webserver that hangs holds no more threads than this
_CHANGES, _READS = 8, 4

_JOBS = """
query Jobs {
  repositoriesOrError {
    ... on RepositoryConnection { nodes { name location { name } jobs { name } } }
    ... on PythonError { message }
  }
}
"""
_LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on RunConfigValidationInvalid { errors { message } }
    ... on Error { message }
  }
}
"""
_TERMINATE = """
mutation Terminate($runId: String!) {
  terminateRun(runId: $runId) {
    __typename
    ... on Error { message }
    ... on TerminateRunFailure { message }
  }
}
"""
_STEPS = """
query Steps($runId: ID!) {
  runOrError(runId: $runId) {
    ... on Run {
      executionPlan { steps { key } }
      stepStats { stepKey status }
    }
  }
}
"""
_DAEMONS = """
query Daemons {
  instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } }
}
"""


_WAITING = """
query Waiting($job: String!, $since: Float!) {
  queued: runsOrError(filter: {pipelineName: $job, statuses: [QUEUED]}, limit: 1) {
    ... on Runs { results { runId } }
  }
  starting: runsOrError(
    filter: {pipelineName: $job, statuses: [NOT_STARTED, STARTING], createdAfter: $since}, limit: 1
  ) {
    ... on Runs { results { runId } }
  }
}
"""
# one that has not started after so long was left behind by a process that was killed
_LONGEST_START_SECONDS = 60


class DagsterUnavailableError(RuntimeError):
    """Dagster cannot be reached, or not the code that it is to run.

    Attributes
    ----------
    may_have_run : bool
        Whether it may have done what it was asked for all the same.
    """

    def __init__(self, why: str, *, may_have_run: bool = False) -> None:
        super().__init__(why)
        self.may_have_run = may_have_run


class RunNotFoundError(LookupError):
    """A run that Dagster does not know, or no more."""


class LaunchRejectedError(ValueError):
    """A run that Dagster will never launch as it was asked for."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: steps done, of all steps, and those at work."""

    done: int
    steps: int
    running: list[str]


def strip_userinfo(url: str) -> str:
    """An address as it may be shown.

    Examples
    --------
    >>> strip_userinfo("http://me:secret@dagster.example:3000/ui/")
    'http://dagster.example:3000/ui'
    """
    return str(httpx.URL(url).copy_with(userinfo=b"")).rstrip("/")


class DagsterGraphQLClient:
    """Dagster, as its webserver offers it.

    Parameters
    ----------
    url : str
        Of the webserver; a name and a password in it are sent to it, and shown to nobody.

    Attributes
    ----------
    url : str
        Without name and password.
    """

    def __init__(self, url: str) -> None:
        given = httpx.URL(url)
        self.url = strip_userinfo(url)
        auth = (given.username, given.password) if given.userinfo else None
        self._http = httpx.Client(auth=auth)
        self._changes, self._reads = Bulkhead(_CHANGES), Bulkhead(_READS)
        self._selectors: dict[str, dict[str, str]] = {}

    def close(self) -> None:
        """Give back all connections."""
        self._http.close()

    def _unavailable(self, why: object, *, may_have_run: bool = False) -> DagsterUnavailableError:
        return DagsterUnavailableError(f"{self.url}: {why}", may_have_run=may_have_run)

    def _change(self, query: str, **variables: object) -> Any:
        return self._execute(query, variables, self._changes, _CHANGING)

    def _read(self, query: str, **variables: object) -> Any:
        return self._execute(query, variables, self._reads, _READING)

    def _execute(
        self, query: str, variables: dict[str, object], calls: Bulkhead, timeout: httpx.Timeout
    ) -> Any:
        body = {"query": query, "variables": variables}
        try:
            with calls.entered():
                answer = self._http.post(f"{self.url}/graphql", json=body, timeout=timeout)
                answer.raise_for_status()
                content = answer.json()
        except BulkheadFullError as error:
            why = f"it is slow to answer: {error}"
            raise self._unavailable(why) from error
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise self._unavailable(error) from error
        except (httpx.HTTPError, ValueError) as error:
            raise self._unavailable(error, may_have_run=True) from error
        if isinstance(content, dict) and content.get("errors"):
            raise self._unavailable(content["errors"], may_have_run=True)
        if not isinstance(content, dict) or not isinstance(content.get("data"), dict):
            why = "what answers is not Dagster's GraphQL endpoint"
            raise self._unavailable(why, may_have_run=True)
        return content["data"]

    @contextmanager
    def _parsing(self) -> Iterator[None]:
        """An answer of another shape than was asked for is none of Dagster's."""
        try:
            yield
        except (KeyError, TypeError, AttributeError) as error:
            why = f"what answers is not Dagster's GraphQL endpoint: {quote_value(error, 200)}"
            raise self._unavailable(why, may_have_run=True) from error

    def _job_selector(self, job: str) -> dict[str, str]:
        """Where Dagster has a job."""
        if job not in self._selectors:
            try:
                with self._parsing():
                    self._selectors = _jobs(self._change(_JOBS)["repositoriesOrError"])
            except DagsterUnavailableError as error:
                error.may_have_run = False  # to launch anything
                raise
        if job not in self._selectors:
            why = f"there is no {job}: is its code location loaded?"
            raise self._unavailable(why)
        return self._selectors[job]

    def launch(self, job: str, config: Mapping[str, Any], tags: Mapping[str, str]) -> str:
        """Launch a run, and give its id; it is Dagster's to queue and to start.

        Raises
        ------
        DagsterUnavailableError
        LaunchRejectedError
        """
        metadata = {"tags": [{"key": key, "value": value} for key, value in tags.items()]}
        params = {
            "selector": self._job_selector(job),
            "runConfigData": config,
            "executionMetadata": metadata,
        }
        with self._parsing():
            result = self._change(_LAUNCH, params=params)["launchRun"]
            if result["__typename"] == "LaunchRunSuccess":
                return _require_str(result["run"]["runId"])
            if result["__typename"] == "RunConfigValidationInvalid":
                raise LaunchRejectedError("; ".join(each["message"] for each in result["errors"]))
            self._selectors = {}  # the job may have moved
            why = result.get("message", result["__typename"])
            raise DagsterUnavailableError(why, may_have_run=True)

    def waiting_run(self, job: str) -> str | None:
        """A run of a job that has not begun, so that it will see all that is there by now.

        Raises
        ------
        DagsterUnavailableError
        """
        since = time.time() - _LONGEST_START_SECONDS
        try:
            with self._parsing():
                data = self._change(_WAITING, job=job, since=since)
                found = data["queued"]["results"] + data["starting"]["results"]
                return _require_str(found[0]["runId"]) if found else None
        except DagsterUnavailableError as error:
            error.may_have_run = False  # to launch anything
            raise

    def terminate(self, run_id: str) -> None:
        """Cancel a run that has not ended.

        Raises
        ------
        DagsterUnavailableError
            Also where it has ended: who asks again sees that.
        RunNotFoundError
        """
        with self._parsing():
            result = self._change(_TERMINATE, runId=run_id)["terminateRun"]
            if result["__typename"] == "RunNotFoundError":
                raise RunNotFoundError(run_id)
            if result["__typename"] != "TerminateRunSuccess":
                raise DagsterUnavailableError(result.get("message", result["__typename"]))

    def progress(self, run_id: str) -> Progress | None:
        """How far a run is; None where it is not known."""
        with self._parsing():
            run = self._read(_STEPS, runId=run_id)["runOrError"]
            if not run or run.get("executionPlan") is None:
                return None
            statuses = {each["stepKey"]: each["status"] for each in run["stepStats"]}
            return Progress(
                done=sum(status in ("SUCCESS", "SKIPPED") for status in statuses.values()),
                steps=len(run["executionPlan"]["steps"]),
                running=[
                    _require_str(step) for step, how in statuses.items() if how == "IN_PROGRESS"
                ],
            )

    def unhealthy_daemons(self) -> list[str]:
        """The daemons that are needed and whose heartbeat is not fresh."""
        with self._parsing():
            health = self._read(_DAEMONS)["instance"]["daemonHealth"]
            return [
                _require_str(each["daemonType"])
                for each in health["allDaemonStatuses"]
                if each["required"] and not each["healthy"]
            ]


def _jobs(found: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Where each job is, of what Dagster tells of its code locations."""
    return {
        _require_str(each["name"]): {
            "repositoryLocationName": _require_str(repository["location"]["name"]),
            "repositoryName": _require_str(repository["name"]),
            "jobName": each["name"],
        }
        for repository in found.get("nodes", [])
        for each in repository["jobs"]
    }


def _require_str(value: object) -> str:
    if not isinstance(value, str):
        msg = f"{quote_value(value)} is no text"
        raise TypeError(msg)
    return value
