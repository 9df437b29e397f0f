"""`make dev` brings up Dagster and the API together, and leaves nothing behind, however it ends."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from storemon_pipeline_tests.helpers.dev_server import (
    Development,
    free_ports,
    missing,
    start_dev,
    waited_for,
)


@pytest.fixture
def development(isolated_environment: Path) -> Iterator[Callable[..., Development]]:
    """Starts `make dev` on free ports; what it leaves behind is ended after the test."""
    started = []

    def started_with(**options: str) -> Development:
        ui_port, api_port = free_ports(2)
        ports = {"ui_port": ui_port, "api_port": api_port}
        started.append(start_dev(isolated_environment, **(ports | options)))
        return started[-1]

    yield started_with
    for each in started:
        for pid in each.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        each.make.wait()


def test_sigterm_to_make_ends_all(development: Callable[..., Development]):
    dev = development()
    dev.wait_until_up()
    started = " ".join(dev.processes().values())
    for part in (
        "dagster_webserver",
        "dagster._daemon",
        "dagster api grpc",
        "storemon_pipeline.api",
    ):
        assert part in started
    # database, Dagster and the daemon's heartbeat: all but polls, since there are no files
    ready = f"http://127.0.0.1:{dev.api_port}/readyz"
    assert waited_for(lambda: missing(ready) == ["polls"]), dev.output
    dev.make.terminate()
    assert dev.exit_code() != 0  # make's own word for a signal
    assert "SIGTERM: ending" in dev.output
    dev.assert_nothing_is_left()


def test_sigint_to_the_group_of_a_script_that_has_it_in_the_background_ends_all(
    development: Callable[..., Development],
):
    # a shell without job control has SIGINT ignored in what it starts in the background
    dev = development(shell="({0}) & trap : INT; wait $!; wait $!")
    dev.wait_until_up()
    os.killpg(dev.make.pid, signal.SIGINT)
    assert dev.exit_code() == 0
    assert "SIGINT: ending" in dev.output
    dev.assert_nothing_is_left()


def test_sigint_to_make_alone_ends_all(development: Callable[..., Development]):
    dev = development()
    dev.wait_until_up()
    dev.make.send_signal(signal.SIGINT)
    assert dev.exit_code() != 0
    dev.assert_nothing_is_left()


def test_when_the_api_dies_dagster_is_ended(development: Callable[..., Development]):
    dev = development()
    dev.wait_until_up()
    os.kill(dev.process("storemon_pipeline.api"), signal.SIGKILL)
    assert dev.exit_code() != 0
    assert "the API ended by itself, with exit code -9" in dev.output
    dev.assert_nothing_is_left()


def test_when_dagster_is_killed_its_own_processes_and_the_api_are_ended(
    development: Callable[..., Development],
):
    dev = development()
    dev.wait_until_up()
    os.kill(dev.process("dagster dev"), signal.SIGKILL)
    assert dev.exit_code() != 0
    assert "Dagster ended by itself, with exit code -9" in dev.output
    dev.assert_nothing_is_left()


def test_when_make_is_killed_all_is_ended(development: Callable[..., Development]):
    dev = development()
    dev.wait_until_up()
    dev.make.kill()
    assert waited_for(lambda: not dev.processes()), dev.output
    dev.assert_nothing_is_left()


@pytest.mark.parametrize(
    ("port", "variable"), [("ui_port", "STOREMON_UI_PORT"), ("api_port", "STOREMON_API_PORT")]
)
def test_a_port_that_is_taken_is_told_before_anything_starts(
    port: str, variable: str, development: Callable[..., Development]
):
    with closing(socket.socket()) as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        dev = development(**{port: taken})
        assert dev.exit_code() != 0
    assert f"cannot listen on 127.0.0.1:{taken}: Address already in use" in dev.output
    assert f"set {variable} to another port" in dev.output
    assert not dev.processes()


def test_a_setting_that_is_not_accepted_is_named(
    development: Callable[..., Development], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("STOREMON_MAX_BAD_SHARE", "many")
    dev = development()
    assert dev.exit_code() != 0
    assert "STOREMON_MAX_BAD_SHARE" in dev.output
    assert not dev.processes()
