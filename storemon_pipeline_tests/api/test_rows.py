"""A report's rows as JSON, those of one store, and the newest report by its name."""

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
    """What a value of report_full.csv is in JSON."""
    if not text:
        return None
    if name in ("store_id", "timezone", "last_poll_utc"):
        return text
    return json.loads(text)


def test_rows_as_json_are_those_of_the_csv(api: Api, api_database: ApiDatabase):
    home = f"/v1/reports/{api_database.complete}"
    text = api.http.get(f"{home}/report_full.csv").text
    expected = [
        {name: as_value(name, value) for name, value in row.items()}
        for row in csv.DictReader(io.StringIO(text))
    ]
    answer = api.http.get(f"{home}/report.json")
    assert answer.headers["content-type"] == "application/json"
    told = answer.json()
    assert told["rows"] == expected
    assert len(expected) == 4
    shown = api.http.get(home).json()
    assert (told["report_id"], told["request"]) == (api_database.complete, shown["request"])
    assert set(told["request"]) >= {"as_of", "windows", "rules", "store_ids"}
    assert shown["links"]["files"]["report.json"] == f"{home}/report.json"


def test_rows_as_json_are_compressed_where_asked(api: Api, api_database: ApiDatabase):
    path = f"/v1/reports/{api_database.complete}/report.json"
    with api.http.stream("GET", path, headers={"Accept-Encoding": "gzip"}) as answer:
        assert answer.headers["content-encoding"] == "gzip"
        packed = b"".join(answer.iter_raw())
    plain = api.http.get(path, headers={"Accept-Encoding": "identity"})
    assert gzip.decompress(packed) == plain.content


@pytest.mark.parametrize("store_id", ["s1", ODD_STORE, "NA", "unknown"])
@pytest.mark.parametrize("name", FILES)
def test_file_of_one_store_has_its_rows_only(
    api: Api, api_database: ApiDatabase, name: str, store_id: str
):
    path = f"/v1/reports/{api_database.complete}/{name}"
    header, *lines = api.http.get(path).text.splitlines(keepends=True)
    own = [line for line in lines if line.startswith(f"{store_id},")]
    answer = api.http.get(path, params={"store_id": store_id})
    assert answer.text == header + "".join(own)
    assert answer.headers["content-type"].startswith("text/csv")


def test_rows_as_json_of_one_store_are_its_row(api: Api, api_database: ApiDatabase):
    path = f"/v1/reports/{api_database.complete}/report.json"
    for store_id, count in [(ODD_STORE, 1), ("NA", 1), ("unknown", 0)]:
        rows = api.http.get(path, params={"store_id": store_id}).json()["rows"]
        assert [row["store_id"] for row in rows] == [store_id] * count
    problem(api.http.get(path, params={"store_id": "no id"}), 422)


def test_page_of_one_store_is_refused(api: Api, api_database: ApiDatabase):
    path = f"/v1/reports/{api_database.complete}/report.html?store_id=s1"
    assert "store_id" in problem(api.http.get(path), 422)["detail"]


@pytest.mark.parametrize("name", ["", "/report.csv", "/report.json", "/events", "/report.html"])
def test_latest_is_the_newest_standard_report(api: Api, api_database: ApiDatabase, name: str):
    by_name = api.http.get(f"/v1/reports/latest{name}")
    assert by_name.status_code == 200
    assert by_name.content == api.http.get(f"/v1/reports/{api_database.complete}{name}").content


def test_latest_is_neither_removed_nor_canceled(api: Api, api_database: ApiDatabase):
    problem(api.http.delete("/v1/reports/latest"), 404)
    assert api.http.get(f"/v1/reports/{api_database.complete}").json()["status"] == "Complete"


def test_rows_empty_throughout_a_block_are_read(tmp_path):
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


def test_rows_of_a_report_without_stores_are_none(tmp_path):
    path = UPath(tmp_path / "report_full.csv")
    path.write_text("store_id,uptime_last_day\n")
    with path.open("rb") as file:
        assert list(json_rows(file)) == []
