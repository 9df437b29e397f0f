"""Start ``make dev`` as a process, and inspect its child processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from storemon_pipeline_tests.helpers.ports import listens
from storemon_pipeline_tests.helpers.process_coverage import measured
from storemon_pipeline_tests.helpers.runner import PROJECT

# seconds to wait for anything started here, even on a busy machine
PATIENCE = 180


_MARK = "STOREMON_DEV_TEST"


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
    """Return the components that /readyz reports as not ready."""
    with suppress(httpx.HTTPError):
        return [
            error["where"] for error in httpx.get(ready_url, timeout=10).json().get("errors", ())
        ]
    return ["api"]


@dataclass(frozen=True)
class Development:
    """A running `make dev` in its own directory."""

    place: Path
    make: subprocess.Popen[bytes]
    ui_port: int
    api_port: int

    @property
    def output(self) -> str:
        return (self.place / "output.txt").read_text()

    def processes(self) -> dict[int, str]:
        """Return its live processes by id, identified by a marker in their environment."""
        mark = f"{_MARK}={self.place}".encode()
        commands = {}
        for entry in Path("/proc").iterdir():
            # it may end meanwhile, which leaves an empty environment
            with suppress(OSError):
                if entry.name.isdecimal() and mark in (entry / "environ").read_bytes().split(b"\0"):
                    line = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                    commands[int(entry.name)] = line.decode()
        return commands

    def process(self, *parts: str) -> int:
        """Return the id of the only process whose command has these parts."""
        (pid,) = [
            pid for pid, line in self.processes().items() if all(part in line for part in parts)
        ]
        return pid

    def wait_until_up(self) -> None:
        message = f"Dagster's UI is at http://127.0.0.1:{self.ui_port}, the API at http://127.0.0.1:{self.api_port}"
        up = waited_for(lambda: message in self.output or self.make.poll() is not None)
        assert up, self.output
        assert message in self.output, self.output
        assert answers(f"http://127.0.0.1:{self.ui_port}/server_info")
        assert answers(f"http://127.0.0.1:{self.api_port}/healthz")

    def wait_until_started(self) -> None:
        """Wait for the processes of Dagster and the API only, not until they have loaded the code.

        Loading takes most of the CPU time of a start.
        """

        def has_started() -> bool:
            commands = " ".join(self.processes().values())
            return "dagster dev" in commands and "storemon_pipeline.api" in commands

        assert waited_for(has_started), self.output

    def exit_code(self) -> int:
        return self.make.wait(PATIENCE)

    def assert_nothing_is_left(self) -> None:
        assert not self.processes()
        assert not listens(self.ui_port)
        assert not listens(self.api_port)


def start_dev(
    place: Path, *, ui_port: int, api_port: int, shell: str = "{}", is_measured: bool = False
) -> Development:
    """Start `make dev` within a shell command line.

    Coverage would measure all of its processes, which other tests cover except `dev.py`.
    """
    (place / "home").mkdir(exist_ok=True)
    command = (
        # the .venv exists and must not be created again
        "make -o .venv/.installed-server dev "
        f"BIN={Path(sys.executable).parent} DAGSTER_HOME={place}/home"
    )
    env = (
        os.environ
        | (measured() if is_measured else {})
        | {
            _MARK: str(place),
            # it is no job of the make that runs the tests
            "MAKEFLAGS": "",
            "PYTHONPATH": str(PROJECT),
            "STOREMON_UI_PORT": str(ui_port),
            "STOREMON_API_PORT": str(api_port),
        }
    )
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
