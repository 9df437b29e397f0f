"""/v1/reports and /v1/stores: requests, responses and errors."""

import gzip
import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.heartbeats import record_heartbeat
from storemon_pipeline.storage.report_requests import find_request, mark_launched
from storemon_pipeline.storage.reports import cancel_report, fail_report, start_report
from storemon_pipeline_tests.helpers.api_process import (
    ODD_STORE,
    Api,
    ApiDatabase,
    StartApi,
    problem,
)

FILES = {
    "report.csv": "text/csv",
    "report_full.csv": "text/csv",
    "downtime_events.csv": "text/csv",
    "downtime_by_hour.csv": "text/csv",
    "report.html": "text/html",
}
IDENTITY = {"Accept-Encoding": "identity"}
UNKNOWN = "5e135a30-2328-44f2-b25b-b3e4eeda8dd8"
NUMBERS = count(1)


def new_spec() -> dict[str, Any]:
    """Return a spec that equals no other."""
    return {"rules": {"max_carry_hours": next(NUMBERS)}}


def create(api: Api, spec: dict[str, Any] | None = None, **headers: str) -> dict[str, Any]:
    response = api.http.post(
        "/v1/reports", json=new_spec() if spec is None else spec, headers=headers
    )
    assert response.status_code == 202, response.text
    assert response.headers["location"] == f"/v1/reports/{response.json()['id']}"
    return response.json()


@pytest.fixture
def database(api_database: ApiDatabase):
    database = Database(api_database.database_url)
    yield database
    database.close()


# Creating


def test_created_report_has_all_fields(api: Api):
    before = datetime.now(UTC)
    spec = {
        "as_of": "2023-01-24T12:00:00Z",
        "windows": ["day", "hour"],
        "store_ids": [ODD_STORE, "s1"],
        "rules": {"interpolation": "nearest"},
    }
    response = api.http.post("/v1/reports", json=spec)
    body = response.json()
    assert response.status_code == 202
    assert response.headers["content-type"] == "application/json"
    assert int(response.headers["retry-after"]) > 0
    assert UUID(body["id"])
    assert before <= datetime.fromisoformat(body.pop("requested_at")) <= datetime.now(UTC)
    assert body == {
        "id": body["id"],
        "status": "Queued",
        "run_id": None,
        "request": spec,
        "as_of": None,
        "finished_at": None,
        "stores": None,
        "progress": None,
        "error": None,
        "links": {
            "self": f"/v1/reports/{body['id']}",
            "page": f"/reports/{body['id']}",
            "run": None,
            "files": {},
        },
    }
    assert response.headers["location"] == body["links"]["self"]
    found = api.http.get(response.headers["location"]).json()
    assert found == response.json()


def test_complete_report_has_all_fields(api: Api, api_database: ApiDatabase):
    body = api.http.get(f"/v1/reports/{api_database.complete}").json()
    home = f"/v1/reports/{api_database.complete}"
    assert datetime.fromisoformat(body["requested_at"]) < datetime.fromisoformat(
        body["finished_at"]
    )
    assert body["request"]["windows"] == ["hour", "day", "week"]
    assert body == body | {
        "id": api_database.complete,
        "status": "Complete",
        "run_id": api_database.complete,
        "as_of": "2023-01-25T00:30:00Z",
        "stores": 4,
        "progress": None,
        "error": None,
        "links": {
            "self": home,
            "page": f"/reports/{api_database.complete}",
            "run": f"{api.dagster_url}/runs/{api_database.complete}",
            "files": {name: f"{home}/{name}" for name in (*FILES, "report.json")},
        },
    }


@pytest.mark.parametrize("content", [b"", b"null", b"{}", b" { } "])
def test_empty_body_requests_the_default_report(api: Api, content: bytes):
    headers = {"Content-Type": "application/json"} if content else {}
    response = api.http.post("/v1/reports", content=content, headers=headers)
    assert (response.status_code, response.json()["request"]) == (202, {})


