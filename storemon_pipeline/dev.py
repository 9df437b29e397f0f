"""``make dev``: starts and stops Dagster's UI and daemon and the API together.

Each runs in its own process group, so that its child processes are stopped even if it was killed.
Own code instead of honcho or overmind: they wait for children that a killed ``dagster dev`` leaves
behind, and do not notice a SIGINT that only ``make`` has received.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import ValidationError

from storemon_pipeline.settings import Settings

_UI_HOST = "127.0.0.1"
_REACHABLE_AT = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing listens here
_GRACE_SECONDS = 20
"""Time to shut down, including runs in progress, before SIGKILL."""
_STEP_SECONDS = 0.1
_CONNECT_SECONDS = 1


def _print(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - output of a command


def _make_was_interrupted(make: int) -> bool:
    """Return whether the make that runs this was killed or has received a SIGINT.

    Make forwards SIGTERM, but not SIGINT, which a terminal sends to both. After a SIGINT to make
    alone, it waits for its recipe within the signal handler, where SIGINT is blocked.
    """
    if os.getppid() != make:
        return True
    try:
        status = Path(f"/proc/{make}/status").read_text()
    except OSError:  # no /proc: only a SIGINT from the terminal is detected
        return False
    blocked = next(line for line in status.splitlines() if line.startswith("SigBlk:"))
    return bool(int(blocked.split()[1], 16) >> (signal.SIGINT - 1) & 1)


def _check_port_free(name: str, host: str, port: int, variable: str) -> None:
    family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # as the servers do: ignore connections in TIME_WAIT
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            sys.exit(
                f"{name} cannot listen on {host}:{port}: {error.strerror}. Stop that process or "
                f"set {variable} to another port"
            )


def _accepts_connections(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), _CONNECT_SECONDS):
            return True
    except OSError:
        return False


def _ready_message(settings: Settings) -> Iterator[str]:
    """Yield empty lines until both servers accept connections, then the message with their URLs."""
    host = _REACHABLE_AT.get(settings.api_host, settings.api_host)
    while not (
        _accepts_connections(_UI_HOST, settings.ui_port)
        and _accepts_connections(host, settings.api_port)
    ):
        yield ""
    url_host = f"[{host}]" if ":" in host else host
    yield (
        f"\nDagster's UI is at http://{_UI_HOST}:{settings.ui_port}, the API at "
        f"http://{url_host}:{settings.api_port}/docs; Ctrl-C stops both\n"
    )


def _exited_process(processes: Mapping[str, subprocess.Popen[bytes]]) -> str | None:
    for name, process in processes.items():
        if process.poll() is not None:
            return f"{name} exited with code {process.returncode}"
    return None


def _signal_group(process: subprocess.Popen[bytes], number: int) -> bool:
    """Signal a process group, and return whether it still exists."""
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):  # macOS raises the latter for zombies
        return False
    return True


def _terminate(processes: Mapping[str, subprocess.Popen[bytes]]) -> None:
    remaining = [
        process for process in processes.values() if _signal_group(process, signal.SIGTERM)
    ]
    give_up_at = time.monotonic() + _GRACE_SECONDS
    while remaining and time.monotonic() < give_up_at:
        time.sleep(_STEP_SECONDS)
        # poll() first: an exited process stays in its group until it is reaped
        remaining = [
            process for process in remaining if process.poll() is None or _signal_group(process, 0)
        ]
    for process in remaining:
        _signal_group(process, signal.SIGKILL)
    for process in processes.values():
        process.wait()


def main() -> None:
    """Run all processes until a signal arrives or one of them exits."""
    try:
        settings = Settings()
    except ValidationError as error:
        sys.exit(f"Invalid settings: {error}")
    _check_port_free("Dagster's UI", _UI_HOST, settings.ui_port, "STOREMON_UI_PORT")
    _check_port_free("The API", settings.api_host, settings.api_port, "STOREMON_API_PORT")
    dagster = (sys.executable, "-m", "dagster", "dev", "-w", "workspace.yaml")
    commands = {
        "Dagster": (*dagster, "-h", _UI_HOST, "-p", str(settings.ui_port)),
        "the API": (sys.executable, "-m", "storemon_pipeline.api"),
    }
    signals: list[str] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # also restores SIGINT in the child processes if a shell had it ignored in the background
        signal.signal(number, lambda number, _: signals.append(signal.Signals(number).name))
    make = os.getppid() if "MAKELEVEL" in os.environ else None
    processes = {
        name: subprocess.Popen(command, start_new_session=True)  # noqa: S603
        for name, command in commands.items()
    }
    ready = _ready_message(settings)
    while not (reason := _exited_process(processes)) and not signals:
        if line := next(ready, ""):
            _print(line)
        if make is not None and _make_was_interrupted(make):
            signals.append("make was interrupted")
        time.sleep(_STEP_SECONDS)
    _print(f"{reason or signals[0]}: shutting down")
    _terminate(processes)
    if reason:
        sys.exit(f"{reason}; see its output above")


if __name__ == "__main__":
    main()
