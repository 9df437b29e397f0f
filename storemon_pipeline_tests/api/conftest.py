"""Fixtures of the API's tests: a database with a report, and API processes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import dagster as dg
import pytest
from sqlalchemy import URL, create_engine, make_url, text

from storemon_pipeline.defs import resources
from storemon_pipeline.settings import Settings
from storemon_pipeline_tests.helpers.api_process import ODD_STORE, Api, ApiDatabase, StartApi
from storemon_pipeline_tests.helpers.runner import GOLDEN, copy_data, run


def _administer(server: URL, statement: str) -> None:
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()


def _fill(folder: Path, database_url: str) -> ApiDatabase:
    """Ingest two stores, one with an unusual id and one called NA (a valid id), and make a report."""
    data = folder / "data"
    data.mkdir()
    copy_data(GOLDEN / "past_midnight_and_split_shifts", data)
    polls = data / "store_status.csv"
    # one store is down at the newest poll
    text_of_polls = polls.read_text().replace("s2,active,2023-01-25", "s2,inactive,2023-01-25")
    others = [
        f"{ODD_STORE},inactive,2023-01-24 11:00:00 UTC\n",
        f"{ODD_STORE},active,2023-01-24 12:00:00 UTC\n",
        "NA,active,2023-01-24 12:00:00 UTC\n",
    ]
    polls.write_text(text_of_polls + "".join(others))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STOREMON_DATA_DIR", str(data))
        patch.setenv("STOREMON_DATABASE_URL", database_url)
        patch.setenv("STOREMON_REPORTS_DIR", str(folder / "reports"))
        with dg.DagsterInstance.ephemeral() as instance:
            result = run(instance, "ingest_and_report_job")
            assert result.success
        resources.StoremonResource().database.close()
        resources._database.cache_clear()
    return ApiDatabase(database_url, folder / "reports", result.run_id)


@pytest.fixture(scope="session")
def template(
    tmp_path_factory: pytest.TempPathFactory, postgresql_server: str
) -> Iterator[tuple[URL, ApiDatabase]]:
    """Yield a PostgreSQL server and a database with a report to copy."""
    server = make_url(Settings(database_url=postgresql_server).database_url)
    name = f"template_{uuid4().hex}"
    _administer(server, f"CREATE DATABASE {name}")
    url = server.set(database=name).render_as_string(hide_password=False)
    yield server, _fill(tmp_path_factory.mktemp("template"), url)
    _administer(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def api_database(
    tmp_path_factory: pytest.TempPathFactory, template: tuple[URL, ApiDatabase]
) -> Iterator[ApiDatabase]:
    """Yield a PostgreSQL database and reports that only this module uses."""
    server, filled = template
    name = f"api_{uuid4().hex}"
    _administer(server, f"CREATE DATABASE {name} TEMPLATE {make_url(filled.database_url).database}")
    reports = tmp_path_factory.mktemp("workspace") / "reports"
    shutil.copytree(filled.reports_dir, reports)
    url = server.set(database=name).render_as_string(hide_password=False)
    yield ApiDatabase(url, reports, filled.complete)
    _administer(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def start_api(
    api_database: ApiDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StartApi]:
    """Yield a function that starts APIs on the module's database; all stop after the module."""
    folder = tmp_path_factory.mktemp("api")
    with ExitStack() as stack:

        def begin(*, dagster_url: str | None = None, **settings: str) -> Api:
            own = {f"STOREMON_{name.upper()}": value for name, value in settings.items()}
            log = folder / f"{uuid4().hex}.log"
            api = Api(log, api_database.settings | own)
            if dagster_url:
                api.dagster_url = dagster_url
            return stack.enter_context(api)

        yield begin


@pytest.fixture(scope="module")
def api(start_api: StartApi) -> Api:
    """Start an API without tokens while Dagster is down."""
    return start_api()