@pytest.mark.parametrize(
    ("spec", "where", "words"),
    [
        ({"windows": ["fortnight"]}, "body.windows.0", "'hour'"),
        ({"windows": []}, "body", "list at least one of hour"),
        ({"windows": "day"}, "body.windows", "tuple"),
        ({"as_of": "gestern"}, "body.as_of", "or latest, or now"),
        ({"start": "2023-01-20T00:00:00Z"}, "body", "start and end must be set together"),
        ({"start": "2023-01-20", "end": "2023-01-20"}, "body", "must be before end"),
        ({"windows": ["range"]}, "body", "needs start and end"),
        ({"store_ids": []}, "body.store_ids", "at least 1"),
        ({"store_ids": ["no id"]}, "body.store_ids.0", "a letter or digit followed by"),
        ({"store_ids": ["s1\n"]}, "body.store_ids.0", "a letter or digit followed by"),
        ({"store_ids": [1]}, "body.store_ids.0", "put the store id in quotes"),
        ({"store_ids": ["s1", "unknown"]}, "body.store_ids", "never polled: unknown"),
        ({"rules": {"interpolation": "linear"}}, "body.rules.interpolation", "'previous'"),
        ({"rules": {"max_carry_hours": -1}}, "body.rules.max_carry_hours", "greater than 0"),
        ({"rules": {"before_first_poll": "guess"}}, "body.rules.before_first_poll", "'backfill'"),
        ({"windwos": ["day"]}, "body.windwos", "not permitted"),
        ({"as_of": "2199-01-01"}, "body.as_of", "2199-01-01T00:00:00Z is in the future"),
        (
            {"start": "2023-01-20", "end": "2199-01-01"},
            "body.end",
            "2199-01-01T00:00:00Z is in the future; the current time is 20",
        ),
        ({"start": "2198-01-20", "end": "2199-01-01"}, "body.start", "is in the future"),
        ({"start": "1999-12-31", "end": "2000-02-01"}, "body.start", "before 2000-01-01T00:00:00Z"),
        ({"start": "2017-01-20", "end": "2023-01-20"}, "body.start", "at most 1,830 days"),
    ],
)
def test_invalid_spec_names_field_and_accepted_values(api: Api, spec, where, words):
    body = problem(api.http.post("/v1/reports", json=spec), 422)
    (error,) = body["errors"]
    assert error["where"] == where
    assert words in error["message"]
    assert words in body["detail"]


@pytest.mark.parametrize(
    "content", [rb'{"\ud800": 1}', rb'{"store_ids": ["\ud800"]}', rb'{"as_of": "\ud800"}']
)
def test_lone_surrogates_are_rejected(api: Api, content: bytes):
    headers = {"Content-Type": "application/json"}
    problem(api.http.post("/v1/reports", content=content, headers=headers), 422)


def test_more_than_10000_stores_are_rejected(api: Api):
    spec = {"store_ids": [f"x{number}" for number in range(10_001)]}
    body = problem(api.http.post("/v1/reports", json=spec), 422)
    assert "has 10,001 stores, at most 10,000" in body["detail"]
    assert len(body["detail"]) < 200


def test_repeated_store_counts_once(api: Api):
    response = api.http.post("/v1/reports", json={"store_ids": ["s1"] * 100_000})
    assert response.status_code == 202
    assert response.json()["request"]["store_ids"] == ["s1"]


def test_many_unknown_stores_are_abbreviated(api: Api):
    body = problem(
        api.http.post("/v1/reports", json={"store_ids": [f"x{number}" for number in range(30)]}),
        422,
    )
    assert body["detail"].count("x") == 20
    assert "and 10 more" in body["detail"]


