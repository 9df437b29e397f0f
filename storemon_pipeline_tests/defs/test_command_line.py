"""`dagster job execute` runs each job from anywhere; what stops it is told, with what to do."""

import os
import re
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
import pytest
import yaml

from storemon_pipeline.defs import errors
from storemon_pipeline.storage.schema import REGISTRY_TABLES, metadata
from storemon_pipeline.uptime.windows import Window
from storemon_pipeline_tests.helpers.runner import (
    PROJECT,
    copy_data,
    dagster,
    execute,
    failure,
    report_row,
    request_config,
    rows,
    run,
    table,
    told_path,
)

MAKEFILE = (PROJECT / "Makefile").read_text()

QUIET = {"loggers": {"console": {"config": {"log_level": "INFO"}}}}
A_DAY = request_config(windows=["day"], as_of="2024-11-10T12:00:00Z") | QUIET


class Said(NamedTuple):
    """What a command said, and with which code it ended."""

    exit_code: int
    log: str


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, bool], Said]:
    """Each job by the command, with a config file and without one, with DAGSTER_HOME and without.

    In two places, so that two commands run at a time; the first is `data/`, which is found from
    elsewhere, the second a data directory that the environment names.
    """
    place = tmp_path_factory.mktemp("commands")
    sample = place / "sample"
    sample.mkdir()
    copy_data(PROJECT / "data", sample)

    def work(name: str, runs: list[tuple[str, bool, bool]], **env: str) -> list[Said]:
        elsewhere, home = place / name, place / name / "home"
        home.mkdir(parents=True)
        shutil.copyfile(PROJECT / "dagster.yaml", home / "dagster.yaml")
        own = {
            "STOREMON_DATABASE_URL": f"sqlite:///{elsewhere}/storemon.db",
            "STOREMON_REPORTS_DIR": str(elsewhere / "reports"),
            "DAGSTER_DISABLE_TELEMETRY": "yes",
        }
        others = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("STOREMON_", "DAGSTER_"))
        }
        said = []
        for job, has_config, has_home in runs:
            config = elsewhere / f"{job}.yaml"
            asked = yaml.safe_dump(QUIET if job == "ingest_job" else A_DAY)
            # as people write instants
            config.write_text(asked.replace("'", ""))
            done = execute(
                job,
                *(["-c", config] if has_config else []),
                cwd=elsewhere,
                env=others | own | env | ({"DAGSTER_HOME": str(home)} if has_home else {}),
            )
            said.append(Said(done.returncode, done.stdout))
        return said

    first = [
        ("ingest_job", False, False),
        ("report_job", False, True),
        ("ingest_and_report_job", True, False),
    ]
    second = [
        ("ingest_job", True, True),
        ("report_job", True, False),
        ("ingest_and_report_job", False, True),
    ]
    with ThreadPoolExecutor(max_workers=2) as pool:
        in_first = pool.submit(work, "first", first)
        in_second = pool.submit(work, "second", second, STOREMON_DATA_DIR=str(sample))
        said = in_first.result() + in_second.result()
    return {
        (job, config): each for (job, config, _), each in zip(first + second, said, strict=True)
    }


@pytest.mark.parametrize("has_config", [False, True], ids=["without_config", "with_config"])
@pytest.mark.parametrize("job", ["report_job", "ingest_and_report_job"])
def test_a_job_that_reports_exits_0_and_its_log_names_the_report(
    job: str, has_config: bool, commands: dict[tuple[str, bool], Said]
) -> None:
    exit_code, log = commands[job, has_config]
    assert exit_code == 0, log
    columns = list(rows(told_path(log))[0])
    asked = ["day"] if has_config else ["hour", "day", "week"]
    assert columns == ["store_id"] + [
        f"{figure}_last_{window}" for window in asked for figure in ("uptime", "downtime")
    ]


@pytest.mark.parametrize("has_config", [False, True], ids=["without_config", "with_config"])
def test_ingest_job_exits_0_and_its_log_tells_what_was_read(
    has_config: bool, commands: dict[tuple[str, bool], Said]
) -> None:
    exit_code, log = commands["ingest_job", has_config]
    assert exit_code == 0, log
    for file in ("store_status.csv", "menu_hours.csv", "timezones.csv"):
        assert re.search(rf"{file} is new: [\d,]+ rows read", log)


