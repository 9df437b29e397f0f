"""/v1/reports and /v1/stores, to the letter: what is asked for, what is answered, what is refused."""

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


def new_request() -> dict[str, Any]:
    """A request that equals no other."""
    return {"rules": {"max_carry_hours": next(NUMBERS)}}


def ask(api: Api, asked: dict[str, Any] | None = None, **headers: str) -> dict[str, Any]:
    answer = api.http.post(
        "/v1/reports", json=new_request() if asked is None else asked, headers=headers
    )
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/reports/{answer.json()['id']}"
    return answer.json()


@pytest.fixture
def database(api_database: ApiDatabase):
    database = Database(api_database.database_url)
    yield database
    database.close()


# Asking


def test_a_report_that_was_asked_for_has_all_its_fields(api: Api):
    before = datetime.now(UTC)
    asked = {
        "as_of": "2023-01-24T12:00:00Z",
        "windows": ["day", "hour"],
        "store_ids": [ODD_STORE, "s1"],
        "rules": {"interpolation": "nearest"},
    }
    answer = api.http.post("/v1/reports", json=asked)
    told = answer.json()
    assert answer.status_code == 202
    assert answer.headers["content-type"] == "application/json"
    assert int(answer.headers["retry-after"]) > 0
    assert UUID(told["id"])
    assert before <= datetime.fromisoformat(told.pop("requested_at")) <= datetime.now(UTC)
    assert told == {
        "id": told["id"],
        "status": "Queued",
        "run_id": None,
        "request": asked,
        "as_of": None,
        "finished_at": None,
        "stores": None,
        "progress": None,
        "error": None,
        "links": {
            "self": f"/v1/reports/{told['id']}",
            "page": f"/reports/{told['id']}",
            "run": None,
            "files": {},
        },
    }
    assert answer.headers["location"] == told["links"]["self"]
    found = api.http.get(answer.headers["location"]).json()
    assert found == answer.json()


