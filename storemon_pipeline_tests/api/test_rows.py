"""Rows of a report as JSON, rows of one store, and the report `latest`."""

import csv
import gzip
import io
import json

import pytest
from upath import UPath

from storemon_pipeline.storage.report_reader import json_rows
from storemon_pipeline_tests.helpers.api_process import ODD_STORE, Api, ApiDatabase, problem

FILES = ["report.csv", "report_full.csv", "downtime_events.csv", "downtime_by_hour.csv"]


def as_value(name: str, text: str) -> object:
    """Return the JSON value of a field of report_full.csv."""
    if not text:
        return None
    if name in ("store_id", "timezone", "last_poll_utc"):
        return text
    return json.loads(text)


def test_json_rows_equal_csv_rows(api: Api, api_database: ApiDatabase):
    home = f"/v1/reports/{api_database.complete}"
    text = api.http.get(f"{home}/report_full.csv").text
    expected = [
        {name: as_value(name, value) for name, value in row.items()}
        for row in csv.DictReader(io.StringIO(text))
    ]
    response = api.http.get(f"{home}/report.json")
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert body["rows"] == expected
    assert len(expected) == 4
    shown = api.http.get(home).json()
    assert (body["report_id"], body["request"]) == (api_database.complete, shown["request"])
    assert set(body["request"]) >= {"as_of", "windows", "rules", "store_ids"}
    assert shown["links"]["files"]["report.json"] == f"{home}/report.json"


def test_json_rows_are_compressed_on_request(api: Api, api_database: ApiDatabase):
    path = f"/v1/reports/{api_database.complete}/report.json"
    with api.http.stream("GET", path, headers={"Accept-Encoding": "gzip"}) as response:
        assert response.headers["content-encoding"] == "gzip"
        packed = b"".join(response.iter_raw())
    plain = api.http.get(path, headers={"Accept-Encoding": "identity"})
    assert gzip.decompress(packed) == plain.content


@pytest.mark.parametrize("store_id", ["s1", ODD_STORE, "NA", "unknown"])
@pytest.mark.parametrize("name", FILES)
def test_store_filter_returns_rows_of_store_only(
    api: Api, api_database: ApiDatabase, name: str, store_id: str
):
    path = f"/v1/reports/{api_database.complete}/{name}"
    header, *lines = api.http.get(path).text.splitlines(keepends=True)
    own = [line for line in lines if line.startswith(f"{store_id},")]
    response = api.http.get(path, params={"store_id": store_id})
    assert response.text == header + "".join(own)
    assert response.headers["content-type"].startswith("text/csv")


def test_json_rows_of_one_store(api: Api, api_database: ApiDatabase):
    path = f"/v1/reports/{api_database.complete}/report.json"
    for store_id, count in [(ODD_STORE, 1), ("NA", 1), ("unknown", 0)]:
        rows = api.http.get(path, params={"store_id": store_id}).json()["rows"]
        assert [row["store_id"] for row in rows] == [store_id] * count
    problem(api.http.get(path, params={"store_id": "no id"}), 422)


def test_html_report_of_one_store_is_rejected(api: Api, api_database: ApiDatabase):
    path = f"/v1/reports/{api_database.complete}/report.html?store_id=s1"
    assert "store_id" in problem(api.http.get(path), 422)["detail"]


@pytest.mark.parametrize("name", ["", "/report.csv", "/report.json", "/events", "/report.html"])
def test_latest_is_the_latest_standard_report(api: Api, api_database: ApiDatabase, name: str):
    by_name = api.http.get(f"/v1/reports/latest{name}")
    assert by_name.status_code == 200
    assert by_name.content == api.http.get(f"/v1/reports/{api_database.complete}{name}").content


def test_latest_cannot_be_deleted(api: Api, api_database: ApiDatabase):
    problem(api.http.delete("/v1/reports/latest"), 404)
    assert api.http.get(f"/v1/reports/{api_database.complete}").json()["status"] == "Complete"


def test_json_rows_with_empty_block_are_null(tmp_path):
    path = UPath(tmp_path / "report_full.csv")
    empty = "".join(f"s{n:06},,,,,America/New_York\n" for n in range(40_000))
    path.write_text(
        "store_id,uptime_last_day,met_last_day,outages_last_day,last_poll_utc,timezone\n"
        f"{empty}z,1.25,true,3,2023-01-25T00:00:00.5Z,UTC\n"
    )
    with path.open("rb") as file:
        blocks = list(json_rows(file))
    assert len(blocks) > 1
    rows = json.loads(f"[{''.join(blocks)}]")
    assert rows[0] == {
        "store_id": "s000000",
        "uptime_last_day": None,
        "met_last_day": None,
        "outages_last_day": None,
        "last_poll_utc": None,
        "timezone": "America/New_York",
    }
    assert list(rows[-1].values()) == ["z", 1.25, True, 3, "2023-01-25T00:00:00.5Z", "UTC"]
    assert len(rows) == 40_001


def test_json_rows_of_empty_report_are_empty(tmp_path):
    path = UPath(tmp_path / "report_full.csv")
    path.write_text("store_id,uptime_last_day\n")
    with path.open("rb") as file:
        assert list(json_rows(file)) == []
