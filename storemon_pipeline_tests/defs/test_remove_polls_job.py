"""remove_polls_job removes polls of a store that a corrected file cannot remove."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from storemon_pipeline.definitions import defs
from storemon_pipeline_tests.helpers.runner import failure, run, table

RANGE = {"start": "2023-01-24T10:00:00Z", "end": "2023-01-24 11:00 UTC"}


@pytest.fixture
def polls(data_dir: Path) -> Path:
    """File of hourly polls of one store."""
    path = data_dir / "store_status.csv"
    stamps = [f"2023-01-24 {hour}:00:00 UTC" for hour in (9, 10, 11)]
    path.write_text("store_id,status,timestamp_utc\n")
    with path.open("a") as file:
        file.writelines(f"7,inactive,{stamp.replace(' 9:', ' 09:')}\n" for stamp in stamps)
    return path


def remove(instance: dg.DagsterInstance, **config: Any) -> dg.ExecuteInProcessResult:
    return defs.resolve_job_def("remove_polls_job").execute_in_process(
        run_config={"ops": {"remove_polls": {"config": config}}},
        instance=instance,
        raise_on_error=False,
    )


def hours() -> list[int]:
    return sorted(row["timestamp_utc"].hour for row in table("store_status"))


def test_job_removes_a_range_and_logs_the_next_step(
    instance: dg.DagsterInstance, polls: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(instance, "ingest_job").success
    capfd.readouterr()
    assert remove(instance, store_id="7", **RANGE).success
    log = capfd.readouterr().err
    assert hours() == [9, 11]
    assert "Moved 1 poll of 7 from 2023-01-24T10:00:00+00:00 until 2023-01-24T11:00" in log
    assert "Also correct the file" in log
    # an unchanged file is not ingested again
    assert run(instance, "ingest_job").success
    assert hours() == [9, 11]
    # but a changed file that still contains the poll is
    polls.write_text(polls.read_text().replace("7,inactive", "7,active"))
    assert run(instance, "ingest_job").success
    assert hours() == [9, 10, 11]


def test_job_is_idempotent(instance: dg.DagsterInstance, polls: Path) -> None:
    assert run(instance, "ingest_job").success
    for _ in range(2):
        assert remove(instance, store_id="7", **RANGE).success
    assert hours() == [9, 11]
    assert len(table("quarantined_row")) == 1


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"store_id": 7}, "store_id: 7 is not text: put the store id in quotes"),
        ({"store_id": "a b"}, "store_id: 'a b' is not a valid store id"),
        ({"start": "yesterday"}, "start: 'yesterday' is not a valid timestamp"),
        ({"end": RANGE["start"]}, "must be before end"),
    ],
)
def test_invalid_range_is_rejected(
    instance: dg.DagsterInstance, config: dict[str, Any], message: str
) -> None:
    rejected = remove(instance, **({"store_id": "7"} | RANGE | config))
    assert message in failure(rejected, "remove_polls")
