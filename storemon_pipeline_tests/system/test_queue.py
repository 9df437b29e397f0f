"""Concurrent clients: equal requests share one report, different ones run in queue order."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import yaml

from storemon_pipeline_tests.helpers.deployment import ByCommand, System, wait_for
from storemon_pipeline_tests.helpers.runner import PROJECT

MAX_CONCURRENT_RUNS = yaml.safe_load((PROJECT / "dagster.yaml").read_text())["run_queue"][
    "max_concurrent_runs"
]


def call_at_once(
    call: Callable[[Any], dict[str, Any]], arguments: Iterable[Any]
) -> list[dict[str, Any]]:
    values = list(arguments)
    with ThreadPoolExecutor(len(values)) as clients:
        return list(clients.map(call, values))


def max_overlap(spans: Iterable[tuple[float, float]]) -> int:
    """Return the largest number of spans that overlap; spans that only touch do not."""
    changes = sorted(change for start, end in spans for change in ((start, 1), (end, -1)))
    most = now = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most


def test_fifty_equal_concurrent_requests_share_one_run(system: System) -> None:
    # block all runs: a request after the first completes would start a second report
    with system.reads_blocked():
        reports = call_at_once(lambda _: system.submit(windows=["week"]), range(50))
    report_ids = {system.report(report["id"])["id"] for report in reports}
    assert len(report_ids) == 1
    report = system.until(report_ids.pop(), "Complete")
    request_id = system.run(report["run_id"])["tags"]["storemon/request_id"]
    assert len(system.runs(storemon__request_id=request_id)) == 1


@pytest.mark.parametrize(
    "clients",
    # a run takes several seconds of CPU time, most of it to start its process; three queued runs
    # have six orders
    [MAX_CONCURRENT_RUNS + 3, pytest.param(50, marks=pytest.mark.slow)],
)
def test_different_concurrent_requests_run_in_queue_order(
    system: System, by_command: ByCommand, clients: int
) -> None:
    rows = {row["store_id"]: row for row in system.report_rows(by_command.run_id)}
    stores = list(rows)[:clients]
    assert len(stores) == clients

    # the first runs start while requests still arrive; all others are in the queue when the reads
    # are unblocked, which shows its order
    with system.reads_blocked():
        reports = call_at_once(lambda store: system.submit(store_ids=[store]), stores)

        def launched_runs() -> list[str]:
            ids = [system.report(report["id"])["run_id"] for report in reports]
            if None in ids:
                return []
            statuses = Counter(system.run(run)["status"] for run in ids)
            # all slots are taken, and all other runs are queued
            ready = {"STARTED": MAX_CONCURRENT_RUNS, "QUEUED": clients - MAX_CONCURRENT_RUNS}
            return ids if statuses == ready else []

        run_ids = wait_for(f"{clients} runs to be queued", launched_runs)
        released_at = time.time()
    for run_id in run_ids:
        system.until(run_id, "Complete", seconds=10 * clients + 60, every=2)
    for store, run_id in zip(stores, run_ids, strict=True):
        assert system.report_rows(run_id) == [rows[store]]

    ended_at = {}
    for run_id in run_ids:
        system.until_succeeded(run_id)
        ended_at[run_id] = system.run(run_id)["endTime"]
    started_at = {run_id: system.started_at(run_id) for run_id in run_ids}
    queue = [run_id for run_id in system.oldest_first("report_job") if run_id in started_at]
    queued = [run_id for run_id in queue if started_at[run_id] > released_at]
    assert len(queued) == clients - MAX_CONCURRENT_RUNS
    assert queued == sorted(queued, key=started_at.__getitem__)
    assert (
        max_overlap((started_at[run_id], ended_at[run_id]) for run_id in run_ids)
        == MAX_CONCURRENT_RUNS
    )
