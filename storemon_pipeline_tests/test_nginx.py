"""`deploy/nginx.conf` in a real nginx: which requests reach Dagster's UI and the API."""

import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from storemon_pipeline_tests.helpers.api_process import SECONDS, free_port
from storemon_pipeline_tests.helpers.runner import PROJECT

CONFIG = (PROJECT / "deploy" / "nginx.conf").read_text()
DAGSTER, API = "dagster.example.com", "storemon.example.com"
LOGIN = ("someone", "password-of-someone")
MUTATION = {"query": "mutation { shutdownRepositoryLocation }"}
EVIL = "https://evil.example"

pytestmark = pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")


class Backend(BaseHTTPRequestHandler):
    """Returns the headers that it received."""

    def do_GET(self) -> None:
        body = json.dumps({name.lower(): value for name, value in self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Frame-Options", "SAMEORIGIN")
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815
    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@dataclass
class Proxy:
    """nginx with the configuration, except for addresses and files."""

    port: int

    def request(self, host: str, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"Host": host} | options.pop("headers", {})
        sni = {"sni_hostname": options.pop("sni", host)}
        url = f"https://127.0.0.1:{self.port}{path}"
        with httpx.Client(verify=False, timeout=SECONDS) as http:
            return http.request(method, url, headers=headers, extensions=sni, **options)

    def dagster(self, method: str, path: str, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request(DAGSTER, method, path, headers=named, auth=LOGIN)


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("nginx")
    folder.chmod(0o755)
    key, certificate = folder / "privkey.pem", folder / "fullchain.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"),
            *("-subj", "/CN=x", "-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    passwords = folder / "storemon.htpasswd"
    passwords.write_text(f"{LOGIN[0]}:{{PLAIN}}{LOGIN[1]}\n")
    with ThreadingHTTPServer(("127.0.0.1", 0), Backend) as backend:
        threading.Thread(target=backend.serve_forever, daemon=True).start()
        port = free_port()
        config = CONFIG
        for original, replacement in [
            ("listen 443", f"listen 127.0.0.1:{port}"),
            ("/etc/ssl/storemon/fullchain.pem", str(certificate)),
            ("/etc/ssl/storemon/privkey.pem", str(key)),
            ("/etc/nginx/storemon.htpasswd", str(passwords)),
            ("http://127.0.0.1:3000", f"http://127.0.0.1:{backend.server_port}"),
            ("http://127.0.0.1:8000", f"http://127.0.0.1:{backend.server_port}"),
        ]:
            assert original in config
            config = config.replace(original, replacement)
        whole = folder / "nginx.conf"
        whole.write_text(
            f"user root; daemon off; pid {folder}/nginx.pid; error_log stderr;\n"
            f"events {{}}\nhttp {{ access_log off;\n{config}}}\n"
        )
        log = folder / "log"
        with log.open("wb") as out:
            process = subprocess.Popen(["nginx", "-p", folder, "-c", whole], stderr=out)
        give_up_at = time.monotonic() + SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < give_up_at, log.read_text()
                time.sleep(0.02)
            else:
                break
        yield Proxy(port)
        process.terminate()
        process.wait(SECONDS)
        backend.shutdown()


def test_dagster_needs_the_login(proxy: Proxy):
    assert proxy.request(DAGSTER, "GET", "/").status_code == 401
    answer = proxy.dagster("GET", "/")
    assert answer.status_code == 200
    assert "authorization" not in answer.json()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/graphql", "//graphql", "/%67raphql", "/graphql/"])
def test_graphql_by_get_is_rejected(proxy: Proxy, method: str, path: str):
    query = str(httpx.QueryParams(MUTATION))
    navigation = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    for headers in ({}, navigation):
        assert proxy.dagster(method, f"{path}?{query}", **headers).status_code in (403, 405)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": EVIL},
        {"Origin": "null"},
        {"Origin": f"https://{DAGSTER}.evil.example"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"},
    ],
)
def test_other_site_does_not_reach_graphql(proxy: Proxy, headers: dict[str, str]):
    assert proxy.dagster("POST", "/graphql", **headers).status_code == 403


def test_other_site_opens_no_websocket(proxy: Proxy):
    upgrade = {"Upgrade": "websocket", "Connection": "upgrade"}
    assert proxy.dagster("GET", "/graphql", Origin=EVIL, **upgrade).status_code == 403
    passed = proxy.dagster("GET", "/graphql", Origin=f"https://{DAGSTER}", **upgrade)
    assert passed.json()["upgrade"] == "websocket"


@pytest.mark.parametrize(
    "headers",
    [{}, {"Origin": f"https://{DAGSTER}", "Sec_Fetch_Site": "same-origin"}],
)
def test_own_page_and_programs_reach_graphql(proxy: Proxy, headers: dict[str, str]):
    assert proxy.dagster("POST", "/graphql", **headers).status_code == 200


def test_link_from_another_site_leads_to_the_ui(proxy: Proxy):
    headers = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    assert proxy.dagster("GET", "/runs/some-id", **headers).status_code == 200


@pytest.mark.parametrize("sni", [DAGSTER, API])
def test_other_host_is_rejected(proxy: Proxy, sni: str):
    answer = proxy.request("evil.example", "GET", "/", sni=sni, auth=LOGIN)
    assert answer.status_code == 421


def test_other_name_has_no_certificate(proxy: Proxy):
    with pytest.raises(httpx.ConnectError):
        proxy.request("evil.example", "GET", "/")


def test_dagster_is_unframed_and_unsniffed(proxy: Proxy):
    answers = [proxy.dagster("GET", "/"), proxy.dagster("GET", "/graphql")]
    for answer in answers:
        assert answer.headers.get_list("x-frame-options") == ["DENY"]
        assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


def test_api_receives_the_client_address_from_nginx_only(proxy: Proxy):
    forged = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "http"}
    received = proxy.request(API, "POST", "/v1/reports", headers=forged | {"Origin": EVIL}).json()
    assert received["x-forwarded-for"] == "127.0.0.1"
    assert received["x-forwarded-proto"] == "https"
    assert (received["host"], received["origin"]) == (API, EVIL)  # checked by the API


def test_metrics_are_not_passed_on(proxy: Proxy):
    assert proxy.request(API, "GET", "/metrics").status_code == 404
