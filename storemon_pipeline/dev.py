"""``make dev``: Dagster's UI and daemon and the API, started together and ended together.

Each is the leader of a process group, so that whatever it has started ends with it, also where it
was killed and could not see to that itself.
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
_REACHED_AT = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing listens here
_GRACE_SECONDS = 20
"""For how long each may take to end; a run that is under way is told to stop as well."""
_STEP_SECONDS = 0.1
_CONNECT_SECONDS = 1


def _print(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - people read it


def _make_is_over(make: int) -> bool:
    """Whether make, whose recipe this is, was killed or has had a SIGINT.

    It passes on a SIGTERM, but not a SIGINT, which a terminal sends to both: with one that was sent
    to it alone it sits in its handler, where the signal is blocked, and waits for its recipe.
    """
    if os.getppid() != make:
        return True
    try:
        status = Path(f"/proc/{make}/status").read_text()
    except OSError:  # where there is no such file, only the terminal's way works
        return False
    blocked = next(line for line in status.splitlines() if line.startswith("SigBlk:"))
    return bool(int(blocked.split()[1], 16) >> (signal.SIGINT - 1) & 1)


def _check_port_free(name: str, host: str, port: int, variable: str) -> None:
    family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # as the servers do: connections that have just been closed do not count
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            sys.exit(
                f"{name} cannot listen on {host}:{port}: {error.strerror}. End what is there, or "
                f"set {variable} to another port"
            )


def _accepts_connections(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), _CONNECT_SECONDS):
            return True
    except OSError:
        return False


def _ready_message(settings: Settings) -> Iterator[str]:
    """What to say: nothing until both answer, then once where they are."""
    host = _REACHED_AT.get(settings.api_host, settings.api_host)
    while not (
        _accepts_connections(_UI_HOST, settings.ui_port)
        and _accepts_connections(host, settings.api_port)
    ):
        yield ""
    shown_host = f"[{host}]" if ":" in host else host
    yield (
        f"\nDagster's UI is at http://{_UI_HOST}:{settings.ui_port}, the API at "
        f"http://{shown_host}:{settings.api_port}/docs; Ctrl-C ends both\n"
    )


def _exited_process(processes: Mapping[str, subprocess.Popen[bytes]]) -> str | None:
    for name, process in processes.items():
        if process.poll() is not None:
            return f"{name} ended by itself, with exit code {process.returncode}"
    return None


def _signal_group(process: subprocess.Popen[bytes], number: int) -> bool:
    """Signal a process and all that it started; gives whether there was any."""
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):  # the second is macOS' word for only zombies
        return False
    return True


def _terminate(processes: Mapping[str, subprocess.Popen[bytes]]) -> None:
    left = [process for process in processes.values() if _signal_group(process, signal.SIGTERM)]
    give_up_at = time.monotonic() + _GRACE_SECONDS
    while left and time.monotonic() < give_up_at:
        time.sleep(_STEP_SECONDS)
        # what has ended is in its group until it has been asked for
        left = [process for process in left if process.poll() is None or _signal_group(process, 0)]
    for process in left:
        _signal_group(process, signal.SIGKILL)
    for process in processes.values():
        process.wait()


def main() -> None:
    """Run all until told to stop, or until one of them ends."""
    try:
        settings = Settings()
    except ValidationError as error:
        sys.exit(f"The settings are not acceptable. {error}")
    _check_port_free("Dagster's UI", _UI_HOST, settings.ui_port, "STOREMON_UI_PORT")
    _check_port_free("The API", settings.api_host, settings.api_port, "STOREMON_API_PORT")
    dagster = (sys.executable, "-m", "dagster", "dev", "-w", "workspace.yaml")
    commands = {
        "Dagster": (*dagster, "-h", _UI_HOST, "-p", str(settings.ui_port)),
        "the API": (sys.executable, "-m", "storemon_pipeline.api"),
    }
    signals: list[str] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # also where a script starts this in the background, and its shell has SIGINT ignored: one
        # that is handled here is in its first state again in what is started from here
        signal.signal(number, lambda number, _: signals.append(signal.Signals(number).name))
    make = os.getppid() if "MAKELEVEL" in os.environ else None
    processes = {
        name: subprocess.Popen(command, start_new_session=True)  # noqa: S603
        for name, command in commands.items()
    }
    said = _ready_message(settings)
    while not (reason := _exited_process(processes)) and not signals:
        if line := next(said, ""):
            _print(line)
        if make is not None and _make_is_over(make):
            signals.append("make is over")
        time.sleep(_STEP_SECONDS)
    _print(f"{reason or signals[0]}: ending what there is")
    _terminate(processes)
    if reason:
        sys.exit(f"{reason}; what it said is above")


if __name__ == "__main__":
    main()
