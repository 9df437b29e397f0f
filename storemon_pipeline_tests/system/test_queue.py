"""Many clients at once: equal requests are one report, different ones are made in their turn."""

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

MOST = yaml.safe_load((PROJECT / "dagster.yaml").read_text())["run_queue"]["max_concurrent_runs"]


def at_once(do: Callable[[Any], dict[str, Any]], each: Iterable[Any]) -> list[dict[str, Any]]:
    every = list(each)
    with ThreadPoolExecutor(len(every)) as clients:
        return list(clients.map(do, every))


def most_at_once(spans: Iterable[tuple[float, float]]) -> int:
    """How many spans overlap at most; one that ends as another begins does not overlap it."""
    changes = sorted(change for start, end in spans for change in ((start, 1), (end, -1)))
    most = now = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most


def test_fifty_equal_requests_at_once_are_one_report_of_one_run(system: System) -> None:
    # none may be complete before the last has been asked for: that one would be a new one
    with system.holding():
        asked = at_once(lambda _: system.ask(windows=["week"]), range(50))
    reports = {system.report(each["id"])["id"] for each in asked}
    assert len(reports) == 1
    report = system.until(reports.pop(), "Complete")
    request_id = system.run(report["run_id"])["tags"]["storemon/request_id"]
    assert len(system.runs(storemon__request_id=request_id)) == 1


@pytest.mark.parametrize(
    "clients",
    # a run is some three seconds of a core, most of it the start of its process
    [3 * MOST, pytest.param(50, marks=pytest.mark.slow)],
)
def test_different_requests_at_once_are_all_made_in_the_order_of_the_queue(
    system: System, by_command: ByCommand, clients: int
) -> None:
    rows = {row["store_id"]: row for row in system.figures(by_command.run_id)}
    stores = list(rows)[:clients]
    assert len(stores) == clients

    # the first few begin while others are still on their way; the rest are all in the queue when
    # these go on, and so its order is seen
    with system.holding():
        asked = at_once(lambda store: system.ask(store_ids=[store]), stores)

        def launched() -> list[str]:
            ids = [system.report(each["id"])["run_id"] for each in asked]
            if None in ids:
                return []
            statuses = Counter(system.run(run)["status"] for run in ids)
            # all places are taken, and the others are all in the queue
            ready = {"STARTED": MOST, "QUEUED": clients - MOST}
            return ids if statuses == ready else []

        run_ids = wait_for(f"{clients} runs to be queued", launched)
        released_at = time.time()
    for run_id in run_ids:
        system.until(run_id, "Complete", seconds=10 * clients + 60, every=2)
    for store, run_id in zip(stores, run_ids, strict=True):
        assert system.figures(run_id) == [rows[store]]

    ended_at = {}
    for run_id in run_ids:
        system.until_succeeded(run_id)
        ended_at[run_id] = system.run(run_id)["endTime"]
    begun_at = {run_id: system.begun_at(run_id) for run_id in run_ids}
    queue = [run_id for run_id in system.oldest_first("report_job") if run_id in begun_at]
    queued = [run_id for run_id in queue if begun_at[run_id] > released_at]
    assert len(queued) == clients - MOST
    assert queued == sorted(queued, key=begun_at.__getitem__)
    assert most_at_once((begun_at[each], ended_at[each]) for each in run_ids) == MOST
