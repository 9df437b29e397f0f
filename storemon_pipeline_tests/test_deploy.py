"""`deploy/dagster.yaml` and `deploy/README.md`, with Dagster's history in PostgreSQL."""

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._config import process_config
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.run_coordinator import QueuedRunCoordinator
from dagster._core.scheduler.instigation import TickStatus
from dagster_postgres import (
    DagsterPostgresStorage,
    PostgresEventLogStorage,
    PostgresRunStorage,
    PostgresScheduleStorage,
)
from dagster_postgres.utils import pg_url_from_config
from sqlalchemy import URL, create_engine, make_url, text

from storemon_pipeline.definitions import defs
from storemon_pipeline.settings import Settings
from storemon_pipeline_tests.helpers.documentation import anchors
from storemon_pipeline_tests.helpers.postgresql import new_database
from storemon_pipeline_tests.helpers.runner import PROJECT, SAMPLE, execute, report_path, rows

CONFIG = PROJECT / "deploy" / "dagster.yaml"
PAGE = (PROJECT / "deploy" / "README.md").read_text()


def environment_of(database: URL) -> dict[str, str]:
    """Return the variables of deploy/README.md for a database; a Unix socket goes into PGHOST."""
    variables = {
        "DAGSTER_POSTGRES_USER": database.username or "",
        "DAGSTER_POSTGRES_PASSWORD": database.password or "",
        "DAGSTER_POSTGRES_HOST": database.host or "",
        "DAGSTER_POSTGRES_PORT": str(database.port or 5432),
        "DAGSTER_POSTGRES_DB": database.database or "",
    }
    if socket := database.query.get("host"):
        variables["PGHOST"] = str(socket)
    return variables


@pytest.fixture(scope="module")
def dagster_database(postgresql_server: str) -> Iterator[URL]:
    """Create a database for Dagster, on the server of the project's tables."""
    with new_database(postgresql_server) as url:
        yield make_url(url)


@pytest.fixture(scope="module")
def tables_database(postgresql_server: str) -> Iterator[str]:
    """Create an empty database for the project's tables."""
    with new_database(postgresql_server) as url:
        yield url


@dataclass(frozen=True)
class Deployed:
    """Exit code, log and databases of `ingest_and_report_job` under deploy/dagster.yaml."""

    exit_code: int
    log: str
    home: Path
    database: URL
    storemon: str


@pytest.fixture(scope="module")
def deployed(
    tmp_path_factory: pytest.TempPathFactory, dagster_database: URL, tables_database: str
) -> Deployed:
    workspace = tmp_path_factory.mktemp("deployed")
    home = workspace / "home"
    home.mkdir()
    shutil.copyfile(CONFIG, home / "dagster.yaml")
    others = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("STOREMON_", "DAGSTER_", "PG"))
    }
    own = {
        "DAGSTER_HOME": str(home),
        "STOREMON_DATA_DIR": str(SAMPLE),
        "STOREMON_DATABASE_URL": tables_database,
        "STOREMON_REPORTS_DIR": str(workspace / "reports"),
    }
    env = others | own | environment_of(dagster_database)
    done = execute("ingest_and_report_job", cwd=workspace, env=env)
    return Deployed(done.returncode, done.stdout, home, dagster_database, tables_database)


