"""`make dev` starts Dagster and the API together, and always stops all of their processes."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from storemon_pipeline_tests.helpers.dev_server import Development, missing, start_dev, waited_for
from storemon_pipeline_tests.helpers.ports import free_ports


@pytest.fixture
def development(isolated_environment: Path) -> Iterator[Callable[..., Development]]:
    """Start `make dev` on free ports; remaining processes are killed after the test."""
    servers = []

    def start(**options: Any) -> Development:
        ui_port, api_port = free_ports(2)
        ports = {"ui_port": ui_port, "api_port": api_port}
        servers.append(start_dev(isolated_environment, **(ports | options)))
        return servers[-1]

    yield start
    for server in servers:
        for pid in server.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        server.make.wait()


def test_sigterm_to_make_stops_all(development: Callable[..., Development]):
    dev = development(is_measured=True)
    dev.wait_until_up()
    started = " ".join(dev.processes().values())
    for part in (
        "dagster_webserver",
        "dagster._daemon",
        "dagster api grpc",
        "storemon_pipeline.api",
    ):
        assert part in started
    # all are ready except the polls: database, Dagster and the daemon's heartbeat
    ready = f"http://127.0.0.1:{dev.api_port}/readyz"
    assert waited_for(lambda: missing(ready) == ["polls"]), dev.output
    dev.make.terminate()
    assert dev.exit_code() != 0  # make fails after a signal
    assert "SIGTERM: shutting down" in dev.output
    dev.assert_nothing_is_left()


def test_sigint_to_group_of_background_script_stops_all(
    development: Callable[..., Development],
):
    # a shell without job control ignores SIGINT in its background processes
    dev = development(shell="({0}) & trap : INT; wait $!; wait $!")
    dev.wait_until_started()
    os.killpg(dev.make.pid, signal.SIGINT)
    assert dev.exit_code() == 0
    assert "SIGINT: shutting down" in dev.output
    dev.assert_nothing_is_left()


def test_sigint_to_make_alone_stops_all(development: Callable[..., Development]):
    dev = development()
    dev.wait_until_started()
    dev.make.send_signal(signal.SIGINT)
    assert dev.exit_code() != 0
    dev.assert_nothing_is_left()


def test_exit_of_the_api_stops_dagster(development: Callable[..., Development]):
    dev = development()
    dev.wait_until_started()
    os.kill(dev.process("storemon_pipeline.api"), signal.SIGKILL)
    assert dev.exit_code() != 0
    assert "the API exited with code -9" in dev.output
    dev.assert_nothing_is_left()


def test_killed_dagster_stops_its_children_and_the_api(
    development: Callable[..., Development],
):
    dev = development()
    dev.wait_until_up()
    os.kill(dev.process("dagster dev"), signal.SIGKILL)
    assert dev.exit_code() != 0
    assert "Dagster exited with code -9" in dev.output
    dev.assert_nothing_is_left()


def test_killed_make_stops_all(development: Callable[..., Development]):
    dev = development()
    dev.wait_until_started()
    dev.make.kill()
    assert waited_for(lambda: not dev.processes()), dev.output
    dev.assert_nothing_is_left()


@pytest.mark.parametrize(
    ("port", "variable"), [("ui_port", "STOREMON_UI_PORT"), ("api_port", "STOREMON_API_PORT")]
)
def test_occupied_port_is_reported_before_start(
    port: str, variable: str, development: Callable[..., Development]
):
    with closing(socket.socket()) as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        dev = development(**{port: taken}, is_measured=True)
        assert dev.exit_code() != 0
    assert f"cannot listen on 127.0.0.1:{taken}: Address already in use" in dev.output
    assert f"set {variable} to another port" in dev.output
    assert not dev.processes()


def test_invalid_setting_is_named(
    development: Callable[..., Development], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("STOREMON_MAX_BAD_SHARE", "many")
    dev = development()
    assert dev.exit_code() != 0
    assert "STOREMON_MAX_BAD_SHARE" in dev.output
    assert not dev.processes()