def test_equal_request_in_progress_returns_same_report(api: Api):
    one = create(api, {"windows": ["day", "hour"], "store_ids": ["s2", "s1"]})
    assert create(api, {"windows": ["day", "hour", "day"], "store_ids": ["s1", "s2", "s1"]}) == one
    assert create(api, {"windows": ["hour"], "store_ids": ["s1"]})["id"] != one["id"]
    assert api.http.delete(one["links"]["self"]).status_code == 202
    assert create(api, {"windows": ["day", "hour"], "store_ids": ["s1", "s2"]})["id"] != one["id"]


def test_idempotency_key_makes_request_repeatable(api: Api):
    key, spec = uuid4().hex, new_spec()
    one = create(api, spec, **{"Idempotency-Key": key})
    assert create(api, spec, **{"Idempotency-Key": key}) == one
    # even after the report is finished
    assert api.http.delete(one["links"]["self"]).status_code == 202
    again = create(api, spec, **{"Idempotency-Key": key})
    assert (again["id"], again["status"]) == (one["id"], "Canceled")
    body = api.http.post("/v1/reports", json=new_spec(), headers={"Idempotency-Key": key})
    assert "Idempotency-Key" in problem(body, 422)["detail"]
    assert body.json()["type"].endswith("idempotency-key-reused")


def test_idempotency_key_joins_equal_request_in_progress(api: Api):
    key, spec = uuid4().hex, new_spec()
    one = create(api, spec)
    assert create(api, spec, **{"Idempotency-Key": key})["id"] == one["id"]
    assert api.http.delete(one["links"]["self"]).status_code == 202
    assert create(api, spec, **{"Idempotency-Key": key})["id"] == one["id"]
    assert create(api, spec)["id"] != one["id"]


@pytest.mark.parametrize("key", ["", "a b", "x" * 201])
def test_invalid_idempotency_key_is_rejected(api: Api, key: str):
    response = api.http.post("/v1/reports", json=new_spec(), headers={"Idempotency-Key": key})
    (error,) = problem(response, 422)["errors"]
    assert error["where"].lower() == "header.idempotency-key"


def test_concurrent_equal_requests_create_one_report(api: Api):
    spec = new_spec()
    with ThreadPoolExecutor(12) as pool:
        body = list(pool.map(lambda _: create(api, spec), range(24)))
    assert len({report["id"] for report in body}) == 1


def test_full_queue_answers_429_with_retry_after(start_api: StartApi):
    # the pending reports of other tests already fill the queue
    full = start_api(max_queued_reports="1")
    spec = new_spec()
    first = full.http.post("/v1/reports", json=spec)
    if first.status_code == 202:
        assert create(full, spec)["id"] == first.json()["id"]
    response = full.http.post("/v1/reports", json=new_spec())
    body = problem(response, 429)
    assert int(response.headers["retry-after"]) > 0
    assert "try again in" in body["detail"]
    response = full.http.post("/trigger_single_store_report/NA")
    problem(response, 429)
    assert int(response.headers["retry-after"]) > 0


# Listing


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_pages_list_each_report_once(api: Api, limit: int):
    made = {create(api)["id"] for _ in range(4)}
    path, seen = f"/v1/reports?limit={limit}", []
    while path:
        page = api.http.get(path).raise_for_status().json()
        assert 0 < len(page["reports"]) <= limit
        seen += [(report["requested_at"], report["id"]) for report in page["reports"]]
        # a report created meanwhile is newer, and on no later page
        create(api)
        path = page["next"]
        assert not path or f"limit={limit}" in path
    assert len({report_id for _, report_id in seen}) == len(seen)
    assert made <= {report_id for _, report_id in seen}
    stamps = [stamp for stamp, _ in seen]
    assert stamps == sorted(stamps, reverse=True)


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=many",
        "cursor=",
        "cursor=yesterday",
        "cursor=IjIwMjMi",
        "cursor=WzEsICJhIl0",
        "cursor=" + "1" * 301,
    ],
)
def test_invalid_page_parameters_are_rejected(api: Api, query: str):
    assert "limit" in (body := problem(api.http.get(f"/v1/reports?{query}"), 422))["detail"] or (
        "cursor" in body["detail"]
    )