@pytest.fixture
def instance(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """Load the instance as the web UI and the daemon do."""
    monkeypatch.setenv("DAGSTER_HOME", str(deployed.home))
    for name, value in environment_of(deployed.database).items():
        monkeypatch.setenv(name, value)
    with dg.DagsterInstance.get() as instance:
        yield instance


def fetch(database: URL | str, query: str) -> list[tuple[object, ...]]:
    engine = create_engine(database)
    with engine.connect() as connection:
        rows = [tuple(row) for row in connection.execute(text(query))]
    engine.dispose()
    return rows


def test_job_makes_a_complete_report(deployed: Deployed) -> None:
    assert deployed.exit_code == 0, deployed.log
    path = report_path(deployed.log)
    assert rows(path)
    assert fetch(deployed.storemon, "SELECT report_id, status, error FROM report") == [
        (path.parent.name, "Complete", None)
    ]


def test_run_is_in_postgresql_and_not_in_dagster_home(deployed: Deployed) -> None:
    run_id = report_path(deployed.log).parent.name
    assert fetch(deployed.database, "SELECT run_id, pipeline_name, status FROM runs") == [
        (run_id, "ingest_and_report_job", "SUCCESS")
    ]
    events = fetch(deployed.database, "SELECT DISTINCT dagster_event_type FROM event_logs")
    assert ("ASSET_MATERIALIZATION",) in events
    assert fetch(deployed.database, "SELECT count(*) FROM jobs") == [(0,)]
    assert not [path for path in deployed.home.rglob("*") if path.suffix == ".db"]


def test_databases_share_only_the_migration_table(deployed: Deployed) -> None:
    query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    of_dagster, of_storemon = fetch(deployed.database, query), fetch(deployed.storemon, query)
    # the reason for two databases
    assert set(of_dagster) & set(of_storemon) == {("alembic_version",)}


def test_instance_storage_is_postgresql(instance: dg.DagsterInstance) -> None:
    assert isinstance(instance.run_storage, PostgresRunStorage)
    assert isinstance(instance.event_log_storage, PostgresEventLogStorage)
    assert isinstance(instance.schedule_storage, PostgresScheduleStorage)
    (run,) = instance.get_runs()
    assert run.job_name == "ingest_and_report_job"
    assert run.is_success


def test_runs_are_queued(instance: dg.DagsterInstance) -> None:
    coordinator = instance.run_coordinator
    assert isinstance(coordinator, QueuedRunCoordinator)
    assert coordinator.dequeue_interval_seconds == 1
    runs = instance.get_concurrency_config().run_queue_config
    assert runs is not None
    assert runs.max_concurrent_runs == 4
    assert "| Runs at a time | 4," in PAGE


def test_runs_without_a_process_are_ended(instance: dg.DagsterInstance) -> None:
    assert instance.run_monitoring_enabled
    assert instance.run_monitoring_poll_interval_seconds == 10
    assert instance.run_monitoring_start_timeout_seconds == 120
    assert instance.run_monitoring_cancel_timeout_seconds == 120
    assert instance.run_monitoring_max_runtime_seconds == 4 * 60 * 60
    assert "longer than four hours | Is ended by `max_runtime_seconds`" in PAGE


def test_telemetry_is_off_and_ticks_are_purged(instance: dg.DagsterInstance) -> None:
    assert not instance.telemetry_enabled
    assert not instance.nux_enabled
    assert instance.python_log_level == "INFO"
    for kind in (InstigatorType.SCHEDULE, InstigatorType.SENSOR):
        days = instance.get_tick_retention_settings(kind)
        ended = (TickStatus.SKIPPED, TickStatus.SUCCESS, TickStatus.FAILURE)
        assert all(days[status] > 0 for status in ended)


def variables() -> set[str]:
    return set(re.findall(r"env: (\w+)", CONFIG.read_text()))


def test_variables_table_matches_the_configuration() -> None:
    documented = set(re.findall(r"^\| `([A-Z_]+)` \|", PAGE, flags=re.MULTILINE))
    assert {name for name in documented if name.startswith("DAGSTER_POSTGRES_")} == variables()
    settings = {f"STOREMON_{name.upper()}" for name in Settings.model_fields}
    # tested in test_compose.py
    of_compose = set(re.findall(r"\$\{(\w+)", (PROJECT / "deploy/compose.yaml").read_text()))
    assert documented - variables() - settings - of_compose == {"DAGSTER_HOME"}


@pytest.mark.parametrize("missing", sorted(variables()))
def test_missing_variable_is_named(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copyfile(CONFIG, tmp_path / "dagster.yaml")
    for name in variables() - {missing}:
        monkeypatch.setenv(name, "5432")
    with pytest.raises(dg.DagsterInvalidConfigError, match=f'variable "{missing}" which is not'):
        dg.DagsterInstance.from_config(str(tmp_path))


def storage() -> dict[str, Any]:
    """Read the configuration of Dagster's storage on PostgreSQL."""
    config: dict[str, Any] = yaml.safe_load(CONFIG.read_text())["storage"]["postgres"]
    return config


def test_password_needs_no_escaping(monkeypatch: pytest.MonkeyPatch) -> None:
    database = URL.create(
        "postgresql+psycopg2", "dagster", "p@ss/w:rd%41 #?", "db.example.com", 5433, "history"
    )
    for name, value in environment_of(database).items():
        monkeypatch.setenv(name, value)
    config = process_config(DagsterPostgresStorage.config_type(), storage()).value
    assert config is not None
    assert make_url(pg_url_from_config(config)) == database


def test_configuration_has_no_secret() -> None:
    parts = storage()["postgres_db"]
    assert {name for name, value in parts.items() if not isinstance(value, dict)} == {"scheme"}


def test_links_of_the_page_resolve() -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", PAGE)
    assert links
    for link in links:
        path, _, anchor = link.partition("#")
        page = PROJECT / "deploy" / (path or "README.md")
        assert page.exists(), link
        assert not anchor or anchor in anchors(page.read_text()), link


def test_jobs_and_sensors_of_the_page_exist() -> None:
    assert set(re.findall(r"\b\w+_job\b", PAGE)) <= {job.name for job in defs.jobs or ()}
    assert set(re.findall(r"\b\w+_sensor\b", PAGE)) <= {each.name for each in defs.sensors or ()}


def test_files_of_the_directory_are_documented() -> None:
    for path in (PROJECT / "deploy").iterdir():
        assert path.name in {"README.md", "Dockerfile", "workspace.yaml", ".env"} or (
            path.name in PAGE
        ), path.name
