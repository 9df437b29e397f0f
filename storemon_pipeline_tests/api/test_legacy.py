"""The clients of the two older systems work as they are: what their curl examples did, and got."""

import csv
import json
import subprocess
from typing import NamedTuple
from urllib.parse import quote

import pytest

from storemon_pipeline_tests.helpers.api_process import ODD_STORE, Api, ApiDatabase

UNKNOWN = "5e135a30-2328-44f2-b25b-b3e4eeda8dd8"


class Told(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


def curl(api: Api, path: str, *options: str) -> Told:
    """What curl prints with -i."""
    command = ["curl", "-sS", "-i", *options, api.url + path]
    out = subprocess.run(command, check=True, capture_output=True).stdout
    head, _, body = out.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return Told(int(first.split()[1]), headers, body)


def as_json(told: Told) -> dict:
    assert told.headers["content-type"].endswith("json")
    return json.loads(told.body)


@pytest.mark.parametrize(
    "path", ["/trigger_report", "/trigger_report?store_id=s1", "/trigger_single_store_report/s1"]
)
def test_a_report_that_is_triggered_has_an_id_and_is_running(api: Api, path: str):
    told = curl(api, path, "-X", "POST")
    assert told.status == 202  # Dagster is away, so it waits
    assert set(as_json(told)) == {"report_id"}
    report_id = as_json(told)["report_id"]
    by_query = curl(api, f"/get_report?report_id={report_id}")
    by_path = curl(api, f"/get_report/{report_id}")
    assert (by_query.status, as_json(by_query)) == (200, {"status": "Running"})
    assert (by_path.status, as_json(by_path)) == (200, {"status": "running"})


@pytest.mark.parametrize("path", ["/get_report?report_id=", "/get_report/"])
def test_a_complete_report_is_its_csv_as_an_attachment(
    api: Api, api_database: ApiDatabase, path: str
):
    told = curl(api, path + api_database.complete)
    assert told.status == 200
    assert told.headers["content-type"].startswith("text/csv")
    name = f"report_{api_database.complete}.csv"
    assert told.headers["content-disposition"] == f'attachment; filename="{name}"'
    assert (
        told.body == (api_database.reports_dir / api_database.complete / "report.csv").read_bytes()
    )
    assert next(csv.reader(told.body.decode().splitlines())) == [
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
def test_a_report_that_nobody_asked_for_is_not_found(api: Api, path: str, report_id: str):
    told = curl(api, path + report_id)
    assert told.status == 404
    assert "no report has the id" in as_json(told)["detail"]


@pytest.mark.parametrize("path", ["/store_summary?store_id={}", "/store_summary/{}"])
def test_a_store_has_a_summary(api: Api, path: str):
    told = curl(api, path.format(quote(ODD_STORE)))
    assert (told.status, as_json(told)) == (
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
        ("/store_summary?store_id=nobody", ()),
        ("/store_summary?store_id=no+body", ()),
        ("/store_summary?store_id=", ()),
        ("/store_summary?store_id=%00", ()),
        ("/store_summary/%ED%A0%80", ()),
        ("/store_summary/no%20body", ()),
        ("/trigger_report?store_id=", ("-X", "POST")),
        ("/store_summary/nobody", ()),
        ("/trigger_report?store_id=nobody", ("-X", "POST")),
        ("/trigger_single_store_report/nobody", ("-X", "POST")),
    ],
)
def test_a_store_that_was_never_polled_is_not_found(api: Api, path: str, options: tuple[str, ...]):
    told = curl(api, path, *options)
    assert told.status == 404
    assert "was never polled" in as_json(told)["detail"]


def test_all_reports_are_listed(api: Api, api_database: ApiDatabase):
    told = curl(api, "/reports")
    (complete,) = [each for each in as_json(told) if each["report_id"] == api_database.complete]
    assert complete["status"] == "Complete"
    assert set(complete) == {"report_id", "status", "requested_at", "finished_at"}


def test_nothing_is_ingested_while_dagster_is_away(api: Api):
    told = curl(api, "/ingest", "-X", "POST")
    assert told.status == 503
    assert int(told.headers["retry-after"]) > 0
    assert "nothing was started" in as_json(told)["detail"]
