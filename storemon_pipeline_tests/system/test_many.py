"""Many clients at once: equal requests are one report, different ones are made in their turn."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import yaml

from storemon_pipeline_tests.defs.running import PROJECT
from storemon_pipeline_tests.system.conftest import ByCommand
from storemon_pipeline_tests.system.parts import System

pytestmark = pytest.mark.xdist_group("system")

CLIENTS = 50
AT_ONCE = yaml.safe_load((PROJECT / "dagster.yaml").read_text())["run_queue"]["max_concurrent_runs"]


def at_once(do: Callable[[Any], dict[str, Any]], each: Iterable[Any]) -> list[dict[str, Any]]:
    with ThreadPoolExecutor(CLIENTS) as clients:
        return list(clients.map(do, each))


def test_fifty_equal_requests_at_once_are_one_report_of_one_run(system: System) -> None:
    # none may be complete before the last has been asked for: that one would be a new one
    with system.holding():
        asked = at_once(lambda _: system.ask(windows=["week"]), range(CLIENTS))
    reports = {system.report(each["id"])["id"] for each in asked}
    assert len(reports) == 1
    report = system.until(reports.pop(), "Complete")
    request_id = system.run(report["run_id"])["tags"]["storemon/request_id"]
    assert len(system.runs(storemon__request_id=request_id)) == 1


def test_fifty_different_requests_at_once_are_made_in_the_order_of_the_queue(
    system: System, by_command: ByCommand
) -> None:
    rows = {row["store_id"]: row for row in system.figures(by_command.run_id)}
    stores = list(rows)[:CLIENTS]
    assert len(stores) == CLIENTS
    asked = at_once(lambda store: system.ask(store_ids=[store]), stores)
    # each is as if it had been alone
    made = [system.until(each["id"], "Complete", seconds=400) for each in asked]
    for store, report in zip(stores, made, strict=True):
        assert system.figures(report["id"]) == [rows[store]]

    runs = [system.run(report["run_id"]) for report in made]
    dequeued = {
        run["runId"]: event["timestamp"]
        for run in runs
        for event in system.events(run["runId"])
        if event["eventType"] == "PIPELINE_DEQUEUED"
    }
    by_creation = sorted(runs, key=lambda run: run["creationTime"])
    assert [run["runId"] for run in by_creation] == sorted(dequeued, key=lambda run: int(dequeued[run]))
    assert most_at_once([(int(dequeued[run["runId"]]) / 1000, run["endTime"]) for run in runs]) == AT_ONCE


def most_at_once(spans: list[tuple[float, float]]) -> int:
    """How many spans overlap at most; one that ends as another begins does not overlap it."""
    changes = sorted([(end, -1) for _, end in spans] + [(start, 1) for start, _ in spans])
    most = now = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most