def test_a_complete_report_has_all_its_fields(api: Api, api_database: ApiDatabase):
    told = api.http.get(f"/v1/reports/{api_database.complete}").json()
    home = f"/v1/reports/{api_database.complete}"
    assert datetime.fromisoformat(told["requested_at"]) < datetime.fromisoformat(
        told["finished_at"]
    )
    assert told["request"]["windows"] == ["hour", "day", "week"]
    assert told == told | {
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
def test_without_a_body_or_with_an_empty_one_the_usual_is_asked_for(api: Api, content: bytes):
    headers = {"Content-Type": "application/json"} if content else {}
    answer = api.http.post("/v1/reports", content=content, headers=headers)
    assert (answer.status_code, answer.json()["request"]) == (202, {})


@pytest.mark.parametrize(
    ("asked", "where", "words"),
    [
        ({"windows": ["fortnight"]}, "body.windows.0", "'hour'"),
        ({"windows": []}, "body", "name at least one of hour"),
        ({"windows": "day"}, "body.windows", "tuple"),
        ({"as_of": "gestern"}, "body.as_of", "or latest, or now"),
        ({"start": "2023-01-20T00:00:00Z"}, "body", "start and end belong together"),
        ({"start": "2023-01-20", "end": "2023-01-20"}, "body", "must be before end"),
        ({"windows": ["range"]}, "body", "needs start and end"),
        ({"store_ids": []}, "body.store_ids", "at least 1"),
        ({"store_ids": ["no id"]}, "body.store_ids.0", "a letter or digit followed by"),
        ({"store_ids": ["s1\n"]}, "body.store_ids.0", "a letter or digit followed by"),
        ({"store_ids": [1]}, "body.store_ids.0", "put the store id in quotes"),
        ({"store_ids": ["s1", "nobody"]}, "body.store_ids", "never polled: nobody"),
        ({"rules": {"interpolation": "linear"}}, "body.rules.interpolation", "'previous'"),
        ({"rules": {"max_carry_hours": -1}}, "body.rules.max_carry_hours", "greater than 0"),
        ({"rules": {"before_first_poll": "guess"}}, "body.rules.before_first_poll", "'backfill'"),
        ({"windwos": ["day"]}, "body.windwos", "not permitted"),
        ({"as_of": "2199-01-01"}, "body.as_of", "2199-01-01T00:00:00Z is in the future"),
        (
            {"start": "2023-01-20", "end": "2199-01-01"},
            "body.end",
            "2199-01-01T00:00:00Z is in the future, the current time is 20",
        ),
        ({"start": "2198-01-20", "end": "2199-01-01"}, "body.start", "is in the future"),
        ({"start": "1999-12-31", "end": "2000-02-01"}, "body.start", "before 2000-01-01T00:00:00Z"),
        ({"start": "2017-01-20", "end": "2023-01-20"}, "body.start", "at most 1,830 days"),
    ],
)
def test_what_cannot_be_asked_for_is_told_with_what_can(api: Api, asked, where, words):
    told = problem(api.http.post("/v1/reports", json=asked), 422)
    (error,) = told["errors"]
    assert error["where"] == where
    assert words in error["message"]
    assert words in told["detail"]


@pytest.mark.parametrize(
    "content", [rb'{"\ud800": 1}', rb'{"store_ids": ["\ud800"]}', rb'{"as_of": "\ud800"}']
)
def test_what_is_no_text_is_refused_and_is_no_bug(api: Api, content: bytes):
    headers = {"Content-Type": "application/json"}
    problem(api.http.post("/v1/reports", content=content, headers=headers), 422)


def test_more_than_10000_stores_are_refused(api: Api):
    asked = {"store_ids": [f"x{each}" for each in range(10_001)]}
    told = problem(api.http.post("/v1/reports", json=asked), 422)
    assert "has 10,001 stores, at most 10,000" in told["detail"]
    assert len(told["detail"]) < 200


def test_store_named_again_and_again_counts_once(api: Api):
    answer = api.http.post("/v1/reports", json={"store_ids": ["s1"] * 100_000})
    assert answer.status_code == 202
    assert answer.json()["request"]["store_ids"] == ["s1"]


def test_many_stores_that_were_never_polled_are_not_all_named(api: Api):
    told = problem(
        api.http.post("/v1/reports", json={"store_ids": [f"x{each}" for each in range(30)]}), 422
    )
    assert told["detail"].count("x") == 20
    assert "and 10 more" in told["detail"]


def test_an_equal_request_in_progress_is_the_same_report(api: Api):
    one = ask(api, {"windows": ["day", "hour"], "store_ids": ["s2", "s1"]})
    assert ask(api, {"windows": ["day", "hour", "day"], "store_ids": ["s1", "s2", "s1"]}) == one
    assert ask(api, {"windows": ["hour"], "store_ids": ["s1"]})["id"] != one["id"]
    assert api.http.delete(one["links"]["self"]).status_code == 202
    assert ask(api, {"windows": ["day", "hour"], "store_ids": ["s1", "s2"]})["id"] != one["id"]


def test_a_key_makes_a_request_safe_to_repeat(api: Api):
    key, asked = uuid4().hex, new_request()
    one = ask(api, asked, **{"Idempotency-Key": key})
    assert ask(api, asked, **{"Idempotency-Key": key}) == one
    # even once it is no longer in progress
    assert api.http.delete(one["links"]["self"]).status_code == 202
    again = ask(api, asked, **{"Idempotency-Key": key})
    assert (again["id"], again["status"]) == (one["id"], "Canceled")
    told = api.http.post("/v1/reports", json=new_request(), headers={"Idempotency-Key": key})
    assert "Idempotency-Key" in problem(told, 422)["detail"]
    assert told.json()["type"].endswith("idempotency-key-reused")


def test_a_key_that_comes_while_an_equal_request_is_in_progress_is_of_that_one(api: Api):
    key, asked = uuid4().hex, new_request()
    one = ask(api, asked)
    assert ask(api, asked, **{"Idempotency-Key": key})["id"] == one["id"]
    assert api.http.delete(one["links"]["self"]).status_code == 202
    assert ask(api, asked, **{"Idempotency-Key": key})["id"] == one["id"]
    assert ask(api, asked)["id"] != one["id"]


@pytest.mark.parametrize("key", ["", "a b", "x" * 201])
def test_a_key_that_is_none_is_refused(api: Api, key: str):
    answer = api.http.post("/v1/reports", json=new_request(), headers={"Idempotency-Key": key})
    (error,) = problem(answer, 422)["errors"]
    assert error["where"].lower() == "header.idempotency-key"


def test_of_many_equal_requests_at_once_there_is_one_report(api: Api):
    asked = new_request()
    with ThreadPoolExecutor(12) as pool:
        told = list(pool.map(lambda _: ask(api, asked), range(24)))
    assert len({each["id"] for each in told}) == 1


def test_too_many_at_once_are_told_to_come_again(start_api: StartApi):
    # with what the other tests have left waiting there are more than enough
    full = start_api(max_queued_reports="1")
    asked = new_request()
    first = full.http.post("/v1/reports", json=asked)
    if first.status_code == 202:
        assert ask(full, asked)["id"] == first.json()["id"]
    answer = full.http.post("/v1/reports", json=new_request())
    told = problem(answer, 429)
    assert int(answer.headers["retry-after"]) > 0
    assert "try again in" in told["detail"]
    answer = full.http.post("/trigger_single_store_report/NA")
    problem(answer, 429)
    assert int(answer.headers["retry-after"]) > 0


# Listing


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_following_the_pages_loses_no_report_and_shows_none_twice(api: Api, limit: int):
    made = {ask(api)["id"] for _ in range(4)}
    path, seen = f"/v1/reports?limit={limit}", []
    while path:
        page = api.http.get(path).raise_for_status().json()
        assert 0 < len(page["reports"]) <= limit
        seen += [(each["requested_at"], each["id"]) for each in page["reports"]]
        # what comes in between is newer, and is on none of the pages that follow
        ask(api)
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
        "before=yesterday",
        "before=2023-01-25T12:00:00Z",
        "before=2023-13-25T12:00:00Z~some-id",
        "before=2023-01-25T12:00:00Z~../x",
        "before=" + "1" * 300,
    ],
)
def test_a_page_that_there_cannot_be_is_refused(api: Api, query: str):
    assert "limit" in (told := problem(api.http.get(f"/v1/reports?{query}"), 422))["detail"] or (
        "before" in told["detail"]
    )