@pytest.mark.parametrize("job", ["ingest_job", "ingest_and_report_job"])
def test_console_of_another_dagster_home_has_no_debug_lines(
    job: str, isolated_environment: Path, two_stores: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a DAGSTER_HOME without a dagster.yaml: nothing there sets python_log_level
    home = isolated_environment / "empty_home"
    home.mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    done = execute(job, cwd=isolated_environment)
    assert " - INFO - " in done.stdout
    assert " - DEBUG - " not in done.stdout


def test_make_report_has_no_superseded_warning(isolated_environment: Path) -> None:
    (ignored,) = re.findall(r"^export PYTHONWARNINGS := (.*)$", MAKEFILE, flags=re.MULTILINE)
    plain = execute(
        "report_job", cwd=isolated_environment, env={**os.environ, "PYTHONWARNINGS": ""}
    )
    quiet = execute(
        "report_job", cwd=isolated_environment, env={**os.environ, "PYTHONWARNINGS": ignored}
    )
    # where Dagster no longer warns, the Makefile need not filter
    assert "is superseded" in plain.stdout
    assert "is superseded" not in quiet.stdout


def test_the_definitions_are_valid(isolated_environment: Path) -> None:
    done = dagster(
        "definitions", "validate", "-m", "storemon_pipeline.definitions", cwd=isolated_environment
    )
    assert done.returncode == 0, done.stdout


def test_a_failure_exits_1_and_names_its_cause(isolated_environment: Path, data_dir: Path) -> None:
    shutil.rmtree(data_dir)
    misspelt = isolated_environment / "misspelt.yaml"
    misspelt.write_text(yaml.safe_dump(request_config(rules={"interpolation": "linear"})))
    with ThreadPoolExecutor(max_workers=2) as pool:
        no_data = pool.submit(execute, "ingest_and_report_job", cwd=isolated_environment)
        refused = pool.submit(execute, "report_job", "-c", misspelt, cwd=isolated_environment)
        assert no_data.result().returncode == 1
        assert f"there is no data directory {data_dir}" in no_data.result().stdout
        assert refused.result().returncode == 1
        assert "interpolation not in enum type" in refused.result().stdout
        assert "got linear" in refused.result().stdout


# What the command says of a failure is the description of the step's Failure, as shown above; the
# rest is looked at in this process, which is faster.


def test_a_missing_data_directory_is_named(instance: dg.DagsterInstance, data_dir: Path) -> None:
    data_dir.rmdir()
    told = failure(run(instance, "ingest_job"), "ingest")
    assert told.startswith(f"there is no data directory {data_dir}: ")
    assert "STOREMON_DATA_DIR" in told


def test_a_missing_file_of_polls_is_named(instance: dg.DagsterInstance, two_stores: Path) -> None:
    (two_stores / "store_status.csv").unlink()
    told = failure(run(instance, "ingest_job"), "ingest")
    assert told.startswith(f"there is no store_status.csv in {two_stores} ")
    assert "put it there" in told


def test_a_missing_column_is_named(instance: dg.DagsterInstance, two_stores: Path) -> None:
    (two_stores / "timezones.csv").write_text("store_id,zone\ns1,America/Chicago\n")
    told = failure(run(instance, "ingest_job"), "ingest")
    assert "timezones.csv" in told
    assert "timezone_str" in told


def spoil_polls(data_dir: Path) -> str:
    polls = data_dir / "store_status.csv"
    polls.write_text(polls.read_text() + "s9,asleep,2023-01-25 00:00:00 UTC\n" * 10)
    return r"store_status\.csv is refused: 10 of its \d+ rows"


def drop_a_column(data_dir: Path) -> str:
    (data_dir / "timezones.csv").write_text("store_id\ns1\n")
    return "timezone_str"


def ingested_tables() -> dict[str, Any]:
    """The rows of all tables but those of the registry, which also record what failed."""
    names = metadata.tables.keys() - {each.name for each in REGISTRY_TABLES}
    return {name: table(name) for name in sorted(names)}


@pytest.mark.parametrize("spoil", [spoil_polls, drop_a_column])
def test_a_refused_file_leaves_every_table_as_it_was(
    spoil: Callable[[Path], str], instance: dg.DagsterInstance, two_stores: Path
) -> None:
    assert run(instance, "ingest_job").success
    before = ingested_tables()
    # good changes beside the bad one, which must not come in alone
    hours = two_stores / "menu_hours.csv"
    hours.write_text(hours.read_text() + "s7,0,10:00:00,18:00:00\n")
    pattern = spoil(two_stores)
    assert re.search(pattern, failure(run(instance, "ingest_job"), "ingest"))
    assert ingested_tables() == before


def test_a_report_of_empty_tables_says_to_ingest_first(instance: dg.DagsterInstance) -> None:
    told = failure(run(instance, "report_job"), "report_request")
    assert told == "there are no polls in store_status yet: run ingest_job first"


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"windows": []}, f"windows is empty: name at least one of {', '.join(Window)}"),
    ({"windows": ["range"]}, "the window 'range' needs start and end"),
    (
        {"start": "2023-01-20"},
        "start and end belong together: give both, for a range, or neither",
    ),
    (
        {"end": "2023-01-20"},
        "start and end belong together: give both, for a range, or neither",
    ),
    (
        {"start": "2023-01-21", "end": "2023-01-20T12:00:00-06:00"},
        "start (2023-01-21T00:00:00+00:00) must be before end (2023-01-20T18:00:00+00:00)",
    ),
    (
        {"start": "2023-01-20", "end": "2023-01-21", "as_of": "now"},
        "the end of a range is its as_of: omit as_of if start and end are given",
    ),
    (
        {"as_of": "gestern"},
        "as_of: 'gestern' is not a valid timestamp: use ISO 8601, e.g. 2023-01-25T18:00:00Z, or latest, or now",
    ),
    (
        {"start": "gestern", "end": "2023-01-25"},
        "start: 'gestern' is not a valid timestamp: use ISO 8601, e.g. 2023-01-25T18:00:00Z",
    ),
    (
        {"rules": {"max_carry_hours": 0}},
        "rules.max_carry_hours: Input should be greater than 0, not 0.0",
    ),
    (
        {"rules": {"max_carry_hours": -1}},
        "rules.max_carry_hours: Input should be greater than 0, not -1.0",
    ),
]


