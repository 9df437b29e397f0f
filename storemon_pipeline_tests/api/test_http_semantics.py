"""HTTP semantics of all endpoints: methods, body lengths, malformed requests."""

import asyncio
import json
import socket

import httpx
import pytest

from storemon_pipeline.api.app import build_app
from storemon_pipeline.settings import Settings
from storemon_pipeline_tests.helpers.api_process import SECONDS, Api, ApiDatabase, problem


def test_unsupported_method_lists_allowed_methods(api: Api, api_database: ApiDatabase):
    for path, method, allowed in [
        ("/v1/reports", "PUT", {"GET", "HEAD", "POST"}),
        (f"/v1/reports/{api_database.complete}", "PATCH", {"GET", "HEAD", "DELETE"}),
        ("/trigger_report", "GET", {"POST"}),
        ("/trigger_report", "HEAD", {"POST"}),
        ("/healthz", "OPTIONS", {"GET", "HEAD"}),
        ("/healthz", "PROPFIND", {"GET", "HEAD"}),
        ("/docs", "POST", {"GET", "HEAD"}),
    ]:
        response = api.http.request(method, path)
        assert set(response.headers["allow"].split(", ")) == allowed, (method, path)
        if method != "HEAD":
            detail = problem(response, 405)["detail"]
            assert path in detail
            assert all(method in detail for method in allowed)


def test_unknown_path_is_404(api: Api):
    assert "/docs" in problem(api.http.get("/nowhere"), 404)["detail"]


@pytest.mark.parametrize(
    "path",
    ["/healthz", "/v1/reports", "/openapi.json", "/v1/reports/{}", "/v1/reports/{}/report.csv"],
)
def test_head_equals_get_without_body(api: Api, api_database: ApiDatabase, path: str):
    path = path.format(api_database.complete)
    headers = {"Accept-Encoding": "identity"}
    get = api.http.get(path, headers=headers)
    # HEAD ignores Range
    head = api.http.head(path, headers=headers | {"Range": "bytes=0-3"})
    assert (head.status_code, head.content) == (get.status_code, b"")
    for name in ("content-type", "content-length", "etag"):
        assert head.headers.get(name) == get.headers.get(name)


def raw(api: Api, head: str, body: bytes = b"") -> bytes:
    """Send bytes that no client library would send, and return the response head."""
    with socket.create_connection(("127.0.0.1", api.port), SECONDS) as connection:
        connection.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
        connection.settimeout(SECONDS)
        received = b""
        while b"\r\n\r\n" not in received and (part := connection.recv(65536)):
            received += part
    return received


@pytest.mark.parametrize("length", ["many", "-1", "1e3", "", "٣", "9" * 5000])
def test_invalid_content_length_is_rejected(api: Api, length: str):
    head = raw(api, f"POST /v1/reports HTTP/1.1\nHost: 127.0.0.1\nContent-Length: {length}")
    assert head.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 413 "))


@pytest.mark.parametrize(
    ("length", "status"),
    [("many", 400), ("-1", 400), ("", 400), ("9" * 5000, 413), ("1048577", 413)],
)
def test_invalid_content_length_is_rejected_by_middleware(length: str, status: int):
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(build_app(Settings()))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            return await http.post("/v1/reports", headers={"Content-Length": length})

    problem(asyncio.run(ask()), status)


def test_body_without_length_is_rejected(api: Api):
    body = problem(api.http.post("/v1/reports", content=iter([b"{}"])), 411)
    assert "Content-Length" in body["detail"]


def test_too_large_body_is_rejected(api: Api):
    body = problem(api.http.post("/v1/reports", content=b" " * ((1 << 20) + 1)), 413)
    assert "1,048,576" in body["detail"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"as_of": "\xff"}', 400),
        (b"[" * 100_000, 400),
        (b"{", 400),
        (b"[]", 422),
        (b'"x"', 422),
        (b"1", 422),
    ],
)
def test_malformed_body_is_rejected(api: Api, body: bytes, status: int):
    response = api.http.post(
        "/v1/reports", content=body, headers={"Content-Type": "application/json"}
    )
    problem(response, status)


def test_body_of_other_media_type_is_rejected(api: Api):
    response = api.http.post(
        "/v1/reports",
        content=json.dumps({"windows": ["day"]}),
        headers={"Content-Type": "text/plain"},
    )
    problem(response, 422)
