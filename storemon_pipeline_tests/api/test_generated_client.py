"""A client generated from the OpenAPI document creates, polls and downloads a report."""

import importlib
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from storemon_pipeline.definitions import defs
from storemon_pipeline.defs import resources
from storemon_pipeline.runs import report_run_config, report_run_tags
from storemon_pipeline.uptime.report_request import ReportSpec
from storemon_pipeline_tests.helpers.api_process import Api, ApiDatabase

PACKAGE = "generated_storemon_client"
SPEC = {"as_of": "2023-01-24T12:00:00Z", "windows": ["day"], "store_ids": ["s1"]}


@pytest.fixture
def client_package(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Generate the client, and make it importable."""
    document, config = tmp_path / "openapi.json", tmp_path / "config.yml"
    document.write_bytes(api.http.get("/openapi.json").raise_for_status().content)
    config.write_text("post_hooks: []\n")
    generated = subprocess.run(
        [
            Path(sys.executable).with_name("openapi-python-client"),
            *("generate", "--path", document, "--config", config, "--fail-on-warning"),
            *("--meta", "none", "--output-path", tmp_path / PACKAGE),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    output = generated.stdout + generated.stderr
    assert generated.returncode == 0, output
    assert "warning" not in output.lower(), output
    monkeypatch.syspath_prepend(tmp_path)
    return PACKAGE


def run_request(request_id: str, database: ApiDatabase) -> None:
    """Make the report of a request, as the run that Dagster launches for it does."""
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        patch.setenv("STOREMON_DATABASE_URL", database.database_url)
        patch.setenv("STOREMON_REPORTS_DIR", str(database.reports_dir))
        result = defs.resolve_job_def("report_job").execute_in_process(
            instance=instance,
            run_config=report_run_config(ReportSpec.model_validate(SPEC)),
            tags=report_run_tags(request_id, None),
        )
        assert result.success
        resources.StoremonResource().database.close()
        resources._database.cache_clear()


def test_generated_client_creates_polls_and_downloads_a_report(
    client_package: str, api: Api, api_database: ApiDatabase
):
    reports = importlib.import_module(f"{client_package}.api.reports")
    models = importlib.import_module(f"{client_package}.models")
    endpoints = {
        name: importlib.import_module(f"{reports.__name__}.{name}")
        for name in ("create_report", "get_report", "get_report_file")
    }
    client = importlib.import_module(client_package).Client(base_url=api.url)
    body = models.ReportSpec.from_dict(SPEC)
    report = endpoints["create_report"].sync(client=client, body=body)
    assert (type(report), report.status) == (models.Report, models.ReportStatus.QUEUED)

    run_request(report.id, api_database)

    report = endpoints["get_report"].sync(report.id, client=client)
    assert report.status == models.ReportStatus.COMPLETE
    text = endpoints["get_report_file"].sync(report.id, models.ReportFile.REPORT_CSV, client=client)
    header, row = text.splitlines()
    assert header == "store_id,uptime_last_day,downtime_last_day"
    assert row.startswith("s1,")