@pytest.mark.parametrize(("asked", "told"), REFUSED)
def test_a_request_that_makes_no_sense_is_refused_in_one_sentence(
    asked: dict[str, Any], told: str, instance: dg.DagsterInstance
) -> None:
    assert failure(run(instance, "report_job", **asked), "report_request") == told


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (
            {"as_of": "2199-01-01"},
            "as_of: 2199-01-01T00:00:00Z is in the future, the current time is 20",
        ),
        (
            {"start": "2023-01-20", "end": "2199-01-01"},
            "end: 2199-01-01T00:00:00Z is in the future",
        ),
        ({"start": "1950-01-20", "end": "2023-01-01"}, "is before 2000-01-01T00:00:00Z"),
        ({"start": "2017-01-20", "end": "2023-01-20"}, "a range has at most 1,830 days"),
    ],
)
def test_a_time_that_nothing_can_be_told_of_is_refused(
    asked: dict[str, Any], words: str, instance: dg.DagsterInstance
) -> None:
    assert words in failure(run(instance, "report_job", **asked), "report_request")


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"rules": {"missing_day": "maybe"}}, "missing_day not in enum type"),
        ({"rules": {"max_carry": 6}}, 'unexpected config entry "max_carry"'),
        ({"window": ["day"]}, 'unexpected config entry "window"'),
        ({"windows": "day"}, "windows must be list"),
        ({"windows": ["day", "fortnight"]}, "not in enum type WindowName got fortnight"),
    ],
)
def test_config_that_does_not_fit_is_refused_before_anything_runs(
    asked: dict[str, Any], named: str, instance: dg.DagsterInstance
) -> None:
    with pytest.raises(dg.DagsterInvalidConfigError, match=named):
        run(instance, "ingest_and_report_job", **asked)
    assert instance.get_runs_count() == 0


def test_what_is_set_to_null_is_as_if_it_were_left_out(
    instance: dg.DagsterInstance, two_stores: Path
) -> None:
    assert run(instance, "ingest_job").success
    nothing = {"as_of": None, "windows": None, "start": None, "end": None, "store_ids": None}
    plain = run(instance, "report_job")
    nulls = run(instance, "report_job", **nothing, rules={"max_carry_hours": None})
    assert nulls.success
    assert report_row(nulls.run_id)["request"] == report_row(plain.run_id)["request"]


def test_a_database_that_cannot_be_reached_is_named_without_its_password(
    instance: dg.DagsterInstance, two_stores: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "postgresql://storemon:secret@127.0.0.1:1/stores"
    monkeypatch.setenv("STOREMON_DATABASE_URL", url)
    monkeypatch.setattr(errors, "FIRST_DELAY_SECONDS", 0)
    told = failure(run(instance, "ingest_job"), "ingest")
    assert "storemon:***@127.0.0.1:1/stores cannot be reached: " in told
    assert "Connection refused" in told
    assert told.endswith(". Is it running, and is STOREMON_DATABASE_URL right?")
    assert "\n" not in told
    assert "secret" not in told


def test_a_setting_that_is_out_of_range_is_named(
    instance: dg.DagsterInstance, two_stores: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOREMON_MAX_BAD_SHARE", "5")
    told = failure(run(instance, "ingest_job"), "ingest")
    assert told == "STOREMON_MAX_BAD_SHARE: Input should be less than or equal to 1, not '5'"