def test_unknown_report_is_404(api: Api):
    for method, path in [
        ("GET", f"/v1/reports/{UNKNOWN}"),
        ("GET", f"/v1/reports/{UNKNOWN}/report.csv"),
        ("DELETE", f"/v1/reports/{UNKNOWN}"),
    ]:
        body = problem(api.http.request(method, path), 404)
        assert UNKNOWN in body["detail"]
        assert "GET /v1/reports" in body["detail"]


# Files


@pytest.mark.parametrize("name", FILES)
def test_download_equals_written_file(api: Api, api_database: ApiDatabase, name: str):
    path = f"/v1/reports/{api_database.complete}/{name}"
    content = (api_database.reports_dir / api_database.complete / name).read_bytes()
    whole = api.http.get(path, headers=IDENTITY)
    assert whole.status_code == 200
    assert whole.headers["content-type"].startswith(FILES[name])
    stem, _, ending = name.partition(".")
    offered = f'attachment; filename="{stem}_{api_database.complete}.{ending}"'
    assert whole.headers["content-disposition"] == offered
    assert whole.headers["accept-ranges"] == "bytes"
    assert (whole.content, whole.headers["content-length"]) == (content, str(len(content)))

    compressed = api.http.get(path, headers={"Accept-Encoding": "gzip"})
    assert compressed.headers["content-encoding"] == "gzip"
    assert compressed.headers["content-disposition"] == offered
    assert compressed.content == content  # decompressed by the client
    with api.http.stream("GET", path, headers={"Accept-Encoding": "gzip"}) as stream:
        assert gzip.decompress(b"".join(stream.iter_raw())) == content
    assert compressed.headers["etag"] != whole.headers["etag"]
    for response in (whole, compressed):
        assert response.headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize("accepted", ["gzip;q=0", "br", "", "identity", "gzip;q=0, *", "*;q=0"])
