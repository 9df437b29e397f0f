"""A standalone Spark cluster on this machine: a master, and workers that can be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from storemon_pipeline_tests.helpers.ports import free_ports, listens

_PROJECT = Path(__file__).parents[2]
_START_SECONDS = 120


class SparkCluster:
    """A running cluster.

    Attributes
    ----------
    url : str
        Of the master.
    """

    def __init__(self, url: str, workers: list[subprocess.Popen[bytes]]) -> None:
        self.url = url
        self._workers = workers

    def kill_worker(self) -> None:
        """Kill the first worker and its executors."""
        os.killpg(self._workers[0].pid, signal.SIGKILL)


@contextmanager
def spark_cluster(folder: Path, workers: int = 2) -> Iterator[SparkCluster]:
    """Start a master and workers with one core each; stop them at the end."""
    port, web_port = free_ports(2)
    url = f"spark://127.0.0.1:{port}"
    processes = []
    try:
        address = ["--host", "127.0.0.1", "--webui-port", str(web_port)]
        processes.append(_start(folder, "master.Master", "--port", str(port), *address))
        _wait_until(lambda: listens(port), folder)
        for number in range(workers):
            own = folder / f"worker-{number}"
            own.mkdir()
            options = ["--cores", "1", "--memory", "1g", "--host", "127.0.0.1", "--webui-port", "0"]
            processes.append(_start(own, "worker.Worker", *options, url))
        _wait_until(
            lambda: (folder / "log").read_text().count("Registering worker") == workers, folder
        )
        yield SparkCluster(url, processes[1:])
    finally:
        for process in processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _start(folder: Path, main: str, *arguments: str) -> subprocess.Popen[bytes]:
    import pyspark

    home = Path(pyspark.__file__).parent
    command = [home / "bin" / "spark-class", f"org.apache.spark.deploy.{main}", *arguments]
    environment = os.environ | {
        "SPARK_HOME": str(home),
        "SPARK_WORKER_DIR": str(folder / "work"),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYTHONPATH": str(_PROJECT),
    }
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, start_new_session=True
        )


def _wait_until(condition: Callable[[], bool], folder: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError((folder / "log").read_text()[-2000:])
        time.sleep(0.1)
