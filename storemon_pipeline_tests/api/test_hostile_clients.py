"""Clients that send too much or too slowly, or disconnect, do not affect other clients."""

import asyncio
import socket
import threading
import time
from contextlib import suppress
from typing import Any

import pytest

from storemon_pipeline.api.body_limit import BodySizeLimitMiddleware
from storemon_pipeline_tests.helpers.api_process import SECONDS, Api, ApiDatabase, StartApi

HALF = {
    "nothing": b"",
    "half a header": b"GET /v1/reports HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: ",
    "half a body": b"POST /v1/reports HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Content-Length: 100\r\n\r\n{",
    "half a form": b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\nwin",
}


def connect(api: Api) -> socket.socket:
    return socket.create_connection(("127.0.0.1", api.port), SECONDS)


def seconds_until_closed(connection: socket.socket, *, drip: bytes = b"") -> float:
    """Return how long the server keeps a connection open whose client sends byte by byte."""
    begin = time.monotonic()
    connection.settimeout(0.2)
    while time.monotonic() - begin < SECONDS:
        try:
            if not connection.recv(65536):
                break
        except TimeoutError:
            try:
                connection.sendall(drip)
            except OSError:
                break
        except OSError:
            break
    return time.monotonic() - begin


@pytest.mark.slow
def test_half_sent_requests_are_closed_in_time(api: Api):
    took: dict[tuple[str, bytes], float] = {}

    def watch(what: str, sent: bytes, drip: bytes) -> None:
        with connect(api) as connection:
            connection.sendall(sent)
            took[what, drip] = seconds_until_closed(connection, drip=drip)

    threads = [
        threading.Thread(target=watch, args=(what, sent, drip))
        for what, sent in HALF.items()
        for drip in (b"", b"x")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(took) == len(threads)
    assert max(took.values()) < 15, took


def test_half_sent_header_is_closed_in_time(api: Api):
    with connect(api) as connection:
        connection.sendall(HALF["half a header"])
        assert seconds_until_closed(connection, drip=b"x") < 8


def test_half_sent_body_is_rejected_in_time():
    async def app(*_: object) -> None:
        raise AssertionError

    async def receive() -> dict[str, object]:
        await asyncio.sleep(0.02)
        return {"type": "http.request", "body": b"x", "more_body": True}

    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "headers": [(b"content-length", b"1000")]}
    asyncio.run(BodySizeLimitMiddleware(app, seconds=0.1)(scope, receive, send))
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]


def test_connection_is_kept_after_401(start_api: StartApi):
    guarded = start_api(api_tokens="full-secret-000001")
    for _ in range(20):  # over one keep-alive connection
        response = guarded.http.post("/v1/reports", content=b" " * 200_000)
        assert response.status_code == 401
        assert "connection" not in response.headers


def test_header_of_40_mib_is_rejected_at_once(api: Api):
    begin = time.monotonic()
    with connect(api) as connection:
        with suppress(OSError):  # the server closes the connection early
            connection.sendall(b"GET /v1/reports HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: ")
            for _ in range(640):
                connection.sendall(b"x" * 65536)
        body = connection.recv(100)
    assert body.startswith(b"HTTP/1.1 431")
    assert api.http.get("/healthz").status_code == 200
    assert time.monotonic() - begin < 2


def leave(api: Api, sent: bytes, *, after: int = 0) -> None:
    """Send a request, read a part of the response, and reset the connection."""
    with connect(api) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.sendall(sent)
        if after:
            connection.recv(after)


def test_client_disconnect_is_logged_as_499(api: Api, api_database: ApiDatabase):
    big = api_database.reports_dir / api_database.complete / "downtime_events.csv"
    content = big.read_bytes()
    big.write_bytes(content * (1 + (48 << 20) // len(content)))
    path = f"/v1/reports/{api_database.complete}/downtime_events.csv".encode()
    # 100 Continue confirms that the request is being handled
    body = b"Content-Length: 100\r\nExpect: 100-continue\r\n"
    try:
        for name, request, after in [
            ("left-form", b"POST / HTTP/1.1\r\n" + body, 1),
            ("left-login", b"POST /login HTTP/1.1\r\n" + body, 1),
            ("left-json", b"POST /v1/reports HTTP/1.1\r\n" + body, 1),
            ("left-download", b"GET " + path + b" HTTP/1.1\r\n", 1000),
            ("left-gzip", b"GET " + path + b" HTTP/1.1\r\nAccept-Encoding: gzip\r\n", 1000),
        ]:
            head = request + b"Host: 127.0.0.1\r\nX-Request-ID: " + name.encode() + b"\r\n\r\n"
            leave(api, head, after=after)
            line = api.line_of(name)
            assert (line["status"], line["level"]) == (499, "info"), line
    finally:
        big.write_bytes(content)
    text = api.log.read_text()
    assert "Traceback" not in text
    assert "unhandled exception" not in text
    metrics = api.http.get("/metrics").text
    assert 'status="499"' in metrics
    assert 'status="500"' not in metrics
