"""`make dev` brings up Dagster and the API together, and leaves nothing behind, however it ends."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from storemon_pipeline_tests.defs.runner import PROJECT

# of everything that is started here, on a machine that may be busy
PATIENCE = 180
_MARK = "STOREMON_DEV_TEST"


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, each another."""
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def is_taken(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def waited_for(is_true: Callable[[], object], seconds: float = PATIENCE) -> bool:
    give_up_at = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > give_up_at:
            return False
        time.sleep(0.1)
    return True


def answers(url: str) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(url, timeout=10).status_code == 200
    return False


def missing(ready_url: str) -> list[str]:
    """What /readyz names as not ready."""
    with suppress(httpx.HTTPError):
        return [each["where"] for each in httpx.get(ready_url, timeout=10).json().get("errors", ())]
    return ["api"]


@dataclass(frozen=True)
class Development:
    """`make dev`, started in a place of its own."""

    place: Path
    make: subprocess.Popen[bytes]
    ui_port: int
    api_port: int

    @property
    def output(self) -> str:
        return (self.place / "output.txt").read_text()

    def processes(self) -> dict[int, str]:
        """All that has come of it and lives, by their ids: each has its mark in its environment."""
        mark = f"{_MARK}={self.place}".encode()
        found = {}
        for entry in Path("/proc").iterdir():
            # it may end while it is looked at; what has ended has an empty environment
            with suppress(OSError):
                if entry.name.isdecimal() and mark in (entry / "environ").read_bytes().split(b"\0"):
                    line = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                    found[int(entry.name)] = line.decode()
        return found

    def process(self, *parts: str) -> int:
        """The id of the one process whose command has these parts."""
        (pid,) = [
            pid for pid, line in self.processes().items() if all(part in line for part in parts)
        ]
        return pid

    def wait_until_up(self) -> None:
        said = f"Dagster's UI is at http://127.0.0.1:{self.ui_port}, the API at http://127.0.0.1:{self.api_port}"
        up = waited_for(lambda: said in self.output or self.make.poll() is not None)
        assert up, self.output
        assert said in self.output, self.output
        assert answers(f"http://127.0.0.1:{self.ui_port}/server_info")
        assert answers(f"http://127.0.0.1:{self.api_port}/healthz")

    def exit_code(self) -> int:
        return self.make.wait(PATIENCE)

    def assert_nothing_is_left(self) -> None:
        assert not self.processes()
        assert not is_taken(self.ui_port)
        assert not is_taken(self.api_port)


def start_dev(place: Path, *, ui_port: int, api_port: int, shell: str = "{}") -> Development:
    """Start `make dev`, as a command within a line of shell."""
    (place / "home").mkdir(exist_ok=True)
    command = (
        # the .venv is there already, and not to be made anew
        f"make -o .venv/.installed dev BIN={Path(sys.executable).parent} DAGSTER_HOME={place}/home"
    )
    env = os.environ | {
        _MARK: str(place),
        "PYTHONPATH": str(PROJECT),
        "STOREMON_UI_PORT": str(ui_port),
        "STOREMON_API_PORT": str(api_port),
    }
    with (place / "output.txt").open("wb") as output:
        make = subprocess.Popen(
            ["sh", "-c", shell.format(f"exec {command}")],
            cwd=PROJECT,
            env=env,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Development(place, make, ui_port, api_port)


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