def test_gzip_requires_accept_encoding(api: Api, api_database: ApiDatabase, accepted: str):
    path = f"/v1/reports/{api_database.complete}/report.csv"
    response = api.http.get(path, headers={"Accept-Encoding": accepted})
    assert "content-encoding" not in response.headers


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
@pytest.mark.parametrize("name", FILES)
def test_matching_etag_is_not_modified(
    api: Api, api_database: ApiDatabase, name: str, encoding: str
):
    path, headers = f"/v1/reports/{api_database.complete}/{name}", {"Accept-Encoding": encoding}
    etag = api.http.get(path, headers=headers).headers["etag"]
    assert etag.startswith('"')
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        response = api.http.get(path, headers=headers | {"If-None-Match": known})
        assert (response.status_code, response.content) == (304, b""), known
        assert response.headers["etag"] == etag
    assert api.http.get(path, headers=headers | {"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize("name", FILES)
def test_byte_range_is_served(api: Api, api_database: ApiDatabase, name: str):
    path = f"/v1/reports/{api_database.complete}/{name}"
    content = (api_database.reports_dir / api_database.complete / name).read_bytes()
    size = len(content)
    for byte_range, first, last in [
        ("bytes=0-9", 0, 10),
        ("bytes=5-", 5, size),
        ("bytes=-7", size - 7, size),
        (f"bytes=0-{size * 2}", 0, size),
    ]:
        # ranges refer to the uncompressed file, even if gzip is accepted
        response = api.http.get(path, headers={"Range": byte_range, "Accept-Encoding": "gzip"})
        assert (response.status_code, response.content) == (206, content[first:last]), byte_range
        assert response.headers["content-range"] == f"bytes {first}-{last - 1}/{size}"
        assert "content-encoding" not in response.headers
    several = api.http.get(path, headers={"Range": "bytes=0-1,4-5"})
    assert several.status_code == 206
    assert several.headers["content-type"].startswith("multipart/byteranges")


def test_invalid_byte_range_is_rejected(api: Api, api_database: ApiDatabase):
    path = f"/v1/reports/{api_database.complete}/report.csv"
    size = (api_database.reports_dir / api_database.complete / "report.csv").stat().st_size
    response = api.http.get(path, headers={"Range": f"bytes={size}-"})
    assert str(size) in problem(response, 416)["detail"]
    assert response.headers["content-range"] == f"bytes */{size}"
    for malformed in ("bytes=5-2", "bytes=a-b", "lines=1-2", "bytes"):
        body = problem(api.http.get(path, headers={"Range": malformed}), 400)
        assert "bytes=0-499" in body["detail"]


def test_if_range_resumes_the_same_file_only(api: Api, api_database: ApiDatabase):
    path = f"/v1/reports/{api_database.complete}/report.csv"
    whole = api.http.get(path, headers=IDENTITY)
    same = {"Range": "bytes=10-", "If-Range": whole.headers["etag"]}
    assert whole.content[:10] + api.http.get(path, headers=same).content == whole.content
    other = api.http.get(path, headers=same | {"If-Range": '"another"'})
    assert (other.status_code, other.content) == (200, whole.content)


def test_file_of_unfinished_report_is_409(api: Api, database: Database):
    waiting = create(api)["id"]
    running, failed, canceled = (str(uuid4()) for _ in range(3))
    now = datetime.now(UTC)
    with database.registry_transaction() as connection:
        for run_id in (running, failed, canceled):
            start_report(connection, run_id, None, now)
        fail_report(connection, failed, error="no polls", failed_at=now)
        cancel_report(connection, canceled, canceled_at=now)
    for report_id, words in [
        (waiting, "Queued"),
        (running, "Running"),
        (failed, "Failed: no polls"),
        (canceled, "Canceled"),
    ]:
        for name in FILES:
            body = problem(api.http.get(f"/v1/reports/{report_id}/{name}"), 409)
            assert f"is {words}" in body["detail"]
            assert "Complete" in body["detail"]
        body = api.http.get(f"/v1/reports/{report_id}").json()
        assert body["status"] == words.partition(":")[0]
    assert api.http.get(f"/v1/reports/{failed}").json()["error"] == "no polls"


def test_missing_file_is_404(api: Api, api_database: ApiDatabase):
    path = api_database.reports_dir / api_database.complete / "downtime_events.csv"
    backup = path.rename(path.with_suffix(".kept"))
    body = problem(api.http.get(f"/v1/reports/{api_database.complete}/{path.name}"), 404)
    assert "request a new report" in body["detail"]
    backup.rename(path)


def test_report_id_cannot_traverse_paths(api: Api, api_database: ApiDatabase, tmp_path: Path):
    secret = api_database.reports_dir.parent / "report.csv"
    secret.write_text("so-secret")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "report.csv").write_text("so-secret")
    linked = api_database.reports_dir / "linked"
    linked.symlink_to(outside)
    host = f"http://127.0.0.1:{api.port}"
    ids = [
        "..",
        "%2e%2e",
        "%2E%2E%2F",
        "..%2f..",
        "%2e%2e%5c",
        "%252e%252e",
        "%2Fetc",
        f"{outside}".replace("/", "%2F"),
        f"{api_database.complete}%2f..%2f..",
        f"{api_database.complete}%00",
        "%00",
        "linked",
        ".",
        "",
    ]
    for report_id in ids:
        for path in (
            f"/v1/reports/{report_id}/report.csv",
            f"/v1/reports/{report_id}",
            f"/get_report/{report_id}",
            f"/get_report?report_id={report_id}",
        ):
            # httpx would normalize the path
            request = httpx.Request("GET", host)
            request.extensions["target"] = path.encode()
            response = api.http.send(request)
            assert response.status_code in (200, 307, 404, 422), path
            assert "so-secret" not in response.text
            assert "text/csv" not in response.headers.get("content-type", "")
        request = httpx.Request("DELETE", host)
        request.extensions["target"] = f"/v1/reports/{report_id}".encode()
        assert api.http.send(request).status_code in (307, 404, 405)
    for name in ("..%2freport.csv", "../report.csv", ".report.csv.part", "intermediate", "%00"):
        request = httpx.Request("GET", host)
        request.extensions["target"] = f"/v1/reports/{api_database.complete}/{name}".encode()
        response = api.http.send(request)
        assert response.status_code in (404, 422), name
        assert "so-secret" not in response.text
    assert secret.read_text() == (outside / "report.csv").read_text() == "so-secret"


# Canceling and deleting


def test_delete_cancels_and_then_removes_report(api: Api):
    home = create(api)["links"]["self"]
    canceled = api.http.delete(home)
    assert (canceled.status_code, canceled.json()["status"]) == (202, "Canceled")
    assert api.http.get(home).json() == canceled.json()
    removed = api.http.delete(home)
    assert (removed.status_code, removed.content) == (204, b"")
    problem(api.http.get(home), 404)
    problem(api.http.delete(home), 404)


def test_cancel_running_report_without_dagster_is_503(api: Api, database: Database):
    run_id = str(uuid4())
    with database.registry_transaction() as connection:
        start_report(connection, run_id, None, datetime.now(UTC))
    response = api.http.delete(f"/v1/reports/{run_id}")
    assert run_id in problem(response, 503)["detail"]
    assert int(response.headers["retry-after"]) > 0
    body = api.http.get(f"/v1/reports/{run_id}").json()
    assert (body["status"], body["progress"]) == ("Running", None)


def test_report_of_dead_process_is_canceled_at_once(api: Api, database: Database):
    run_id, long_ago = str(uuid4()), datetime.now(UTC) - timedelta(minutes=2)
    with database.registry_transaction() as connection:
        record_heartbeat(connection, run_id, long_ago)
        start_report(connection, run_id, None, long_ago)
    response = api.http.delete(f"/v1/reports/{run_id}")
    assert (response.status_code, response.json()["status"]) == (202, "Canceled")


def test_report_of_dead_process_is_not_reused(api: Api, database: Database):
    spec, long_ago = new_spec(), datetime.now(UTC) - timedelta(minutes=2)
    first, run_id = create(api, spec), str(uuid4())
    with database.registry_transaction() as connection:
        kept = find_request(connection, first["id"])
        assert kept is not None
        mark_launched(connection, kept, run_id)
        record_heartbeat(connection, run_id, datetime.now(UTC))
        start_report(connection, run_id, None, long_ago)
    assert create(api, spec)["id"] == run_id
    with database.registry_transaction() as connection:
        record_heartbeat(connection, run_id, long_ago)
    assert create(api, spec)["id"] != run_id
    body = api.http.get(f"/v1/reports/{run_id}").json()
    assert (body["status"], "no heartbeat for a minute" in body["error"]) == ("Failed", True)


def test_report_of_dead_process_fails_without_daemon(
    start_api: StartApi, api_database: ApiDatabase
):
    database, run_id = Database(api_database.database_url), str(uuid4())
    long_ago = datetime.now(UTC) - timedelta(minutes=2)
    with database.registry_transaction() as connection:
        start_report(connection, run_id, None, long_ago)
        record_heartbeat(connection, run_id, long_ago)
    database.close()
    api = start_api()  # checks for stale reports at the start
    deadline = time.monotonic() + 20
    while (report := api.http.get(f"/v1/reports/{run_id}").json())["status"] == "Running":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert (report["status"], "no heartbeat" in report["error"]) == ("Failed", True)


# Stores


def test_store_has_summary_and_latest_figures(api: Api, api_database: ApiDatabase):
    body = api.http.get("/v1/stores/s1").json()
    latest = body.pop("latest")
    summary = api.http.get("/store_summary/s1").json()
    for name in ("data_available_from", "data_available_until"):  # in the legacy format
        summary[name] = summary[name].removesuffix(" UTC").replace(" ", "T") + "Z"
    assert {name: body[name] for name in summary} == summary
    assert (latest["report_id"], latest["as_of"]) == (api_database.complete, "2023-01-25T00:30:00Z")
    lines = (
        (api_database.reports_dir / api_database.complete / "report_full.csv")
        .read_text()
        .splitlines()
    )
    header, row = lines[0].split(","), next(line for line in lines if line.startswith("s1,"))
    assert list(latest["figures"]) == header[1:]
    for name, value in zip(header[1:], row.split(",")[1:], strict=True):
        found = latest["figures"][name]
        as_text = {True: "true", False: "false"}[found] if isinstance(found, bool) else found
        assert as_text == (float(value) if isinstance(as_text, float | int) else value or None)


@pytest.mark.parametrize(
    ("store_id", "status", "poll"),
    [
        ("s1", "closed", None),
        ("s2", "down", "2023-01-25T00:30:00Z"),  # at the newest poll
        ("NA", "no data", None),  # last polled twelve hours earlier
    ],
)
def test_store_has_status_at_newest_poll(api: Api, store_id, status, poll):
    now = api.http.get(f"/v1/stores/{store_id}").json()["now"]
    assert now == {"status": status, "as_of": "2023-01-25T00:30:00Z", "poll_utc": poll}


def test_store_status_intervals_are_within_range(api: Api):
    start, end = "2023-01-20T00:00:00Z", "2023-01-24T00:00:00Z"
    body = api.http.get("/v1/stores/s1/status", params={"start": start, "end": end}).json()
    assert (body["store_id"], body["start"], body["end"]) == ("s1", start, end)
    assert body["timezone"] == "America/Los_Angeles"
    assert body["status_intervals"]
    assert body["open_intervals"]
    for kind, first, last in [
        ("status_intervals", "start_utc", "end_utc"),
        ("open_intervals", "open_utc", "close_utc"),
    ]:
        for interval in body[kind]:
            assert start <= interval[first] < interval[last] <= end
    assert {interval["status"] for interval in body["status_intervals"]} <= {"active", "inactive"}


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("start=2023-01-24&end=2023-01-24", "must be before end"),
        ("start=2023-01-25&end=2023-01-24", "must be before end"),
        ("start=2022-01-01&end=2023-01-24", "at most 92 days"),
        ("start=gestern", "is not a valid timestamp"),
        ("end=2199-01-01", "end: 2199-01-01T00:00:00Z is in the future; the current time is 20"),
        ("start=2199-01-01", "start: 2199-01-01T00:00:00Z is in the future"),
        ("end=1492-01-01", "between the years"),
    ],
)
def test_invalid_range_is_rejected(api: Api, query: str, words: str):
    assert words in problem(api.http.get(f"/v1/stores/s1/status?{query}"), 422)["detail"]


@pytest.mark.parametrize("store_id", ["unknown", "un%20known", "%00", "x" * 65, "%ED%A0%80", ".."])
@pytest.mark.parametrize("what", ["", "/status"])
def test_unknown_store_is_404(api: Api, store_id: str, what: str):
    request = httpx.Request("GET", f"http://127.0.0.1:{api.port}")
    request.extensions["target"] = f"/v1/stores/{store_id}{what}".encode()
    body = problem(api.http.send(request), 404)
    assert "was never polled" in body["detail"]


# last: it deletes the report that other tests use


def test_delete_removes_complete_report_with_files(api: Api, api_database: ApiDatabase):
    home = f"/v1/reports/{api_database.complete}"
    assert (api_database.reports_dir / api_database.complete).is_dir()
    assert api.http.delete(home).status_code == 204
    assert not (api_database.reports_dir / api_database.complete).exists()
    problem(api.http.get(home), 404)
    problem(api.http.get(f"{home}/report.csv"), 404)
    assert api_database.complete not in json.dumps(api.http.get("/v1/reports?limit=100").json())
    assert api.http.get("/v1/stores/s1").json()["latest"] is None
