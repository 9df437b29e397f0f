"""Legacy endpoints: the curl examples of the two previous systems work unchanged."""

import csv
import json
import subprocess
from typing import NamedTuple
from urllib.parse import quote

import pytest

from storemon_pipeline_tests.helpers.api_process import ODD_STORE, Api, ApiDatabase

UNKNOWN = "5e135a30-2328-44f2-b25b-b3e4eeda8dd8"


class CurlResponse(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


def curl(api: Api, path: str, *options: str) -> CurlResponse:
    """Send a request with curl -i."""
    command = ["curl", "-sS", "-i", *options, api.url + path]
    out = subprocess.run(command, check=True, capture_output=True).stdout
    head, _, body = out.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return CurlResponse(int(first.split()[1]), headers, body)


def as_json(response: CurlResponse) -> dict:
    assert response.headers["content-type"].endswith("json")
    return json.loads(response.body)


@pytest.mark.parametrize(
    "path", ["/trigger_report", "/trigger_report?store_id=s1", "/trigger_single_store_report/s1"]
)
def test_triggered_report_has_id_and_is_running(api: Api, path: str):
    response = curl(api, path, "-X", "POST")
    assert response.status == 202  # Dagster is unavailable, the report stays queued
    assert set(as_json(response)) == {"report_id"}
    report_id = as_json(response)["report_id"]
    by_query = curl(api, f"/get_report?report_id={report_id}")
    by_path = curl(api, f"/get_report/{report_id}")
    assert (by_query.status, as_json(by_query)) == (200, {"status": "Running"})
    assert (by_path.status, as_json(by_path)) == (200, {"status": "running"})


@pytest.mark.parametrize("path", ["/get_report?report_id=", "/get_report/"])
def test_complete_report_is_csv_attachment(api: Api, api_database: ApiDatabase, path: str):
    response = curl(api, path + api_database.complete)
    assert response.status == 200
    assert response.headers["content-type"].startswith("text/csv")
    name = f"report_{api_database.complete}.csv"
    assert response.headers["content-disposition"] == f'attachment; filename="{name}"'
    assert (
        response.body
        == (api_database.reports_dir / api_database.complete / "report.csv").read_bytes()
    )
    assert next(csv.reader(response.body.decode().splitlines())) == [
        "store_id",
        "uptime_last_hour",
        "downtime_last_hour",
        "uptime_last_day",
        "downtime_last_day",
        "uptime_last_week",
        "downtime_last_week",
    ]


@pytest.mark.parametrize("path", ["/get_report?report_id=", "/get_report/"])
@pytest.mark.parametrize("report_id", [UNKNOWN, "no_such_report", "1" * 300, "%00", "%ED%A0%80"])
def test_unknown_report_is_404(api: Api, path: str, report_id: str):
    response = curl(api, path + report_id)
    assert response.status == 404
    assert "no report has the id" in as_json(response)["detail"]


@pytest.mark.parametrize("path", ["/store_summary?store_id={}", "/store_summary/{}"])
def test_store_summary_has_all_fields(api: Api, path: str):
    response = curl(api, path.format(quote(ODD_STORE)))
    assert (response.status, as_json(response)) == (
        200,
        {
            "store_id": ODD_STORE,
            "total_status_records": 2,
            "data_available_from": "2023-01-24 11:00:00 UTC",
            "data_available_until": "2023-01-24 12:00:00 UTC",
            "timezone": "America/Chicago",
            "has_business_hours": False,
            "business_days_defined": 0,
        },
    )


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("/store_summary?store_id=unknown", ()),
        ("/store_summary?store_id=no+body", ()),
        ("/store_summary?store_id=", ()),
        ("/store_summary?store_id=%00", ()),
        ("/store_summary/%ED%A0%80", ()),
        ("/store_summary/no%20body", ()),
        ("/trigger_report?store_id=", ("-X", "POST")),
        ("/store_summary/unknown", ()),
        ("/trigger_report?store_id=unknown", ("-X", "POST")),
        ("/trigger_single_store_report/unknown", ("-X", "POST")),
    ],
)
def test_unknown_store_is_404(api: Api, path: str, options: tuple[str, ...]):
    response = curl(api, path, *options)
    assert response.status == 404
    assert "was never polled" in as_json(response)["detail"]


def test_reports_are_listed(api: Api, api_database: ApiDatabase):
    response = curl(api, "/reports")
    (complete,) = [
        report for report in as_json(response) if report["report_id"] == api_database.complete
    ]
    assert complete["status"] == "Complete"
    assert set(complete) == {"report_id", "status", "requested_at", "finished_at"}


def test_ingest_without_dagster_is_503(api: Api):
    response = curl(api, "/ingest", "-X", "POST")
    assert response.status == 503
    assert int(response.headers["retry-after"]) > 0
    assert "nothing was started" in as_json(response)["detail"]
