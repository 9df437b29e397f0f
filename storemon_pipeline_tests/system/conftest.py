"""Fixtures of the system tests: one deployment of PostgreSQL, Dagster's processes and the API."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from storemon_pipeline_tests.helpers.deployment import ByCommand, System, wait_for
from storemon_pipeline_tests.helpers.postgresql import new_database
from storemon_pipeline_tests.helpers.runner import PROJECT, execute, report_path


@pytest.fixture(scope="package")
def system(tmp_path_factory: pytest.TempPathFactory, postgresql_server: str) -> Iterator[System]:
    """Yield the deployment, after its sensor has ingested the sample and made a report."""
    with new_database(postgresql_server) as database_url:
        system = System(tmp_path_factory.mktemp("system"), database_url)
        with system.running():
            wait_for(
                "new_files_sensor to ingest the sample and make a report",
                lambda: system.api.get("/v1/reports").json()["reports"],
            )
            (first,) = system.api.get("/v1/reports").json()["reports"]
            system.until(first["id"], "Complete")
            yield system


@pytest.fixture(scope="package")
def by_command(system: System) -> ByCommand:
    """Make a report of the deployment's tables by ``dagster job execute``."""
    done = execute("report_job", cwd=PROJECT, env=system.env)
    assert done.returncode == 0, done.stdout
    path = report_path(done.stdout)
    return ByCommand(path.parent.name, path.read_bytes())
