"""The API as a separate process, and its client."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx

from storemon_pipeline_tests.helpers.ports import free_port
from storemon_pipeline_tests.helpers.process_coverage import measured
from storemon_pipeline_tests.helpers.runner import PROJECT

SECONDS = 60
"""Timeout of each wait."""


@dataclass
class Api:
    """A process of ``python -m storemon_pipeline.api``, which logs to a file."""

    log: Path
    settings: Mapping[str, str]
    port: int = field(default_factory=free_port)
    dagster_url: str = field(default_factory=lambda: f"http://127.0.0.1:{free_port()}")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("STOREMON_", "DAGSTER_"))
        }
        own = {"STOREMON_API_PORT": str(self.port), "STOREMON_DAGSTER_URL": self.dagster_url}
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "storemon_pipeline.api"],
                cwd=PROJECT,
                env=inherited | measured() | own | dict(self.settings),
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.http = httpx.Client(base_url=self.url, timeout=SECONDS)
        give_up_at = time.monotonic() + SECONDS
        while True:
            try:
                self.http.get("/healthz").raise_for_status()
            except httpx.TransportError:
                assert self._process.poll() is None, self.log.read_text()
                assert time.monotonic() < give_up_at, self.log.read_text()
                time.sleep(0.05)
            else:
                return self

    def __exit__(self, *_: object) -> None:
        self.http.close()
        # SIGINT shuts it down gracefully, which saves its coverage
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise

    def lines(self) -> list[dict[str, Any]]:
        """Return the lines of the log as objects."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def line_of(self, request_id: str) -> dict[str, Any]:
        """Return the log line of a request, which is written after the response."""
        give_up_at = time.monotonic() + SECONDS
        while time.monotonic() < give_up_at:
            # the last line may be incomplete
            for text in self.log.read_text().rpartition("\n")[0].splitlines():
                line: dict[str, Any] = json.loads(text)
                if (line["event"], line.get("request_id")) == ("request", request_id):
                    return line
            time.sleep(0.02)
        raise AssertionError(self.log.read_text())


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    """Return the problem document of a response."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem_document: dict[str, Any] = answer.json()
    assert problem_document["status"] == status
    assert problem_document["type"].startswith("urn:storemon:problem:")
    assert problem_document["title"]
    assert problem_document["detail"]
    return problem_document


ODD_STORE = "s:1.a_b-C"
"""A store id with every character allowed in one that is neither a letter nor a digit."""


@dataclass(frozen=True)
class ApiDatabase:
    """A database and a reports directory, with the id of their complete report."""

    database_url: str
    reports_dir: Path
    complete: str

    @property
    def settings(self) -> dict[str, str]:
        return {
            "STOREMON_DATABASE_URL": self.database_url,
            "STOREMON_REPORTS_DIR": str(self.reports_dir),
            "STOREMON_MAX_QUEUED_REPORTS": "100000",
        }


StartApi = Callable[..., Api]