def test_a_report_that_is_not_known_is_not_found(api: Api):
    for method, path in [
        ("GET", f"/v1/reports/{UNKNOWN}"),
        ("GET", f"/v1/reports/{UNKNOWN}/report.csv"),
        ("DELETE", f"/v1/reports/{UNKNOWN}"),
    ]:
        told = problem(api.http.request(method, path), 404)
        assert UNKNOWN in told["detail"]
        assert "GET /v1/reports" in told["detail"]


# Files


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_the_one_that_was_written(api: Api, api_database: ApiDatabase, name: str):
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

    packed = api.http.get(path, headers={"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["content-disposition"] == offered
    assert packed.content == content  # unpacked by the client
    with api.http.stream("GET", path, headers={"Accept-Encoding": "gzip"}) as stream:
        assert gzip.decompress(b"".join(stream.iter_raw())) == content
    assert packed.headers["etag"] != whole.headers["etag"]
    for answer in (whole, packed):
        assert answer.headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize("accepted", ["gzip;q=0", "br", "", "identity", "gzip;q=0, *", "*;q=0"])
def test_gzip_is_for_those_who_take_it(api: Api, api_database: ApiDatabase, accepted: str):
    path = f"/v1/reports/{api_database.complete}/report.csv"
    answer = api.http.get(path, headers={"Accept-Encoding": accepted})
    assert "content-encoding" not in answer.headers


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_the_client_has_is_not_sent_again(
    api: Api, api_database: ApiDatabase, name: str, encoding: str
):
    path, headers = f"/v1/reports/{api_database.complete}/{name}", {"Accept-Encoding": encoding}
    etag = api.http.get(path, headers=headers).headers["etag"]
    assert etag.startswith('"')
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        answer = api.http.get(path, headers=headers | {"If-None-Match": known})
        assert (answer.status_code, answer.content) == (304, b""), known
        assert answer.headers["etag"] == etag
    assert api.http.get(path, headers=headers | {"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize("name", FILES)
def test_a_part_of_a_file_is_given(api: Api, api_database: ApiDatabase, name: str):
    path = f"/v1/reports/{api_database.complete}/{name}"
    content = (api_database.reports_dir / api_database.complete / name).read_bytes()
    size = len(content)
    for asked, first, last in [
        ("bytes=0-9", 0, 10),
        ("bytes=5-", 5, size),
        ("bytes=-7", size - 7, size),
        (f"bytes=0-{size * 2}", 0, size),
    ]:
        # also where gzip would do: parts are of the file as it is
        answer = api.http.get(path, headers={"Range": asked, "Accept-Encoding": "gzip"})
        assert (answer.status_code, answer.content) == (206, content[first:last]), asked
        assert answer.headers["content-range"] == f"bytes {first}-{last - 1}/{size}"
        assert "content-encoding" not in answer.headers
    several = api.http.get(path, headers={"Range": "bytes=0-1,4-5"})
    assert several.status_code == 206
    assert several.headers["content-type"].startswith("multipart/byteranges")


def test_a_part_that_the_file_does_not_have_is_refused(api: Api, api_database: ApiDatabase):
    path = f"/v1/reports/{api_database.complete}/report.csv"
    size = (api_database.reports_dir / api_database.complete / "report.csv").stat().st_size
    answer = api.http.get(path, headers={"Range": f"bytes={size}-"})
    assert str(size) in problem(answer, 416)["detail"]
    assert answer.headers["content-range"] == f"bytes */{size}"
    for malformed in ("bytes=5-2", "bytes=a-b", "lines=1-2", "bytes"):
        told = problem(api.http.get(path, headers={"Range": malformed}), 400)
        assert "bytes=0-499" in told["detail"]


def test_a_download_goes_on_only_with_the_same_file(api: Api, api_database: ApiDatabase):
    path = f"/v1/reports/{api_database.complete}/report.csv"
    whole = api.http.get(path, headers=IDENTITY)
    same = {"Range": "bytes=10-", "If-Range": whole.headers["etag"]}
    assert whole.content[:10] + api.http.get(path, headers=same).content == whole.content
    other = api.http.get(path, headers=same | {"If-Range": '"another"'})
    assert (other.status_code, other.content) == (200, whole.content)


def test_a_file_is_not_ready_before_its_report_is(api: Api, database: Database):
    waiting = ask(api)["id"]
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
            told = problem(api.http.get(f"/v1/reports/{report_id}/{name}"), 409)
            assert f"is {words}" in told["detail"]
            assert "Complete" in told["detail"]
        told = api.http.get(f"/v1/reports/{report_id}").json()
        assert told["status"] == words.partition(":")[0]
    assert api.http.get(f"/v1/reports/{failed}").json()["error"] == "no polls"


def test_a_file_that_is_gone_is_told_of(api: Api, api_database: ApiDatabase):
    path = api_database.reports_dir / api_database.complete / "downtime_events.csv"
    kept = path.rename(path.with_suffix(".kept"))
    told = problem(api.http.get(f"/v1/reports/{api_database.complete}/{path.name}"), 404)
    assert "make another report" in told["detail"]
    kept.rename(path)


def test_an_id_reaches_no_file_but_its_own(api: Api, api_database: ApiDatabase, tmp_path: Path):
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
    for each in ids:
        for path in (
            f"/v1/reports/{each}/report.csv",
            f"/v1/reports/{each}",
            f"/get_report/{each}",
            f"/get_report?report_id={each}",
        ):
            # httpx would tidy such a path up
            request = httpx.Request("GET", host)
            request.extensions["target"] = path.encode()
            answer = api.http.send(request)
            assert answer.status_code in (200, 307, 404, 422), path
            assert "so-secret" not in answer.text
            assert "text/csv" not in answer.headers.get("content-type", "")
        request = httpx.Request("DELETE", host)
        request.extensions["target"] = f"/v1/reports/{each}".encode()
        assert api.http.send(request).status_code in (307, 404, 405)
    for name in ("..%2freport.csv", "../report.csv", ".report.csv.part", "intermediate", "%00"):
        request = httpx.Request("GET", host)
        request.extensions["target"] = f"/v1/reports/{api_database.complete}/{name}".encode()
        answer = api.http.send(request)
        assert answer.status_code in (404, 422), name
        assert "so-secret" not in answer.text
    assert secret.read_text() == (outside / "report.csv").read_text() == "so-secret"


# Cancelling and removing


def test_a_report_that_waits_is_canceled_and_then_removed(api: Api):
    home = ask(api)["links"]["self"]
    canceled = api.http.delete(home)
    assert (canceled.status_code, canceled.json()["status"]) == (202, "Canceled")
    assert api.http.get(home).json() == canceled.json()
    removed = api.http.delete(home)
    assert (removed.status_code, removed.content) == (204, b"")
    problem(api.http.get(home), 404)
    problem(api.http.delete(home), 404)


def test_a_report_that_is_running_cannot_be_canceled_while_dagster_is_away(
    api: Api, database: Database
):
    run_id = str(uuid4())
    with database.registry_transaction() as connection:
        start_report(connection, run_id, None, datetime.now(UTC))
    answer = api.http.delete(f"/v1/reports/{run_id}")
    assert run_id in problem(answer, 503)["detail"]
    assert int(answer.headers["retry-after"]) > 0
    told = api.http.get(f"/v1/reports/{run_id}").json()
    assert (told["status"], told["progress"]) == ("Running", None)


def test_report_of_a_dead_process_is_canceled_at_once(api: Api, database: Database):
    run_id, long_ago = str(uuid4()), datetime.now(UTC) - timedelta(minutes=2)
    with database.registry_transaction() as connection:
        record_heartbeat(connection, run_id, long_ago)
        start_report(connection, run_id, None, long_ago)
    answer = api.http.delete(f"/v1/reports/{run_id}")
    assert (answer.status_code, answer.json()["status"]) == (202, "Canceled")


def test_report_of_a_dead_process_is_not_handed_out(api: Api, database: Database):
    asked, long_ago = new_request(), datetime.now(UTC) - timedelta(minutes=2)
    first, run_id = ask(api, asked), str(uuid4())
    with database.registry_transaction() as connection:
        kept = find_request(connection, first["id"])
        assert kept is not None
        mark_launched(connection, kept, run_id)
        record_heartbeat(connection, run_id, datetime.now(UTC))
        start_report(connection, run_id, None, long_ago)
    assert ask(api, asked)["id"] == run_id
    with database.registry_transaction() as connection:
        record_heartbeat(connection, run_id, long_ago)
    assert ask(api, asked)["id"] != run_id
    told = api.http.get(f"/v1/reports/{run_id}").json()
    assert (told["status"], "no heartbeat for a minute" in told["error"]) == ("Failed", True)


def test_report_of_a_dead_process_fails_without_a_daemon(
    start_api: StartApi, api_database: ApiDatabase
):
    database, run_id = Database(api_database.database_url), str(uuid4())
    long_ago = datetime.now(UTC) - timedelta(minutes=2)
    with database.registry_transaction() as connection:
        start_report(connection, run_id, None, long_ago)
        record_heartbeat(connection, run_id, long_ago)
    database.close()
    api = start_api()  # which looks for such reports by itself
    give_up_at = time.monotonic() + 20
    while (report := api.http.get(f"/v1/reports/{run_id}").json())["status"] == "Running":
        assert time.monotonic() < give_up_at
        time.sleep(0.1)
    assert (report["status"], "no heartbeat" in report["error"]) == ("Failed", True)


# Stores


def test_a_store_has_a_summary_and_the_figures_of_the_newest_report(
    api: Api, api_database: ApiDatabase
):
    told = api.http.get("/v1/stores/s1").json()
    latest = told.pop("latest")
    summary = api.http.get("/store_summary/s1").json()
    for name in ("data_available_from", "data_available_until"):  # as older clients read them
        summary[name] = summary[name].removesuffix(" UTC").replace(" ", "T") + "Z"
    assert {name: told[name] for name in summary} == summary
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
        ("s2", "down", "2023-01-25T00:30:00Z"),  # the newest poll itself
        ("NA", "no data", None),  # last polled twelve hours before
    ],
)
def test_a_store_says_how_it_is_at_the_newest_poll(api: Api, store_id, status, poll):
    now = api.http.get(f"/v1/stores/{store_id}").json()["now"]
    assert now == {"status": status, "as_of": "2023-01-25T00:30:00Z", "poll_utc": poll}


def test_a_store_has_its_intervals_within_what_is_asked_for(api: Api):
    start, end = "2023-01-20T00:00:00Z", "2023-01-24T00:00:00Z"
    told = api.http.get("/v1/stores/s1/status", params={"start": start, "end": end}).json()
    assert (told["store_id"], told["start"], told["end"]) == ("s1", start, end)
    assert told["timezone"] == "America/Los_Angeles"
    assert told["status_intervals"]
    assert told["open_intervals"]
    for kind, first, last in [
        ("status_intervals", "start_utc", "end_utc"),
        ("open_intervals", "open_utc", "close_utc"),
    ]:
        for each in told[kind]:
            assert start <= each[first] < each[last] <= end
    assert {each["status"] for each in told["status_intervals"]} <= {"active", "inactive"}


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("start=2023-01-24&end=2023-01-24", "must be before end"),
        ("start=2023-01-25&end=2023-01-24", "must be before end"),
        ("start=2022-01-01&end=2023-01-24", "at most 92 days"),
        ("start=gestern", "is not a valid timestamp"),
        ("end=2199-01-01", "end: 2199-01-01T00:00:00Z is in the future, the current time is 20"),
        ("start=2199-01-01", "start: 2199-01-01T00:00:00Z is in the future"),
        ("end=1492-01-01", "between the years"),
    ],
)
def test_a_span_that_there_cannot_be_is_refused(api: Api, query: str, words: str):
    assert words in problem(api.http.get(f"/v1/stores/s1/status?{query}"), 422)["detail"]


@pytest.mark.parametrize("store_id", ["nobody", "no%20body", "%00", "x" * 65, "%ED%A0%80", ".."])
@pytest.mark.parametrize("what", ["", "/status"])
def test_a_store_that_was_never_polled_is_not_found(api: Api, store_id: str, what: str):
    request = httpx.Request("GET", f"http://127.0.0.1:{api.port}")
    request.extensions["target"] = f"/v1/stores/{store_id}{what}".encode()
    told = problem(api.http.send(request), 404)
    assert "was never polled" in told["detail"]


# last: it removes what the others look at


def test_a_complete_report_is_removed_with_its_files(api: Api, api_database: ApiDatabase):
    home = f"/v1/reports/{api_database.complete}"
    assert (api_database.reports_dir / api_database.complete).is_dir()
    assert api.http.delete(home).status_code == 204
    assert not (api_database.reports_dir / api_database.complete).exists()
    problem(api.http.get(home), 404)
    problem(api.http.get(f"{home}/report.csv"), 404)
    assert api_database.complete not in json.dumps(api.http.get("/v1/reports?limit=100").json())
    assert api.http.get("/v1/stores/s1").json()["latest"] is None
