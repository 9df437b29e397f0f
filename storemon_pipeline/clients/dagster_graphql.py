"""Client of Dagster's GraphQL endpoint: launches and cancels runs, reads progress and health.

It replaces ``dagster_graphql.DagsterGraphQLClient``, which imports all of Dagster into the process
and fetches the whole schema before its first query.
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

_MUTATION_TIMEOUT = httpx.Timeout(10, connect=2)
_QUERY_TIMEOUT = httpx.Timeout(2)
# concurrent calls: an unresponsive webserver blocks at most this many threads
_MAX_MUTATIONS, _MAX_QUERIES = 8, 4

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
# a run that takes longer to start belongs to a process that was killed
_MAX_START_SECONDS = 60


class DagsterUnavailableError(RuntimeError):
    """Dagster's webserver or its code location cannot be reached.

    Attributes
    ----------
    may_have_run : bool
        Whether Dagster may have carried out the request nevertheless.
    """

    def __init__(self, why: str, *, may_have_run: bool = False) -> None:
        super().__init__(why)
        self.may_have_run = may_have_run


class RunNotFoundError(LookupError):
    """A run that does not exist in Dagster."""


class LaunchRejectedError(ValueError):
    """A run that Dagster rejects, for example because of its run config."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a run: finished steps, number of steps, keys of the running steps."""

    done: int
    steps: int
    running: list[str]


def strip_userinfo(url: str) -> str:
    """Return a URL without user name and password.

    Examples
    --------
    >>> strip_userinfo("http://me:secret@dagster.example:3000/ui/")
    'http://dagster.example:3000/ui'
    """
    return str(httpx.URL(url).copy_with(userinfo=b"")).rstrip("/")


class DagsterGraphQLClient:
    """Client of one Dagster webserver.

    Parameters
    ----------
    url : str
        URL of the webserver. A user name and a password in it are sent, but never shown.

    Attributes
    ----------
    url : str
        Without user name and password.
    """

    def __init__(self, url: str) -> None:
        parsed = httpx.URL(url)
        self.url = strip_userinfo(url)
        auth = (parsed.username, parsed.password) if parsed.userinfo else None
        self._http = httpx.Client(auth=auth)
        self._mutations, self._queries = Bulkhead(_MAX_MUTATIONS), Bulkhead(_MAX_QUERIES)
        self._selectors: dict[str, dict[str, str]] = {}

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def _unavailable(self, why: object, *, may_have_run: bool = False) -> DagsterUnavailableError:
        return DagsterUnavailableError(f"{self.url}: {why}", may_have_run=may_have_run)

    def _mutate(self, query: str, **variables: object) -> Any:
        return self._execute(query, variables, self._mutations, _MUTATION_TIMEOUT)

    def _query(self, query: str, **variables: object) -> Any:
        return self._execute(query, variables, self._queries, _QUERY_TIMEOUT)

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
            why = f"responses are slow: {error}"
            raise self._unavailable(why) from error
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise self._unavailable(error) from error
        except (httpx.HTTPError, ValueError) as error:
            raise self._unavailable(error, may_have_run=True) from error
        if isinstance(content, dict) and content.get("errors"):
            raise self._unavailable(content["errors"], may_have_run=True)
        if not isinstance(content, dict) or not isinstance(content.get("data"), dict):
            why = "the response is not from Dagster's GraphQL endpoint"
            raise self._unavailable(why, may_have_run=True)
        return content["data"]

    @contextmanager
    def _parsing(self) -> Iterator[None]:
        """Treat an unexpected response shape as "Dagster unavailable"."""
        try:
            yield
        except (KeyError, TypeError, AttributeError) as error:
            why = f"the response is not from Dagster's GraphQL endpoint: {quote_value(error, 200)}"
            raise self._unavailable(why, may_have_run=True) from error

    def _job_selector(self, job: str) -> dict[str, str]:
        """Return the selector of a job: its code location and repository."""
        if job not in self._selectors:
            try:
                with self._parsing():
                    self._selectors = _job_selectors(self._mutate(_JOBS)["repositoriesOrError"])
            except DagsterUnavailableError as error:
                error.may_have_run = False  # nothing was launched yet
                raise
        if job not in self._selectors:
            why = f"{job} not found: check that its code location is loaded"
            raise self._unavailable(why)
        return self._selectors[job]

    def launch(self, job: str, config: Mapping[str, Any], tags: Mapping[str, str]) -> str:
        """Launch a run, and return its id. Dagster queues and starts it.

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
            result = self._mutate(_LAUNCH, params=params)["launchRun"]
            if result["__typename"] == "LaunchRunSuccess":
                return _require_str(result["run"]["runId"])
            if result["__typename"] == "RunConfigValidationInvalid":
                raise LaunchRejectedError("; ".join(error["message"] for error in result["errors"]))
            self._selectors = {}  # the job may have moved
            why = result.get("message", result["__typename"])
            raise DagsterUnavailableError(why, may_have_run=True)

    def waiting_run(self, job: str) -> str | None:
        """Return a run of a job that has not started, and so will read all current data.

        Raises
        ------
        DagsterUnavailableError
        """
        since = time.time() - _MAX_START_SECONDS
        try:
            with self._parsing():
                data = self._mutate(_WAITING, job=job, since=since)
                runs = data["queued"]["results"] + data["starting"]["results"]
                return _require_str(runs[0]["runId"]) if runs else None
        except DagsterUnavailableError as error:
            error.may_have_run = False  # nothing was launched yet
            raise

    def terminate(self, run_id: str) -> None:
        """Cancel a run that has not finished.

        Raises
        ------
        DagsterUnavailableError
            Also if the run has already finished; its next status shows that.
        RunNotFoundError
        """
        with self._parsing():
            result = self._mutate(_TERMINATE, runId=run_id)["terminateRun"]
            if result["__typename"] == "RunNotFoundError":
                raise RunNotFoundError(run_id)
            if result["__typename"] != "TerminateRunSuccess":
                raise DagsterUnavailableError(result.get("message", result["__typename"]))

    def progress(self, run_id: str) -> Progress | None:
        """Return the progress of a run; None if it is not available."""
        with self._parsing():
            run = self._query(_STEPS, runId=run_id)["runOrError"]
            if not run or run.get("executionPlan") is None:
                return None
            statuses = {step["stepKey"]: step["status"] for step in run["stepStats"]}
            return Progress(
                done=sum(status in ("SUCCESS", "SKIPPED") for status in statuses.values()),
                steps=len(run["executionPlan"]["steps"]),
                running=[
                    _require_str(step)
                    for step, status in statuses.items()
                    if status == "IN_PROGRESS"
                ],
            )

    def unhealthy_daemons(self) -> list[str]:
        """Return the types of the required daemons without a recent heartbeat."""
        with self._parsing():
            health = self._query(_DAEMONS)["instance"]["daemonHealth"]
            return [
                _require_str(daemon["daemonType"])
                for daemon in health["allDaemonStatuses"]
                if daemon["required"] and not daemon["healthy"]
            ]


def _job_selectors(repositories: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return the selector of each job of the loaded code locations."""
    return {
        _require_str(job["name"]): {
            "repositoryLocationName": _require_str(repository["location"]["name"]),
            "repositoryName": _require_str(repository["name"]),
            "jobName": job["name"],
        }
        for repository in repositories.get("nodes", [])
        for job in repository["jobs"]
    }


def _require_str(value: object) -> str:
    if not isinstance(value, str):
        msg = f"{quote_value(value)} is not a string"
        raise TypeError(msg)
    return value
