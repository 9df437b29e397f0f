"""The guide's files, requests and commands give the shown results, in order."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
import yaml

from storemon_pipeline_tests.helpers.api_process import Api
from storemon_pipeline_tests.helpers.documentation import blocks, is_as_shown, shown_after
from storemon_pipeline_tests.helpers.runner import PROJECT, SAMPLE, copy_data, report_dir, run

GUIDE = (PROJECT / "docs" / "guide.md").read_text()
CALENDAR, WEEK_BEFORE = (
    yaml.safe_load(block)["ops"]["report_request"]["config"] for block in blocks(GUIDE, "yaml")
)


@dataclass(frozen=True)
class Reports:
    """The reports that the guide makes, and an API that serves them."""

    api: Api
    now: Path
    calendar: Path
    before: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reports]:
    place = tmp_path_factory.mktemp("guide")
    (place / "data").mkdir()
    copy_data(SAMPLE, place / "data")
    _, special_hours, service_levels, _ = blocks(GUIDE, "csv")
    (place / "data" / "special_hours.csv").write_text(special_hours)
    (place / "data" / "service_levels.csv").write_text(service_levels)
    settings = {
        "STOREMON_DATA_DIR": str(place / "data"),
        "STOREMON_DATABASE_URL": f"sqlite:///{place}/storemon.db",
        "STOREMON_REPORTS_DIR": str(place / "reports"),
    }
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith("STOREMON_")]:
            environment.delenv(name)
        for name, value in settings.items():
            environment.setenv(name, value)
        with dg.DagsterInstance.ephemeral() as instance:
            directories = []
            for job, config in (
                ("ingest_and_report_job", {}),
                ("report_job", CALENDAR),
                ("report_job", WEEK_BEFORE),
            ):
                result = run(instance, job, **config)
                assert result.success
                directories.append(report_dir(result.run_id))
    with Api(place / "api.log", settings) as api:
        yield Reports(api, *directories)


@pytest.mark.parametrize(
    "command", [block.strip() for block in blocks(GUIDE, "sh") if block.startswith("curl")]
)
def test_the_api_answers_as_shown(made: Reports, command: str):
    here = command.replace("http://127.0.0.1:8000", made.api.url)
    done = subprocess.run(
        ["sh", "-c", here.replace("curl", "curl --silent --show-error --fail-with-body", 1)],
        env=os.environ | {"NOW": made.now.name, "BEFORE": made.before.name},
        capture_output=True,
        text=True,
        check=False,
    )
    output, shown = done.stdout, shown_after(command, GUIDE)
    assert is_as_shown(shown, output) or output.startswith(shown), output


def test_the_report_of_the_calendar_begins_as_shown(made: Reports):
    shown = blocks(GUIDE, "csv")[0]
    assert (made.calendar / "report.csv").read_text().startswith(shown)


def test_special_hours_take_the_place_of_the_weekday_s(made: Reports):
    hours = made.api.http.get(
        "/v1/stores/1267873068966844821/status",
        params={"start": "2024-11-11T00:00:00-05:00", "end": "2024-11-13T00:00:00-05:00"},
    ).json()["open_intervals"]
    assert hours == [{"open_utc": "2024-11-11T15:00:00Z", "close_utc": "2024-11-11T19:00:00Z"}]


def test_the_notebook_prints_what_is_shown(made: Reports):
    (code,) = blocks(GUIDE, "python")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=made.now, capture_output=True, text=True, check=True
    )
    assert done.stdout == blocks(GUIDE, "text")[0]


def test_every_dagster_command_asks_for_a_report_as_a_file_of_the_guide_says():
    names = re.findall(r"`(\w+\.yaml)`", GUIDE)
    commands = [shlex.split(block) for block in blocks(GUIDE, "sh") if not block.startswith("curl")]
    expected = ".venv/bin/dagster job execute -m storemon_pipeline.definitions -j report_job -c"
    assert commands == [[*expected.split(), name] for name in names]
